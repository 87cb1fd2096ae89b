"""The actor of a request, from a login token or API key in a header, never a cookie or the URL."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from mooring.errors import Unauthorized
from mooring.identity.actor import Actor
from mooring.identity.scopes import Need, Scope
from mooring.web.proxies import FORWARDED_HEADERS
from mooring.web.services import Platform, now

__all__ = [
    "Who",
    "address_of",
    "bearer",
    "from_this_machine",
    "key_header",
    "need_of",
    "secret_of",
    "who",
]

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="The token of POST /api/v1/login, or an API key (`mk_…`).",
)
key_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="key", description="An API key (`mk_…`)."
)


def address_of(request: Request) -> str:
    """Where the request came from; behind a trusted proxy, what that says (see ``Proxies``)."""
    return request.client.host if request.client else "unknown"


def from_this_machine(request: Request) -> bool:
    """Whether it came from here and no proxy says that it only passed it on."""
    try:
        loopback = ipaddress.ip_address(address_of(request)).is_loopback
    except ValueError:
        return False
    return loopback and not any(name in request.headers for name in FORWARDED_HEADERS)


def secret_of(request: Request) -> str:
    """The token or API key of the request, which ``who`` has accepted."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    return request.headers.get("X-API-Key", "")


def who(
    request: Request,
    platform: Annotated[Platform, Depends(now)],
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(key_header)],
) -> Actor:
    """The person or program behind the request.

    Raises:
        Unauthorized: it does not say who, or it is not true.
        Forbidden: it is an API key without the scope that the route needs.
    """
    secret = token.credentials if token is not None else key
    if not secret:
        raise Unauthorized(
            "This request needs a login.",
            hint="Send `Authorization: Bearer TOKEN` with a token of POST /api/v1/login or an "
            "API key.",
            code="login_needed",
        )
    actor = platform.authenticate(secret, address_of(request))
    need = need_of(request)
    if isinstance(need, Scope):
        actor.require_scope(need)
    return actor


def need_of(request: Request) -> Need:
    """What the route of the request asks of a key. A route that nobody has thought of asks for the
    scope that fewest keys have."""
    needs: Mapping[tuple[str, str], Need] = request.app.state.scopes
    return needs.get((request.method, request.scope["route"].path), Scope.ADMIN)


Who = Annotated[Actor, Depends(who)]
