"""The factory: the only place where the parts meet."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os

from flask import Flask

from . import logs, metrics
from .config import Settings, asset_dir, drop_secrets_from_environment
from .db import engine_options
from .edge import Edge
from .jobs import Jobs
from .process_lock import hold_alone
from .services import Services, build
from .web import (
    account,
    authorize,
    brand,
    confirm_device,
    consent,
    csrf,
    enrol,
    errors,
    factors,
    guards,
    headers,
    health,
    home,
    language,
    login,
    logout,
    mfa,
    oauth,
    passkeys,
    password,
    password_reset,
)

EXTENSION = "authserver"
EDGE = "authserver.edge"


def create_app(settings: Settings) -> Flask:
    """An app that serves requests once its database is migrated; starts no threads, reads no environment."""
    app = Flask(
        "authserver", template_folder=str(asset_dir("templates")), static_folder=str(asset_dir("static"))
    )
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database),
        MAX_CONTENT_LENGTH=settings.body_limit,
        MAX_FORM_MEMORY_SIZE=settings.body_limit,
        MAX_FORM_PARTS=100,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=not settings.loopback,
        RATELIMIT_ENABLED=True,
    )
    app.request_class = guards.Request
    app.url_rule_class = guards.Rule  # type: ignore[assignment]
    # a variant of a path is another path: no redirect that would let a request through twice
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    services = build(app, settings)
    app.extensions[EXTENSION] = services
    pages = (
        home, authorize, consent, login, enrol, logout, account, password, mfa, factors, passkeys, language,
        brand, confirm_device, password_reset,
    )  # fmt: skip
    for room in (oauth, health, *pages):
        app.register_blueprint(room.blueprint)
    app.jinja_env.globals["needs_passkey"] = factors.needs_passkey
    app.jinja_env.globals["operator_name"] = settings.operator_name
    language.install(app, settings)
    brand.install(app, settings)
    csrf.install(app)
    headers.install(app)
    errors.install(app)
    app.extensions[EDGE] = app.wsgi_app = Edge(app, services)  # type: ignore[method-assign]
    return app


def services_of(app: Flask) -> Services:
    """The rooms of ``app``."""
    services: Services = app.extensions[EXTENSION]
    return services


def serving_app() -> Flask:
    """The app of a server process: settings from the environment, secrets dropped from it, jobs running."""
    if multiprocessing.parent_process() is not None:
        # Ctrl-C in a terminal reaches a whole process group; a worker is to hear of it from its parent alone
        os.setpgid(0, 0)
    settings = Settings.load()
    logs.configure(settings.log_level, metrics.log_failures.inc)
    drop_secrets_from_environment()
    if settings.workers == 0 and (settings.sqlite or not settings.redis_url.get_secret_value()):
        hold_alone(settings.instance_dir)
    app = create_app(settings)
    services = services_of(app)
    app.extensions[EDGE].warm()
    if not settings.workers:
        # `authserver serve` does it once for its workers
        services.password_rules.breached.verify()
    jobs = Jobs(services)
    jobs.start()
    atexit.register(jobs.stop)
    if hasattr(os, "register_at_fork"):
        # a server that loads the app before it forks: threads and connections do not survive a fork

        def after_fork() -> None:
            services.database.engine.dispose(close=False)
            jobs.start()

        os.register_at_fork(after_in_child=after_fork)
    # what is there now stays to the end: no collection walks it, and a fork shares its pages
    gc.collect()
    gc.freeze()
    gc.enable()
    return app
