"""Unknown devices, decisions and rules as values. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mooring.credentials.claims.model import Issued

__all__ = [
    "Accepted",
    "Action",
    "Answer",
    "Heard",
    "NewRule",
    "Rule",
    "RuleMade",
    "State",
    "Unknown",
]

DAY_MS = 86_400_000


class State(StrEnum):
    """What is decided about an unknown device; also the ``status`` of the answer to it."""

    PENDING = "pending"
    ACCEPTED = "accepted"  # it can claim its credentials
    REFUSED = "refused"


class Heard(StrEnum):
    """How the platform knows that an unknown device exists."""

    REGISTRATION = "registration"  # it asked to be registered
    MESSAGE = "message"  # a login of the broker published in its name
    LOGIN = "login"  # somebody tried to log in with its name


class Action(StrEnum):
    """What a rule does with a device that it matches."""

    ACCEPT = "accept"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A device that was heard and is not known.

    Attributes:
        tenant: as its topic or username says; ``default`` where the dialect's topics name none.
        messages: how many it has published.
        about: what its registration says of it; not checked.
        until: when the decision ends and the device is pending again.
    """

    dialect: str
    tenant: str
    name: str
    heard: Heard
    state: State
    first_seen_at: int
    last_seen_at: int
    messages: int
    last_topic: str
    registered_at: int | None
    about: Mapping[str, Any]
    decided_at: int | None = None
    until: int | None = None
    actor: str = ""
    reason: str = ""
    claim_id: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A device that may have credentials, and the code with which it claims them."""

    device: Unknown
    name: str
    issued: Issued


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to add; unchecked.

    Attributes:
        pattern: a name of devices in which ``*`` stands for any characters.
        per_day: how many devices it accepts in one day (UTC); 0 for one that refuses.
    """

    dialect: str
    pattern: str
    action: Action
    tenant: str = "default"
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is stored. ``day`` is the one of ``used_today``, in days since 1970."""

    id: int
    tenant: str
    dialect: str
    pattern: str
    action: Action
    per_day: int
    created_at: int
    created_by: str
    day: int
    used_today: int
    used: int

    def today(self, at: int) -> int:
        """How many devices it has accepted today."""
        return self.used_today if self.day == at // DAY_MS else 0

    def left(self, at: int) -> int:
        """How many devices it still accepts today."""
        return self.per_day - self.today(at)


@dataclass(frozen=True, slots=True)
class RuleMade:
    """A new rule, and the fleet code of one that accepts; shown once."""

    rule: Rule
    code: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A message to a device that is not known."""

    topic: str
    payload: bytes
    qos: int
