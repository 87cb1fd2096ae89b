"""Which term applies to what: pure.

A term is a number of days; 0 means indefinitely. The most particular rule wins: one for tenant and
kind, then one for the tenant, then one for the kind, then the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.dialects import Kind
from mooring.errors import Invalid

__all__ = ["DAYS_MAX", "DAY_MS", "MINUTES", "ROLLUPS", "Policy", "Rule", "check", "cutoff", "kinds"]

DAY_MS = 86_400_000
DAYS_MAX = 36_500
FOR_EVER = 0

# Not kinds of messages, but what is kept of them.
MINUTES = "rollup_minutes"
ROLLUPS = "rollups"  # hours and days


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days something is kept.

    Attributes:
        tenant: whose; empty: every tenant's.
        kind: of what kind; empty: messages of every kind.
        days: 0: indefinitely.
    """

    tenant: str
    kind: str
    days: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules together with what applies without one.

    Attributes:
        messages, minutes, rollups: days, as the settings say.
        rules: the exceptions.
    """

    messages: int
    minutes: int
    rollups: int
    rules: tuple[Rule, ...] = ()
    _days: Mapping[tuple[str, str], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_days", {(r.tenant, r.kind): r.days for r in self.rules})

    def of_messages(self, tenant: str, kind: str) -> int:
        """Days that messages of this kind are kept."""
        for key in ((tenant, kind), (tenant, ""), ("", kind), ("", "")):
            if key in self._days:
                return self._days[key]
        return self.messages

    def of_rollups(self, tenant: str, *, minutes: bool) -> int:
        """Days that roll-ups are kept."""
        kind = MINUTES if minutes else ROLLUPS
        for key in ((tenant, kind), ("", kind)):
            if key in self._days:
                return self._days[key]
        return self.minutes if minutes else self.rollups

    def message_terms(self) -> list[int]:
        """Every finite number of days that may apply to a message, the fewest first."""
        days = {self.messages} | {r.days for r in self.rules if r.kind not in (MINUTES, ROLLUPS)}
        return sorted(days - {FOR_EVER})

    @property
    def longest(self) -> int | None:
        """The days after which no message of any kind or tenant is kept; ``None``: never."""
        days = {self.messages} | {r.days for r in self.rules if r.kind not in (MINUTES, ROLLUPS)}
        return None if FOR_EVER in days else max(days)


def cutoff(days: int, now: int) -> int | None:
    """What is older than this epoch time is not wanted any more; ``None``: all is kept."""
    return None if days == FOR_EVER else now - days * DAY_MS


def kinds() -> list[str]:
    """What a rule can be about, apart from everything."""
    return [*(str(kind) for kind in Kind), MINUTES, ROLLUPS]


def check(kind: str, days: int) -> None:
    """Raises ``Invalid`` for an unknown kind, or an invalid period."""
    if kind and kind not in kinds():
        raise Invalid(
            f"There is no kind {kind[:40]!a}.",
            hint=f"There are: {', '.join(kinds())}.",
            code="unknown_kind",
        )
    if not 0 <= days <= DAYS_MAX:
        raise Invalid(
            f"{days} days is not a valid retention period.",
            hint=f"Give 1 to {DAYS_MAX} days, or 0 to keep it indefinitely.",
            code="invalid_term",
        )
