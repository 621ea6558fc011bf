"""The rooms of one app, each made once, handed to those who need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from . import crypto, factor_rooms, password_rooms, payment_rooms, person_rooms
from .audit import Audit, PersonKeys
from .audit.chain import Sealer
from .cache import Versions
from .clients import Clients, Registrations, Scopes, SecretHasher
from .config import Settings
from .db import Database
from .group_commit import GroupCommit
from .interaction import Steps
from .keys import KeyStore, Rotation
from .login import (
    DeviceTrust,
    EmailOtp,
    FactorChanges,
    LoginLimits,
    Mfa,
    PasswordChange,
    PasswordLogin,
    PasswordReset,
    PasswordRules,
    ResetRequests,
    Risk,
    Sessions,
    Staff,
    UnusedAccounts,
    webauthn,
)
from .login.email_change import EmailChanges
from .login.passkey_changes import PasskeyChanges
from .login.payment_factors import PaymentFactors
from .login.recovery import Recovery
from .login.reset_requests import Rooms as ResetRooms
from .mail import Mail
from .oauth.authorization_endpoint import AuthorizationEndpoint
from .oauth.authorization_request import Rooms
from .oauth.authorization_response import AuthorizationResponses
from .oauth.authorization_response import Rooms as AnswerRooms
from .oauth.authorizations import Authorizations
from .oauth.backchannel_logout import BackchannelLogout
from .oauth.client_auth import ClientAuthenticator
from .oauth.client_keys import ClientKeys
from .oauth.consent import Consents
from .oauth.cors import Origins
from .oauth.dcr import RegistrationEndpoint
from .oauth.dcr.endpoint import Rooms as RegistrationRooms
from .oauth.id_token import IdTokens
from .oauth.interactions import Interactions
from .oauth.logout import EndSession
from .oauth.private_key_jwt import PrivateKeyJwt
from .oauth.revocation import Revocations
from .oauth.server import AuthorizationServer
from .oauth.single_use import SingleUse
from .oauth.subjects import Subjects
from .oauth.tokens import Tokens
from .oauth.userinfo import UserInfo
from .outgoing import AT_ONCE, Outgoing
from .partners import Partners
from .personal_data import Erasure, Export
from .replay import ReplayGuard
from .throttle import Throttle
from .users import Contacts, Links, LockNotices, Users
from .users.trusted_payees import forget_all_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask


@dataclass(frozen=True)
class Services(payment_rooms.PaymentRooms):
    """Everything that requests, commands and jobs work with."""

    settings: Settings
    master: crypto.MasterKeys
    database: Database
    versions: Versions
    person_keys: PersonKeys
    audit: Audit
    sealer: Sealer
    keys: KeyStore
    rotation: Rotation
    mail: Mail
    replay: ReplayGuard
    outgoing: Outgoing
    throttle: Throttle
    scopes: Scopes
    clients: Clients
    partners: Partners
    registrations: Registrations
    users: Users
    links: Links
    contacts: Contacts
    sessions: Sessions
    login_limits: LoginLimits
    lock_notices: LockNotices
    mfa: Mfa
    email_otp: EmailOtp
    device_trust: DeviceTrust
    risk: Risk
    reset_requests: ResetRequests
    factor_changes: FactorChanges
    passkeys: webauthn.Passkeys
    passkey_changes: PasskeyChanges
    steps: Steps
    password_login: PasswordLogin
    password_rules: PasswordRules
    unused_accounts: UnusedAccounts
    password_reset: PasswordReset
    password_change: PasswordChange
    email_changes: EmailChanges
    recovery: Recovery
    export: Export
    erasure: Erasure
    subjects: Subjects
    authorizations: Authorizations
    authorization_endpoint: AuthorizationEndpoint
    interactions: Interactions
    consents: Consents
    authorization_responses: AuthorizationResponses
    payment_factors: PaymentFactors
    revocations: Revocations
    end_session: EndSession
    backchannel_logout: BackchannelLogout
    registration: RegistrationEndpoint
    server: AuthorizationServer


def build(app: Flask, settings: Settings) -> Services:
    """The rooms, from the ground up."""
    master = settings.master
    database = Database(app)
    commits = GroupCommit(database)
    versions = Versions(database, settings.cache_confirm_ms)
    person_keys = PersonKeys(database, master)
    audit = Audit(commits, master, person_keys)
    keys = KeyStore(database, versions, master)
    sealer = Sealer(
        database,
        master,
        lambda typ, claims: keys.sign(typ, claims, settings.access_token_alg),
        anchor=settings.audit_anchor,
        checkpoint_every=(settings.audit_checkpoint_rows, settings.audit_checkpoint_seconds),
    )
    mail = Mail(settings, database, master, audit, Outgoing(settings))
    throttle = Throttle(settings, database, versions, audit)
    scopes = Scopes(database, versions, audit)
    hasher = SecretHasher(master, settings)
    clients = Clients(database, versions, audit, hasher)
    revocations = Revocations(settings, database, versions, keys, audit)
    authorizations = Authorizations(settings, clients, revocations, audit)
    # each purpose has places of its own: what partners make this server call while they register must hold up
    # neither who proves itself by published keys nor who is signed out
    outgoing = Outgoing(settings, AT_ONCE // 2)
    subjects = Subjects(database, clients, master)
    backchannel_logout = BackchannelLogout(
        settings, database, clients, subjects, keys, Outgoing(settings), audit
    )

    # locks are taken in one order everywhere: person, sessions, authorizations, the list's version
    def sessions_end(connection: Connection, reasons: Mapping[str, str]) -> None:
        authorizations.end_for_sessions_in(connection, reasons)
        for sid in reasons:
            backchannel_logout.queue_in(connection, sid)

    def person_ends(connection: Connection, user_id: str, reason: str) -> None:
        forget_all_in(connection, audit, user_id, reason)
        sessions.hold_all_in(connection, user_id)
        # those of the sessions among them: nothing is left to lock after the version
        authorizations.end_for_user_in(connection, user_id, reason)
        sessions.end_all_in(connection, user_id, reason)
        factors.device_trust.forget_all_in(connection, user_id)

    staff = Staff(settings)
    users = Users(database, versions, audit, person_ends, staff.groups)
    links, contacts = Links(database, versions, users, audit, mail), Contacts(database, versions, audit, mail)
    tokens = Tokens(settings, database, keys, audit, clients, users, subjects)
    sessions = Sessions(database, users, audit, settings, sessions_end)
    login_limits = LoginLimits(throttle, audit, settings)
    factors = factor_rooms.build(
        factor_rooms.Below(settings, master, database, audit, mail, users, sessions, login_limits, throttle)
    )
    mfa = factors.mfa
    payments = payment_rooms.build(
        payment_rooms.Below(settings, master, database, audit, mail, users, authorizations)
    )
    payees = payments.trusted_payees
    below = person_rooms.Below(
        settings, database, versions, audit, person_keys, mail, mfa, sessions, contacts, payees, person_ends
    )
    people = person_rooms.build(below)
    passwords = password_rooms.build(
        password_rooms.Below(
            settings, database, audit, mail, users, links, sessions, login_limits, mfa, factors.risk, staff
        )
    )
    replay = ReplayGuard(commits)
    assertions = PrivateKeyJwt(settings.issuer, ClientKeys(Outgoing(settings), audit), replay)
    server = AuthorizationServer(
        clients,
        ClientAuthenticator(clients, hasher, assertions),
        scopes,
        throttle,
        tokens,
        IdTokens(settings, keys, users, subjects),
        SingleUse(settings, database, authorizations, audit, master),
        revocations,
        UserInfo(tokens, clients, users, keys, throttle),
        Origins(database, versions),
        audit,
        factors.risk.refresh_fault,
    )
    interactions = Interactions(database, clients)
    consents = Consents(database, clients, authorizations, audit)
    partners = Partners(database, audit)
    registrations = Registrations(database, clients, partners, audit, consents.end_for_client_in)
    rotation = Rotation(database, master, audit, settings)
    registration = RegistrationEndpoint(
        RegistrationRooms(
            settings, partners, clients, registrations, scopes, keys, rotation, outgoing, throttle
        )
    )
    return Services(
        **vars(payments),
        settings=settings,
        master=master,
        database=database,
        versions=versions,
        person_keys=person_keys,
        audit=audit,
        sealer=sealer,
        keys=keys,
        rotation=rotation,
        mail=mail,
        replay=replay,
        outgoing=outgoing,
        throttle=throttle,
        scopes=scopes,
        clients=clients,
        partners=partners,
        registrations=registrations,
        users=users,
        links=links,
        contacts=contacts,
        sessions=sessions,
        login_limits=login_limits,
        lock_notices=LockNotices(database, mail),
        mfa=mfa,
        email_otp=factors.email_otp,
        device_trust=factors.device_trust,
        risk=factors.risk,
        reset_requests=ResetRequests(settings, database, master, mail, ResetRooms(users, links, audit)),
        factor_changes=factors.factor_changes,
        passkeys=factors.passkeys,
        passkey_changes=factors.passkey_changes,
        steps=Steps(consents, subjects, mfa, factors.payment_factors.minimum, payments.exemptions),
        password_login=passwords.login,
        password_rules=passwords.rules,
        unused_accounts=passwords.unused_accounts,
        password_reset=passwords.reset,
        password_change=passwords.change,
        email_changes=people.email_changes,
        recovery=people.recovery,
        export=people.export,
        erasure=people.erasure,
        subjects=subjects,
        authorizations=authorizations,
        authorization_endpoint=AuthorizationEndpoint(Rooms(settings, clients, scopes, keys), throttle, audit),
        interactions=interactions,
        consents=consents,
        authorization_responses=AuthorizationResponses(
            settings.issuer,
            database,
            AnswerRooms(interactions, consents, authorizations, payments.payment_evidences, payees, audit),
        ),
        payment_factors=factors.payment_factors,
        revocations=revocations,
        end_session=EndSession(settings, master, clients, subjects, keys, throttle, audit),
        backchannel_logout=backchannel_logout,
        registration=registration,
        server=server,
    )
