"""The WSGI entry point: any server can run ``wsgi:app``; ``authserver serve`` runs it under granian."""

from authserver.app import serving_app

app = serving_app()
