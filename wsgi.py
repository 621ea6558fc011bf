"""The WSGI entry point: any server can run ``wsgi:app``; ``authserver serve`` runs it under granian."""

import gc

# what is loaded stays: to look for garbage in it takes a sixth of the start. `serving_app` ends it
gc.disable()

from authserver.app import serving_app  # noqa: E402

app = serving_app()
