"""What happens to an update, applied to its value: reports, bytes, connections, versions, time.
Pure. This module has offers, reports and bytes, and the names of all.

Each function returns the update as it is afterwards, or ``None`` where nothing changes. States
change only by ``TABLE``.

Failure invariant: an update is in one state, every open one has a deadline, and every chain of
deadlines ends. ``confirmed`` means that the device named the new version in a message of a session
that began after the install.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mooring.ota.updates.advancing import HISTORY_MAX, Present, Said, advance, due, loop
from mooring.ota.updates.model import INSTALL_BEGUN, NOT_BEGUN, Code, State, Update, Way
from mooring.ota.updates.passing import time
from mooring.ota.updates.sessions import linked, named, polled
from mooring.ota.updates.table import TABLE, Event
from mooring.ota.updates.waits import (
    DEFER_MAX_MS,
    INSTALLS_MAX,
    OFFERS_MAX,
    RENEW_MS,
    Waits,
)

__all__ = [
    "HISTORY_MAX",
    "TABLE",
    "Event",
    "Present",
    "Said",
    "advance",
    "dropped",
    "linked",
    "named",
    "polled",
    "renew",
    "report",
    "served",
    "taken",
    "time",
]

# ---------------------------------------------------------------------- offers


def taken(update: Update, at: int, waits: Waits, words: str = "") -> Update | None:
    """The broker has taken the offer for the device's session."""
    return advance(update, Event.TAKEN, at, waits, words=words, offers=update.offers + 1)


def renew(update: Update, at: int, waits: Waits, words: str = "") -> Update | None:
    """The device's link has expired: it gets a fresh offer, at most one in ``RENEW_MS``, and no
    attempt is used."""
    if update.renewed_at is not None and 0 <= at - update.renewed_at < RENEW_MS:
        return None
    if update.state is State.WAITING and update.downlink_id is None:
        return None  # one is about to be written
    if update.offers >= OFFERS_MAX or update.asked_at is not None:
        return None
    if update.download_at is not None and at >= update.download_at + waits.download:
        return None  # its time for downloading is over, however often it begins again
    return advance(update, Event.AGAIN, at, waits, words=words, renewed_at=at)


def dropped(before: Update, after: Update) -> int | None:
    """The message with an offer that is not to be handed over any more, after a change."""
    if before.state is not State.WAITING or before.downlink_id is None:
        return None
    kept = after.state in (State.WAITING, State.OFFERED)
    same = after.downlink_id == before.downlink_id
    return None if kept and same else before.downlink_id


# ---------------------------------------------------------------------- reports


def report(update: Update, said: Said, at: int, waits: Waits) -> Update | None:
    """What the device reports. A report that it made before a newer one changes nothing."""
    event = said.event
    late = said.ts is not None and update.reported_ts is not None and said.ts < update.reported_ts
    if late:
        return None
    back = event is Event.DOWNLOADING and update.state in INSTALL_BEGUN
    if back and said.ts is not None and said.ts <= update.state_at:
        return None  # it waited in the device's queue
    changes: dict[str, Any] = {}
    if said.ts is not None:
        changes["reported_ts"] = said.ts
    if said.log:
        changes["log"] = said.log
    more = {"words": said.words, "code": said.code}
    if back and update.installs >= INSTALLS_MAX:
        return advance(update, Event.LOOP, at, waits, **loop(said.words), **changes)
    if event is Event.FAILED:
        return _failed(update, said, at, waits, changes)
    if event is Event.DEFERRED:
        later = min(max(0, said.later_ms or 0) or waits.answer, DEFER_MAX_MS)
        most = update.created_at + waits.offer + DEFER_MAX_MS
        changes |= {
            "until": at + later,
            "expires_at": max(update.expires_at, min(at + later + waits.answer, most)),
        }
    if event is Event.DOWNLOADING:
        changes |= {"progress_at": at}
        if said.percent is not None:
            changes["percent"] = said.percent
    return advance(update, event, at, waits, **more, **changes)


def _failed(
    update: Update, said: Said, at: int, waits: Waits, changes: dict[str, Any]
) -> Update | None:
    link = said.code == Code.LINK and update.state in (*NOT_BEGUN, State.DOWNLOADING)
    if link:
        fresh = renew(update, at, waits, said.words)
        if fresh is not None:
            return due(replace(fresh, **changes), waits)
    if update.state in INSTALL_BEGUN and update.installs >= INSTALLS_MAX:
        return advance(update, Event.LOOP, at, waits, **loop(said.words), **changes)
    if update.state is State.DOWNLOADING and update.asked_at is not None:
        return advance(update, Event.CANCELLED, at, waits, words=said.words, **changes)
    code = said.code or Code.UNKNOWN
    return advance(update, Event.FAILED, at, waits, words=said.words, code=code, **changes)


def served(update: Update, to_byte: int, at: int, waits: Waits, *, whole: bool) -> Update | None:
    """The file was served up to a byte, exclusive.

    Args:
        whole: every byte was served, in one or several ranges.
    """
    if update.state in INSTALL_BEGUN or (update.state, Event.BYTES) not in TABLE:
        return None
    far = update.size if whole else min(max(0, to_byte), update.size)
    far = max(update.served, far)
    begun = update.download_at is not None or update.install_in
    if update.state is State.DEFERRED and begun and far >= update.size > 0:
        # It has the whole file and waits; how far it came is noted later than it says so.
        return None if far == update.served else replace(update, served=far, percent=100)
    if update.state is State.DOWNLOADING and far == update.served:
        newer = update.progress_at is None or at > update.progress_at
        return due(replace(update, progress_at=at), waits) if newer else None
    percent = min(100, far * 100 // update.size) if update.size else None
    if update.percent is not None and percent is not None:
        percent = max(percent, update.percent)
    after = advance(update, Event.BYTES, at, waits, served=far, percent=percent)
    if after is None:
        return None
    after = due(replace(after, progress_at=at), waits)
    away = update.linked is False or update.way is Way.DDI
    if (
        far >= update.size > 0 and away and not update.install_in
    ):  # it has ended its session, or had none, to download
        return advance(after, Event.FETCHED, at, waits) or after
    return after
