"""The entry point of an installed package; the same as ``wsgi:app`` in a checkout."""

from .app import serving_app

app = serving_app()
