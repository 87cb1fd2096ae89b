"""Whether a fleet can move to another authority. Pure: accounts in, obstacles out.

All authorities hold the same hash, so the move needs no password: the target's files are
written from the database. What can be in the way is a name or a topic that the target
cannot hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mooring.broker.password_lines import CANARY_USERNAME, check_username
from mooring.errors import Conflict, Invalid
from mooring.identity.account import Account

__all__ = ["Mode", "Obstacle", "Plan", "plan", "require"]

NAMED_MOST = 5
"""Obstacles written into the message; all of them are in the error's context."""


class Mode(StrEnum):
    """The authorities, as the setting ``auth_mode`` names them."""

    PLUGIN = "plugin"
    DYNAMIC_SECURITY = "dynamic_security"
    PASSWORD_FILE = "password_file"  # noqa: S105 - a mode's name

    @property
    def words(self) -> str:
        return {
            Mode.PLUGIN: "Mooring's plugin",
            Mode.DYNAMIC_SECURITY: "Dynamic Security",
            Mode.PASSWORD_FILE: "the password file",
        }[self]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An account the target cannot hold, and why, as a sentence."""

    username: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to move, and what cannot."""

    to: Mode
    accounts: tuple[Account, ...]
    obstacles: tuple[Obstacle, ...]


def plan(accounts: Iterable[Account], to: Mode, *, service: Iterable[str]) -> Plan:
    """Looks at every account.

    Args:
        accounts: as the database has them.
        service: the platform's own usernames.
    """
    every = tuple(accounts)
    reserved = {*service, CANARY_USERNAME}
    obstacles = []
    for account in every:
        why = _obstacle(account, to, reserved)
        if why:
            obstacles.append(Obstacle(account.username, why))
    return Plan(to, every, tuple(obstacles))


def require(found: Plan) -> None:
    """Rejects a plan with obstacles.

    Raises:
        Conflict: naming the first accounts; ``context["usernames"]`` has all.
    """
    if not found.obstacles:
        return
    first = " ".join(o.why for o in found.obstacles[:NAMED_MOST])
    more = len(found.obstacles) - NAMED_MOST
    rest = f" There are {more} more." if more > 0 else ""
    raise Conflict(
        f"{len(found.obstacles)} of {len(found.accounts)} accounts cannot move to "
        f"{found.to.words}. {first}{rest}",
        hint="Keep the current authority, or remove these accounts.",
        code="migration_impossible",
        usernames=[o.username for o in found.obstacles],
    )


def _obstacle(account: Account, to: Mode, reserved: set[str]) -> str:
    if account.username in reserved:
        return f"The username {account.username!r} is reserved for the platform there."
    if to is not Mode.PASSWORD_FILE:
        return ""
    try:
        check_username(account.username)
    except Invalid as exc:
        return exc.message
    for topic in (*account.rights.publish, *account.rights.subscribe):
        if topic != topic.strip() or not topic.isprintable():
            name = repr(account.username)
            return f"The topic {topic!r} of {name} cannot be written to an access list."
    return ""
