"""What operators change of a client while the server runs; each is one transaction of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, update

from .. import clock, jwks
from ..audit import Entry, Event
from ..errors import Invalid, NotDone
from . import metadata, redirect_uris, rows, sectors
from .metadata import SECRET_METHODS
from .record import ClientRecord
from .registry import NO_SUCH_CLIENT, Registry
from .rows import networks, secrets


class Clients(Registry):
    """The registry, and what may change of a client in it."""

    def set_networks(self, client_id: str, cidrs: Sequence[str]) -> None:
        """The client may call from ``cidrs`` (already parsed) alone; from everywhere if there are none."""
        with self._changing(client_id) as connection:
            connection.execute(delete(networks).where(networks.c.client_id == client_id))
            self._set_networks(connection, client_id, cidrs)
            detail = {"networks": list(cidrs)[:50], "count": len(cidrs)}
            self._audit.record_in(connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail=detail))

    def set_tier(self, client_id: str, tier: str) -> None:
        """The client's requests count in ``tier`` from now on."""
        with self._changing(client_id, {"tier": tier}) as connection:
            self._audit.record_in(
                connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail={"tier": tier})
            )

    def networks_refused(self, client_id: str) -> None:
        """The attempt to set a wrong allowlist is in the audit log."""
        self._audit.record(Entry(Event.CLIENT_UPDATE_REJECTED, "denied", "ip_allowlist", client_id=client_id))

    def set_redirect_uris(self, client_id: str, uris: Sequence[str]) -> None:
        """Codes of the client go to ``uris`` alone from now on; Invalid for what may not be registered."""
        client = self._known(client_id)
        for uri in uris:
            redirect_uris.validate(uri, client.application_type)
        if client.pairwise and sectors.sector_of(uris, client.sector_identifier_uri) != client.sector:
            raise Invalid("These addresses are of another sector, where people have other ids.")
        with self._changing(client_id, {"redirect_uris": list(uris)}) as connection:
            detail = {"redirect_uris": list(uris)[:20]}
            self._audit.record_in(connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail=detail))

    def set_keys(self, client_id: str, keys: dict[str, Any] | None, uri: str | None) -> None:
        """The client's public keys are ``keys``, or those at ``uri``; Invalid for what cannot be read."""
        client = self._known(client_id)
        metadata.judge_keys(client.token_endpoint_auth_method, keys, uri)
        with self._changing(client_id, {"jwks": keys, "jwks_uri": uri}) as connection:
            detail = {"jwks_uri": uri, "kids": [key.kid for key in jwks.parse(keys)] if keys else []}
            self._audit.record_in(connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail=detail))

    def set_logout(
        self, client_id: str, after: Sequence[str], backchannel: str | None, session_required: bool = False
    ) -> None:
        """People of the client may go to ``after`` once signed out; it hears of that at ``backchannel``."""
        client = self._known(client_id)
        metadata.judge_logout(after, backchannel, client.application_type)
        values = {
            "post_logout_redirect_uris": list(after),
            "backchannel_logout_uri": backchannel,
            "backchannel_logout_session_required": session_required,
        }
        with self._changing(client_id, values) as connection:
            detail = values | {"post_logout_redirect_uris": list(after)[:20]}
            self._audit.record_in(connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail=detail))

    def rotate_secret(self, client_id: str, overlap: int = 0) -> str:
        """A new secret, shown only now; older ones end after ``overlap`` seconds. Invalid without secrets."""
        client = self._known(client_id)
        if client.token_endpoint_auth_method not in SECRET_METHODS:
            raise NotDone("This client does not authenticate with a secret.")
        secret, hash_ = self._hasher.make(client_id)
        until = clock.now() + overlap
        with self._changing(client_id) as connection:
            mine = secrets.c.client_id == client_id
            connection.execute(delete(secrets).where(mine, secrets.c.expires_at <= until))
            if overlap:
                connection.execute(update(secrets).where(mine).values(expires_at=until))
            else:
                connection.execute(delete(secrets).where(mine))
            self._add_secret(connection, client_id, hash_)
            self._audit.record_in(
                connection,
                Entry(Event.CLIENT_SECRET_ROTATED, client_id=client_id, detail={"overlap": overlap}),
            )
        return secret

    def set_subjects(self, client_id: str, subject_type: str, sector_identifier_uri: str | None) -> None:
        """People are known to the client so from now on: by other ids, where type or sector are others.

        Invalid where its redirect URIs make no sector; what ``sector_identifier_uri`` says was confirmed.
        """
        client = self._known(client_id)
        pairwise = subject_type == "pairwise"
        sector = sectors.sector_of(client.redirect_uris, sector_identifier_uri) if pairwise else None
        values = {
            "subject_type": subject_type,
            "sector": sector,
            "sector_identifier_uri": sector_identifier_uri,
        }
        metadata.judge_subjects(values | {"redirect_uris": client.redirect_uris})
        self._set(client_id, values)

    def set_answers(self, client_id: str, access_token_format: str, userinfo_alg: str | None) -> None:
        """The client gets access tokens of this form, and UserInfo signed by this algorithm or plain."""
        self._set(client_id, {"access_token_format": access_token_format, "userinfo_alg": userinfo_alg})

    def _set(self, client_id: str, values: dict[str, Any]) -> None:
        with self._changing(client_id, values) as connection:
            self._audit.record_in(connection, Entry(Event.CLIENT_UPDATED, client_id=client_id, detail=values))

    def _known(self, client_id: str) -> ClientRecord:
        client = rows.load(self._database, client_id)
        if client is None:
            raise NotDone(NO_SUCH_CLIENT)
        return client
