"""One step of an update: its next state by ``TABLE``, with what that state begins with. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mooring.ota.updates.model import FINAL, INSTALL_BEGUN, Code, Seen, State, Step, Update
from mooring.ota.updates.table import TABLE, Event
from mooring.ota.updates.waits import INSTALLS_MAX, Waits, deadline

__all__ = ["HISTORY_MAX", "Present", "Said", "advance", "due", "loop"]

HISTORY_MAX = 32
"""States kept of one update: the first one and the newest."""
STEP_MAX = 300
"""Characters of the words in one of them."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a device reports of its update.

    Attributes:
        ts: the device's own time; ``None``: it gave none to believe.
        later_ms: for how long it puts the offer off.
    """

    event: Event
    code: str = ""
    words: str = ""
    log: str = ""
    percent: int | None = None
    ts: int | None = None
    later_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What is known of a device when the time of its update is up.

    Attributes:
        heard_at: its newest message.
        critical: a critical alert of it is open.
    """

    heard_at: int | None = None
    critical: bool = False


def advance(
    update: Update,
    event: Event,
    at: int,
    waits: Waits,
    *,
    words: str = "",
    code: str = "",
    **changes: Any,
) -> Update | None:
    """The update after an event; ``None``: nothing changes.

    Args:
        at: epoch milliseconds.
        words, code: why, with an event that ends it.
        changes: values of ``Update`` that change with it.
    """
    to = TABLE.get((update.state, event))
    if to is None:
        return None
    values: dict[str, Any] = {}
    if to is not update.state or event is Event.AGAIN:
        step = Step(at, to, str(event), words[:STEP_MAX])
        values = _entered(update, to, at) | {"history": _kept((*update.history, step))}
    if to in FINAL and (words or code):
        values |= {"code": code or update.code, "words": words or update.words}
    return due(replace(update, **(values | changes)), waits)


def due(update: Update, waits: Waits) -> Update:
    return replace(update, due_at=deadline(update, waits))


def _kept(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if len(steps) <= HISTORY_MAX:
        return steps
    return (steps[0], *steps[-(HISTORY_MAX - 1) :])


def _entered(update: Update, to: State, at: int) -> dict[str, Any]:
    """What a state begins with."""
    values: dict[str, Any] = {"state": to, "state_at": at}
    nothing_seen = {"session_at": None, "seen": Seen.NOTHING, "seen_since": None, "seen_ts": None}
    if to in FINAL:
        return values | {"finished_at": at}
    if to is State.WAITING:
        return values | {"downlink_id": None}
    if to is State.DOWNLOADING:
        again = update.state in INSTALL_BEGUN
        begun = at if again or update.download_at is None else update.download_at
        values |= {
            "attempts": max(1, update.attempts),
            "offers": 0,
            "download_at": begun,
            "progress_at": at,
            "install_at": None,
        }
        return values | nothing_seen | ({"served": 0, "percent": None} if again else {})
    if to in INSTALL_BEGUN:
        if update.state not in INSTALL_BEGUN:
            return values | nothing_seen | {"installs": update.installs + 1, "install_at": at}
        if to is State.INSTALLING:  # it is not over, so no session began after it
            return values | nothing_seen
    return values


def loop(words: str) -> dict[str, str]:
    """Why an update ends after two installs without a confirmation."""
    return {"words": words or f"{INSTALLS_MAX} installs were not confirmed.", "code": Code.LOOP}
