"""The rooms of one app, each made once, handed to those who need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import crypto
from .audit import Audit
from .audit.chain import Sealer
from .cache import Versions
from .clients import Clients, Scopes, SecretHasher
from .config import Settings
from .db import Database
from .group_commit import GroupCommit
from .keys import KeyStore, Rotation
from .oauth.client_auth import ClientAuthenticator
from .oauth.revocation import Revocations
from .oauth.server import AuthorizationServer
from .oauth.tokens import Tokens
from .replay import ReplayGuard
from .throttle import Throttle

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True)
class Services:
    """Everything that requests, commands and jobs work with."""

    settings: Settings
    master: crypto.MasterKeys
    database: Database
    versions: Versions
    audit: Audit
    sealer: Sealer
    keys: KeyStore
    rotation: Rotation
    replay: ReplayGuard
    throttle: Throttle
    scopes: Scopes
    clients: Clients
    revocations: Revocations
    server: AuthorizationServer


def build(app: Flask, settings: Settings) -> Services:
    """The rooms, from the ground up."""
    master = settings.master
    database = Database(app)
    commits = GroupCommit(database)
    versions = Versions(database, settings.cache_confirm_ms)
    audit = Audit(commits, master)
    keys = KeyStore(database, versions, master)
    sealer = Sealer(
        database,
        master,
        lambda typ, claims: keys.sign(typ, claims, settings.access_token_alg),
        anchor=settings.audit_anchor,
        checkpoint_every=(settings.audit_checkpoint_rows, settings.audit_checkpoint_seconds),
    )
    throttle = Throttle(settings, database, versions, audit)
    scopes = Scopes(database, versions, audit)
    hasher = SecretHasher(master, settings)
    clients = Clients(database, versions, audit, hasher)
    tokens = Tokens(settings, database, keys, audit, clients)
    revocations = Revocations(settings, database, versions, keys, audit)
    authenticator = ClientAuthenticator(clients, hasher)
    server = AuthorizationServer(clients, authenticator, scopes, throttle, tokens, revocations, audit)
    return Services(
        settings=settings,
        master=master,
        database=database,
        versions=versions,
        audit=audit,
        sealer=sealer,
        keys=keys,
        rotation=Rotation(database, master, audit, settings),
        replay=ReplayGuard(commits),
        throttle=throttle,
        scopes=scopes,
        clients=clients,
        revocations=revocations,
        server=server,
    )
