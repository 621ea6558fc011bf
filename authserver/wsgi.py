"""The entry point of an installed package; the same as ``wsgi:app`` in a checkout."""

import gc

# what is loaded stays: to look for garbage in it takes a sixth of the start. `serving_app` ends it
gc.disable()

from .app import serving_app  # noqa: E402

app = serving_app()
