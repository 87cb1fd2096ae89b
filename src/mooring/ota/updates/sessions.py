"""What connections of a device, and the versions that its messages name, do to its update. Pure."""

from __future__ import annotations

from dataclasses import replace

from mooring.ota.updates.advancing import advance, due
from mooring.ota.updates.model import INSTALL_BEGUN, Seen, State, Update, Way
from mooring.ota.updates.table import Event
from mooring.ota.updates.waits import SKEW_MS, Waits, by_interval

__all__ = ["linked", "named", "polled"]

# ---------------------------------------------------------------------- connections


def linked(update: Update, since: int, waits: Waits, *, connected: bool) -> Update | None:
    """The device has connected or disconnected.

    Args:
        since: when; a change that is older than a known one is ignored.
    """
    if update.linked_at is not None and (
        since < update.linked_at or (since == update.linked_at and connected is update.linked)
    ):
        return None
    if update.over or update.way is Way.DDI:
        return None
    first = update.linked_at is None
    before = update
    if connected and update.linked and not first:  # the end of its former session was missed
        update = _left(update, since, waits) or update
    step = _came if connected else _left
    after = step(update, since, waits)
    after = replace(after or update, linked=connected, linked_at=since)
    after = due(after, waits)
    return None if after == before else after


def _left(update: Update, since: int, waits: Waits) -> Update | None:
    whole = update.size and update.served >= update.size
    if update.state is State.DOWNLOADING and whole and not update.install_in:
        return advance(update, Event.FETCHED, since, waits)
    if update.state is State.INSTALLED and not by_interval(update, waits):
        update = replace(update, session_at=None)
    return advance(update, Event.LEFT, since, waits)


def _came(update: Update, since: int, waits: Waits) -> Update | None:
    if update.state not in INSTALL_BEGUN:
        return advance(update, Event.CAME, since, waits)
    if update.install_at is not None and since < update.install_at:
        return None
    if not (by_interval(update, waits) and update.session_at is not None):
        counts = update.seen_ts is not None and update.seen_ts >= since - SKEW_MS
        update = replace(update, session_at=since)
        if not counts:
            update = replace(update, seen=Seen.NOTHING, seen_since=None, seen_ts=None)
    after = advance(update, Event.CAME, since, waits)
    if after is not None and not (after.provable or after.reports):
        return advance(after, Event.BACK, since, waits) or after
    return after


def polled(update: Update, at: int, waits: Waits) -> Update | None:
    """A device that gets its offers over HTTP has asked again: after an install, that is its first
    sign of life."""
    if update.way is not Way.DDI or update.state is not State.INSTALLED:
        return None
    if update.session_at is not None:
        return None
    return due(replace(update, session_at=at), waits)


# ---------------------------------------------------------------------- versions


def named(update: Update, seen: Seen, ts: int, at: int, waits: Waits) -> Update | None:
    """A message named a version.

    Args:
        seen: which one.
        ts: the message's time: the device's own, or else that of arrival.
        at: when it arrived.
    """
    if seen is Seen.NOTHING:
        return None
    if update.state is State.CONFIRMED:
        again = seen is Seen.OLD and ts > (update.finished_at or update.state_at)
        return _regressed(update, at, waits) if again else None
    began = update.download_at or update.offer_at or update.created_at
    if update.state not in INSTALL_BEGUN:
        if seen is not Seen.NEW or ts <= update.created_at:
            return None
        after = advance(update, Event.NAMED, at, waits)
    elif _is_old(update, ts):
        return None
    elif seen is Seen.NEW and update.state is not State.INSTALLED:
        after = advance(update, Event.NAMED, at, waits)
    else:
        after = update
    return None if after is None else _seen(after, seen, ts, at, waits, _session(after, ts, began))


def _is_old(update: Update, ts: int) -> bool:
    """Whether a message is older than another one, or than the session."""
    if update.seen_ts is not None and ts < update.seen_ts:
        return True
    return update.session_at is not None and ts < update.session_at - SKEW_MS


def _session(update: Update, ts: int, began: int) -> int | None:
    """Where the session after the install is not known: the one in which the new version is named,
    if it began after the download did."""
    if update.linked is None:
        return ts  # nothing is known of sessions
    since = update.linked_at or 0
    return since if update.linked and since > began and ts >= since - SKEW_MS else None


def _seen(  # noqa: PLR0917 - one message
    update: Update, seen: Seen, ts: int, at: int, waits: Waits, session: int | None
) -> Update:
    """Which version was named, and since when."""
    if seen is Seen.NEW and update.session_at is None:
        update = replace(update, session_at=session)
    since = update.seen_since if update.seen is seen and update.seen_since is not None else at
    return due(replace(update, seen=seen, seen_ts=ts, seen_since=since), waits)


def _regressed(update: Update, at: int, waits: Waits) -> Update | None:
    words = f"It runs {update.from_version or 'another version'} again."
    return advance(update, Event.OLD, at, waits, words=words)
