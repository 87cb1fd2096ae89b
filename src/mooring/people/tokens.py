"""Bearer tokens of people (JWT, HS256) and the secrets of API keys. Pure.

A token names the user and the session, and carries a mark of the password hash it was issued
under. Role, tenant, and whether user and session still exist are read from the database at
every request, so a token says nothing that could be out of date. A new password makes every
older token invalid.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from mooring.errors import Unauthorized

__all__ = [
    "Claims",
    "Refresh",
    "digest",
    "issue",
    "issue_refresh",
    "mark_of",
    "new_key",
    "new_session",
    "read",
    "read_refresh",
    "split_key",
]

ISSUER = "mooring"
KEY_START = "mk_"
REFRESH_START = "mr_"
_REFRESH = re.compile(r"(mr_([0-9a-f]{32})_([0-9]{1,18}))_([0-9a-f]{64})")
_KEY = re.compile(r"mk_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: the user's number, the mark of their password, and the session."""

    user_id: int
    mark: str
    session: str


def mark_of(session_key: str, password_hash: str) -> str:
    """Changes with the password and tells nothing about it."""
    return hmac.new(session_key.encode(), password_hash.encode(), hashlib.sha256).hexdigest()[:32]


def issue(session_key: str, claims: Claims, *, at_ms: int, expires_ms: int) -> str:
    """The signed token."""
    import jwt  # noqa: PLC0415 - start-up time: most commands log nobody in

    return jwt.encode(
        {
            "iss": ISSUER,
            "sub": str(claims.user_id),
            "mark": claims.mark,
            "jti": claims.session,
            "iat": at_ms // 1000,
            "exp": expires_ms // 1000,
        },
        session_key,
        algorithm="HS256",
    )


def read(session_key: str, token: str, *, at_ms: int) -> Claims:
    """What a token says, if it is one of ours and still valid.

    Raises:
        Unauthorized: it is damaged, forged, or its time is over.
    """
    import jwt  # noqa: PLC0415 - start-up time: most commands log nobody in

    try:
        content = jwt.decode(
            token,
            session_key,
            algorithms=["HS256"],
            issuer=ISSUER,
            # The time is compared below, with the clock that is given.
            options={"require": ["exp", "sub", "iss"], "verify_exp": False, "verify_iat": False},
        )
        claims = Claims(
            int(content["sub"]), str(content.get("mark", "")), str(content.get("jti", ""))
        )
        expires_ms = int(content["exp"]) * 1000
    except (jwt.InvalidTokenError, ValueError, TypeError) as exc:
        raise Unauthorized(
            "The login token is not valid.", hint="Log in again.", code="token_invalid"
        ) from exc
    if at_ms >= expires_ms:
        raise Unauthorized("The login has expired.", hint="Log in again.", code="token_expired")
    return claims


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token says: the session, and how often it had been renewed."""

    session: str
    renewals: int


def issue_refresh(session_key: str, refresh: Refresh) -> str:
    """A refresh token. It is not stored: it proves itself, and the session's row says
    whether it is the newest one."""
    body = f"{REFRESH_START}{refresh.session}_{refresh.renewals}"
    return f"{body}_{_refresh_mark(session_key, body)}"


def read_refresh(session_key: str, token: str) -> Refresh:
    """What a refresh token says, if it is one of ours.

    Raises:
        Unauthorized: it is damaged or forged.
    """
    found = _REFRESH.fullmatch(token)
    if found is not None:
        body, session, renewals, mark = found.groups()
        if hmac.compare_digest(mark, _refresh_mark(session_key, body)):
            return Refresh(session, int(renewals))
    raise Unauthorized(
        "The refresh token is not valid.", hint="Log in again.", code="refresh_invalid"
    )


def _refresh_mark(session_key: str, body: str) -> str:
    return hmac.new(session_key.encode(), body.encode(), hashlib.sha256).hexdigest()


def new_session() -> str:
    """The name of a new session: 128 random bits."""
    return secrets.token_hex(16)


def new_key() -> tuple[str, str]:
    """A new API key: its prefix, and the whole secret with 256 random bits."""
    prefix = secrets.token_hex(4)
    return prefix, f"{KEY_START}{prefix}_{secrets.token_urlsafe(32)}"


def split_key(secret: str) -> str | None:
    """The prefix of an API key, or ``None`` when it is not written like one."""
    found = _KEY.fullmatch(secret)
    return found[1] if found else None


def digest(secret: str) -> str:
    """What is stored of a key. Random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
