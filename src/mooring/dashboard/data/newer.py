"""Lists whose rows arrive by themselves: their topics, and how their rows are told apart. Pure.

A list that is shown never changes by itself; an open page offers the rows that came since
(``live.newest``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from mooring.commands.rules import OPEN, State
from mooring.credentials.claims.model import ClaimCode
from mooring.discovery.model import Unknown

__all__ = ["ALERTS", "COMMANDS", "row_of_code", "row_of_unknown", "topic"]

TOPIC_LENGTH = 900  # characters; the filters of a list that has a longer one are not watched

COMMANDS = {
    "": ("All", ()),
    "open": ("Open", tuple(OPEN)),
    "failed": ("Failed", (State.FAILED, State.REJECTED, State.TIMED_OUT, State.EXPIRED)),
    "done": ("Done", (State.DONE,)),
}
"""What the list of commands is narrowed to: word of the address → its name, and the states."""
ALERTS: Mapping[str, bool | None] = {"": True, "all": None, "cleared": False}
"""What the list of alerts is narrowed to: word of the address → whether they are open."""


def topic(name: str, pairs: Iterable[tuple[str, str]] = ()) -> str:
    """The topic of a list with these filters; empty where they are too long."""
    query = urlencode([pair for pair in pairs if pair[1]])
    found = f"newest:{name}?{query}" if query else f"newest:{name}"
    return found if len(found) <= TOPIC_LENGTH else ""


def row_of_unknown(one: Unknown) -> str:
    """An unknown device of a list; it has no number."""
    return f"{one.dialect}/{one.tenant}/{one.name}"


def row_of_code(one: ClaimCode, at: int) -> str:
    """A claim code of a list. One that is used is another row: it is an arrival."""
    return f"{one.id}.{one.state(at)}"
