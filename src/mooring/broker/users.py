"""Broker users: logins that are not devices, with rights given as topic filters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mooring.dialects.topics import filters_overlap, valid_filter
from mooring.errors import Invalid
from mooring.identity.account import Rights

__all__ = ["CONTROL", "RESERVED_PREFIXES", "BrokerUser", "check_new", "check_password"]

CONTROL = "$CONTROL/#"
"""Write access to it allows changing accounts without the database."""

RESERVED_PREFIXES = ("mooring.", "mooring-", "service:mooring", "service.mooring")
"""Names that begin so are the platform's own: its logins and its client ids."""

USERNAME_MAX = 300
NOTE_MAX = 200
FILTERS_MAX = 200

PASSWORD_LEAST = 12
PASSWORD_MOST = 1024  # characters
"""The broker hashes with few rounds, so that a fleet can come back at once; a password that
can be guessed would be guessed quickly."""


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """One login. ``created_at`` is epoch milliseconds, 0 before it is stored."""

    username: str
    rights: Rights
    note: str = ""
    created_at: int = 0
    has_password: bool = True


def check_new(user: BrokerUser, *, service: Iterable[str] = ()) -> None:
    """Rejects what no broker user can be.

    Args:
        service: the platform's own usernames.

    Raises:
        Invalid: the message names the rule.
    """
    name = user.username
    check_username(name, service=service)
    if len(user.note) > NOTE_MAX:
        raise Invalid(f"The note has {len(user.note)} characters; {NOTE_MAX} are allowed.")
    for topic in (*user.rights.publish, *user.rights.subscribe):
        _check_filter(topic)
    if len(user.rights.publish) + len(user.rights.subscribe) > FILTERS_MAX:
        raise Invalid(f"{name} has more than {FILTERS_MAX} topic filters.")


def check_username(name: str, *, service: Iterable[str] = ()) -> None:
    """Rejects a username that a broker may not take, or that is the platform's.

    Raises:
        Invalid: the message names the rule.
    """
    if (
        not name
        or name != name.strip()
        or not name.isprintable()
        or len(name) > USERNAME_MAX
        or name.startswith("#")
    ):
        raise Invalid(
            f"{name[:64]!a} cannot be a username.",
            hint=f"Use up to {USERNAME_MAX} printable characters without spaces at the ends.",
            code="invalid_username",
        )
    if name.startswith(RESERVED_PREFIXES) or name in set(service):
        raise Invalid(
            f"The username {name} is reserved for the platform.",
            hint="Choose another one.",
            code="invalid_username",
        )


def _check_filter(topic: str) -> None:
    if not valid_filter(topic) or not topic.isprintable() or topic != topic.strip():
        raise Invalid(
            f"{topic[:64]!a} is not a topic filter.",
            hint="Use + for one level and # for all further levels: home/+/status, home/#.",
            code="invalid_filter",
        )
    if "%u" in topic or "%c" in topic:
        raise Invalid(
            f"The filter {topic!a} contains %u or %c, which brokers replace.",
            hint="Write the username itself.",
            code="invalid_filter",
        )
    if filters_overlap(topic, CONTROL):
        raise Invalid(
            "A broker user may not write to the broker's own control topics.",
            hint="Accounts are changed through Mooring.",
            code="invalid_filter",
        )


def check_password(password: str) -> None:
    """Rejects a given password that is too short.

    Raises:
        Invalid: it has fewer than ``PASSWORD_LEAST`` characters.
    """
    if len(password) < PASSWORD_LEAST:
        raise Invalid(
            f"The password has {len(password)} characters; {PASSWORD_LEAST} are needed.",
            hint="Choose a longer one, or omit it to have one generated.",
            code="password_too_short",
        )
