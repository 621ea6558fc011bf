"""Everything of the example on one port: the shop at / and /shop, the payments API everywhere else.

They share a process because this is a demonstration. The shop knows the API by its address alone.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from . import app as payments_api
from . import merchant
from .settings import Settings, ShopSettings

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def create_site() -> WSGIApplication:
    """Return the WSGI application, configured by the environment; without a shop if there is none in it."""
    api = payments_api.create_app(Settings.from_environ(os.environ))
    shop_settings = ShopSettings.from_environ(os.environ)
    return join(merchant.create_shop(shop_settings), api) if shop_settings else api


def join(shop: WSGIApplication, api: WSGIApplication) -> WSGIApplication:
    """Return an application that gives each request to the one whose path it is."""

    def site(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        of_shop = path in ("", "/", "/shop") or path.startswith("/shop/")
        return (shop if of_shop else api)(environ, start_response)

    return site
