"""What the end of a state's time does to an update. Pure."""

from __future__ import annotations

from dataclasses import replace

from mooring.ota.updates.advancing import Present, advance, loop
from mooring.ota.updates.model import NOT_BEGUN, Code, Seen, State, Update
from mooring.ota.updates.table import Event
from mooring.ota.updates.waits import (
    ATTEMPTS_MAX,
    INSTALLS_MAX,
    OFFERS_MAX,
    Waits,
    by_interval,
    hold_ms,
    shown_since,
)

__all__ = ["time"]

LOOK_MS = 60_000
"""Between two looks whether the alert that delays a confirmation is still open."""


def time(update: Update, at: int, waits: Waits, present: Present) -> Update | None:
    """The deadline of its state has passed. ``None`` for one that waits for its offer to be
    written."""
    if update.due_at is None or at < update.due_at:
        return None
    if update.state is State.CONFIRMED:
        return replace(update, due_at=None)
    if update.state in NOT_BEGUN:
        return _not_begun(update, at, waits)
    if update.state is State.DOWNLOADING:
        return _stalled(update, at, waits)
    return _proof(update, at, waits, present)


def _not_begun(update: Update, at: int, waits: Waits) -> Update | None:
    if at >= update.expires_at:
        words = "The device was not connected and subscribed in time."
        if update.offers and update.state is not State.WAITING:
            words = "The device did not answer the offer in time."
        return advance(update, Event.TIME, at, waits, words=words)
    if update.state is State.WAITING and update.downlink_id is None:
        return None
    if update.state is State.OFFERED and update.offers >= OFFERS_MAX:
        words = f"The device did not answer {OFFERS_MAX} offers."
        return advance(update, Event.TIME, at, waits, words=words)
    return advance(update, Event.AGAIN, at, waits)


def _stalled(update: Update, at: int, waits: Waits) -> Update | None:
    if update.asked_at is not None:
        words = "The device was asked to cancel, and did not continue."
        return advance(update, Event.CANCELLED, at, waits, words=words)
    if update.served >= update.size > 0 and not update.install_in:
        return advance(update, Event.FETCHED, at, waits)
    if update.attempts < ATTEMPTS_MAX:
        return advance(
            update,
            Event.AGAIN,
            at,
            waits,
            words="No byte was served.",
            attempts=update.attempts + 1,
            download_at=None,
        )
    words = f"The file was not downloaded in {ATTEMPTS_MAX} attempts."
    return advance(update, Event.STALLED, at, waits, words=words, code=Code.NETWORK)


def _proof(update: Update, at: int, waits: Waits, present: Present) -> Update | None:
    since, hold = shown_since(update), hold_ms(update, waits)
    shown = since is not None and at >= since + hold
    if shown and update.seen is Seen.OLD:
        return _over(update, Event.DISPROVED, at, waits, "It runs the old version again.")
    if update.state is not State.INSTALLED:
        return _over(update, Event.TIME, at, waits, "The device did not come back in time.")
    end = update.state_at + waits.proved
    if shown and since is not None and update.seen is Seen.NEW:
        if not _is_present(update, since + hold // 2, waits, present):
            if at < end:
                return _later(update, at, end)
        elif not present.critical:
            words = f"It has named {update.version} since it connected again."
            return advance(update, Event.PROVED, at, waits, words=words)
        elif at < end:
            return _later(update, at, end)
    words = "Nothing shows which version runs."
    if present.critical and update.seen is Seen.NEW:
        words = "It names the new version, and a critical alert is open."
    return advance(update, Event.NOT_PROVED, at, waits, words=words)


def _over(update: Update, event: Event, at: int, waits: Waits, words: str) -> Update | None:
    if update.installs >= INSTALLS_MAX:
        return advance(update, Event.LOOP, at, waits, **loop(""))
    return advance(update, event, at, waits, words=words)


def _is_present(update: Update, after: int, waits: Waits, present: Present) -> bool:
    """Whether the device is there: in session, or heard again, where sessions say nothing."""
    if update.linked is not None and not by_interval(update, waits):
        return update.linked
    return present.heard_at is not None and present.heard_at >= after


def _later(update: Update, at: int, end: int) -> Update:
    return replace(update, due_at=min(end, at + LOOK_MS))
