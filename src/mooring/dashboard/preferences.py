"""Small cookies: the theme, the zone, and the notice for the next page."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import tzinfo
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response

from mooring.dashboard.session import is_secure
from mooring.dashboard.words import zone_of

__all__ = ["THEMES", "Notice", "keep_notice", "keep_theme", "notice_of", "theme_of", "zone"]

THEMES = ("system", "light", "dark")
NOTICE, THEME, ZONE = "mooring-notice", "mooring-theme", "mooring-zone"
NOTICE_SECONDS, YEAR_SECONDS = 60, 31_536_000
NOTICE_MAX = 1_000  # characters; a cookie holds 4096 bytes


class Notice(NamedTuple):
    """What an action said, for the next page."""

    kind: str
    text: str


def theme_of(connection: HTTPConnection) -> str:
    """``light``, ``dark`` or ``system``."""
    found = connection.cookies.get(THEME, "")
    return found if found in THEMES else "system"


def keep_theme(response: Response, connection: HTTPConnection, theme: str) -> None:
    response.set_cookie(
        THEME,
        theme,
        max_age=YEAR_SECONDS,
        path="/",
        secure=is_secure(connection),
        httponly=True,
        samesite="lax",
    )


def zone(connection: HTTPConnection) -> tzinfo:
    """The viewer's zone, which ``static/js/zone.js`` writes; UTC until then."""
    return zone_of(connection.cookies.get(ZONE, ""))


def keep_notice(response: Response, connection: HTTPConnection, notice: Notice) -> None:
    """Says it on the next page. It comes back from the browser, so it is text like any other."""
    found = json.dumps([notice.kind, notice.text[:NOTICE_MAX]]).encode()
    response.set_cookie(
        NOTICE,
        base64.urlsafe_b64encode(found).decode().rstrip("="),
        max_age=NOTICE_SECONDS,
        path="/",
        secure=is_secure(connection),
        httponly=True,
        samesite="lax",
    )


def notice_of(connection: HTTPConnection) -> Notice | None:
    """What the last action said."""
    found = connection.cookies.get(NOTICE, "")
    if not found:
        return None
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(found + "=" * (-len(found) % 4)))
    except (binascii.Error, ValueError, TypeError):
        return None
    if kind not in ("ok", "warn", "bad") or not isinstance(text, str):
        return None
    return Notice(kind, text[:NOTICE_MAX])


def drop_notice(response: Response) -> None:
    response.delete_cookie(NOTICE, path="/", httponly=True, samesite="lax")
