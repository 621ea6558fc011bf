"""``authserver`` on the command line, within this process, on the database of a run."""

from __future__ import annotations

import contextvars
import logging

from click.testing import CliRunner, Result

from authserver.cli import main

from ..runner import Run


def command(run: Run, *arguments: str) -> Result:
    """The result of ``authserver`` with ``arguments``; logging is as it was before."""
    settings = run.world.services.settings
    environment = {
        "AUTHSERVER_ISSUER": settings.issuer,
        "AUTHSERVER_INSTANCE_DIR": str(settings.instance_dir),
        "AUTHSERVER_DATABASE_URL": settings.database,
        "AUTHSERVER_MASTER_KEYS": settings.master_keys.get_secret_value(),
        "AUTHSERVER_ARGON2_MEMORY_KIB": "8",
        "AUTHSERVER_ARGON2_TIME_COST": "1",
    }
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return contextvars.copy_context().run(
            lambda: CliRunner().invoke(main, list(arguments), env=environment)
        )
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
