"""authserver db: the database's tables."""

from __future__ import annotations

from contextlib import suppress

import click

from .. import crypto, migrate
from ..config import Settings
from ..errors import Invalid
from ..purge import purge as purge_expired
from ..services import Services
from .rooms import json_option, open_rooms, show

RESOURCE_ALGS = ("ES256", "EdDSA", "PS256")


@click.group()
def db() -> None:
    """Migrate and clean the database."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the tables up to date and make what a first start needs.

    \b
    Example:
      authserver db upgrade
    """
    ensure_master_key(Settings.load())
    services = open_rooms(migrated=False)
    before = prepare(services)
    now = migrate.head()
    was = " already" if before == now else f", was at {before}" if before else ", new"
    text = f"The database is at revision {now}{was}."
    show({"before": before, "revision": now}, as_json, text)


@db.command()
@json_option
def purge(as_json: bool) -> None:
    """Delete rows whose time is over. The server does so by itself; audit events stay.

    \b
    Example:
      authserver db purge --json
    """
    services = open_rooms()
    gone = purge_expired(services.database) | {"client_registration": services.registrations.expire()}
    show(gone, as_json, "\n".join(f"{name}: {count} rows deleted" for name, count in gone.items()))


def ensure_master_key(settings: Settings) -> None:
    """The dev profile has a master key in its instance folder; Invalid if that cannot be written."""
    if settings.profile != "dev" or settings.master_keys.get_secret_value():
        return
    path = settings.instance_dir / "master.key"
    try:
        settings.instance_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # written aside and put in place whole: of two first starts at once, one makes the key
            draft = settings.instance_dir / f"master.{crypto.random_token(64)}"
            draft.touch(mode=0o600)
            draft.write_text(f"k1:{crypto.random_token()}\n", "ascii")
            with suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
    except OSError as error:
        reason = f"{settings.instance_dir} cannot be written ({error.strerror}); set AUTHSERVER_INSTANCE_DIR."
        raise Invalid(reason) from None


def prepare(services: Services) -> str:
    """Tables and signing keys are there; gives the revision before."""
    before = migrate.upgrade(services.database)
    services.versions.forget()
    algs: set[str] = {services.settings.access_token_alg}
    algs |= {
        api.signing_alg for api in services.scopes.resource_servers() if api.signing_alg in RESOURCE_ALGS
    }
    algs |= {client.id_token_alg for client in services.clients.all()}
    for alg in sorted(algs):
        services.rotation.ensure(alg)
    return before
