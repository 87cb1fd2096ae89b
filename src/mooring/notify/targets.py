"""Targets of recipients: what is accepted, and how they are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from mooring.errors import Invalid
from mooring.notify.model import Kind

__all__ = ["MAIL", "TARGET_MAX", "check_target", "shown_target"]

TARGET_MAX = 2000
MAIL = ("mailto", "mailtos")
_MASKED = "****"


def check_target(kind: Kind, target: str, *, private: bool, schemes: Sequence[str]) -> str:
    """The target as it is stored.

    Args:
        private: an administrator allows private addresses; then http:// is allowed, too.
        schemes: of Apprise that are allowed.

    Raises:
        Invalid: ``invalid_target``. The message does not repeat the target: it holds secrets.
    """
    if not 0 < len(target) <= TARGET_MAX or not target.isprintable() or " " in target:
        raise _invalid(f"A target is 1 to {TARGET_MAX} printable characters without blanks.")
    parts = _split(target)
    scheme = parts.scheme.lower()
    if kind is Kind.APPRISE:
        if scheme not in schemes:
            raise Invalid(
                f"Targets of the scheme {scheme[:40]!a} are not allowed.",
                hint=f"Allowed are: {', '.join(schemes)}. See the setting notify_schemes.",
                code="invalid_target",
            )
        return target
    if scheme not in ("https", "http") or not parts.hostname:
        raise _invalid("The target is not an https:// URL.")
    if scheme == "http" and not private:
        raise _invalid("Notifications to other networks are encrypted: use https://.")
    if kind is Kind.ALERTMANAGER and (parts.query or parts.path.rstrip("/").endswith("alerts")):
        raise _invalid("The target is Alertmanager's base URL, without /api/v2/alerts.")
    if parts.fragment:
        raise _invalid("The target has a fragment (#), which is never sent.")
    return target


def shown_target(kind: Kind, target: str) -> str:
    """The target without what may be a secret: logins, paths, queries; in many chats even the
    host is a token."""
    parts = _split(target)
    if kind is Kind.APPRISE and parts.scheme.lower() not in MAIL:
        return f"{parts.scheme}://{_MASKED}"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    # The path of an Alertmanager says where it is, unless it looks like a login.
    plain = kind is Kind.ALERTMANAGER and "@" not in parts.path
    secret = parts.query or (parts.path.strip("/") and not plain)
    path = f"/{_MASKED}" if secret else parts.path
    login = f"{_MASKED}@" if parts.username or parts.password else ""
    return f"{parts.scheme}://{login}{host}{port}{path}"


def _split(target: str) -> SplitResult:
    try:
        parts = urlsplit(target)
        _ = parts.port
    except ValueError as exc:
        raise _invalid("The target is not a URL.") from exc
    if not parts.scheme or "://" not in target:
        raise _invalid("The target is not a URL such as https://example.org/hook.")
    return parts


def _invalid(message: str) -> Invalid:
    return Invalid(message, hint="See docs/how-to/notifications.md.", code="invalid_target")
