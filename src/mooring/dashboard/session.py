"""Sessions of browsers: the login token in a cookie.

The cookie is HttpOnly and SameSite=Lax; over TLS it is Secure and its name starts with
``__Host-``, so that no other host and no plain connection can set it. ``/api/`` never reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import Response

from mooring.errors import Forbidden, Unauthorized
from mooring.identity.actor import Actor
from mooring.web.services import Platform

__all__ = [
    "COOKIE",
    "SECURE_COOKIE",
    "check_origin",
    "drop",
    "is_secure",
    "keep",
    "token_of",
    "who",
]

COOKIE, SECURE_COOKIE = "mooring", "__Host-mooring"


def is_secure(connection: HTTPConnection) -> bool:
    """Whether the browser reached us over TLS: the address says so, which ``Guard`` takes from a
    trusted proxy, or the browser itself does in ``Origin``."""
    return connection.url.scheme in ("https", "wss") or connection.headers.get(
        "origin", ""
    ).startswith("https://")


def token_of(connection: HTTPConnection) -> str:
    """The token that the browser sent; empty without one. Serves pages and WebSockets."""
    cookies: Mapping[str, str] = connection.cookies
    found = cookies.get(SECURE_COOKIE, "")
    # Over TLS a plain cookie may come from somebody between: it does not count there.
    return found if found or is_secure(connection) else cookies.get(COOKIE, "")


def who(platform: Platform, connection: HTTPConnection) -> Actor:
    """The person at the browser.

    Raises:
        Unauthorized: nobody is signed in, or the session is over.
        DatabaseUnavailable: that cannot be found out now.
    """
    token = token_of(connection)
    if not token or token.startswith("mk_"):  # an API key belongs to a program
        raise Unauthorized("Sign in to see this page.", code="login_needed")
    client = connection.client
    return platform.authenticate(token, client.host if client else "unknown")


def keep(
    response: Response,
    connection: HTTPConnection,
    token: str,
    seconds: int,
    *,
    secure: bool = False,
) -> None:
    """Gives the browser the token.

    Args:
        secure: the browser is known to reach us over TLS.
    """
    secure = secure or is_secure(connection)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        token,
        max_age=seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def drop(response: Response, connection: HTTPConnection) -> None:
    """Takes it away."""
    for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
        if name in connection.cookies:
            response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def check_origin(connection: HTTPConnection) -> None:
    """Rejects a form or a WebSocket of another site's page. Browsers send ``Origin`` with both.

    Raises:
        Forbidden: it comes from elsewhere, or does not say where from.
    """
    scheme, _, authority = connection.headers.get("origin", "").partition("://")
    if scheme in ("http", "https") and authority and authority == connection.headers.get("host"):
        return
    raise Forbidden(
        "This form was not sent from a page of this server.",
        hint="Open the page again and send the form from there. A reverse proxy must pass the "
        "Host header on.",
        code="other_origin",
    )
