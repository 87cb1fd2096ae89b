"""What happens to an update, applied to its value: reports, bytes, connections, versions, time.
Pure.

Each function returns the update as it is afterwards, or ``None`` where nothing changes. States
change only by ``TABLE``.

Failure invariant: an update is in one state, every open one has a deadline, and every chain of
deadlines ends. ``confirmed`` means that the device named the new version in a message of a session
that began after the install.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mooring.ota.updates.model import (
    FINAL,
    INSTALL_BEGUN,
    NOT_BEGUN,
    Code,
    Seen,
    State,
    Step,
    Update,
    Way,
)
from mooring.ota.updates.table import TABLE, Event
from mooring.ota.updates.waits import (
    ATTEMPTS_MAX,
    DEFER_MAX_MS,
    INSTALLS_MAX,
    OFFERS_MAX,
    RENEW_MS,
    SKEW_MS,
    Waits,
    by_interval,
    deadline,
    hold_ms,
    shown_since,
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

HISTORY_MAX = 32
"""States kept of one update: the first one and the newest."""
STEP_MAX = 300
"""Characters of the words in one of them."""
LOOK_MS = 60_000
"""Between two looks whether the alert that delays a confirmation is still open."""


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
    return _due(replace(update, **(values | changes)), waits)


def _due(update: Update, waits: Waits) -> Update:
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
        return advance(update, Event.LOOP, at, waits, **_loop(said.words), **changes)
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
            return _due(replace(fresh, **changes), waits)
    if update.state in INSTALL_BEGUN and update.installs >= INSTALLS_MAX:
        return advance(update, Event.LOOP, at, waits, **_loop(said.words), **changes)
    if update.state is State.DOWNLOADING and update.asked_at is not None:
        return advance(update, Event.CANCELLED, at, waits, words=said.words, **changes)
    code = said.code or Code.UNKNOWN
    return advance(update, Event.FAILED, at, waits, words=said.words, code=code, **changes)


def _loop(words: str) -> dict[str, str]:
    return {"words": words or f"{INSTALLS_MAX} installs were not confirmed.", "code": Code.LOOP}


def served(update: Update, to_byte: int, at: int, waits: Waits, *, whole: bool) -> Update | None:
    """The file was served up to a byte, exclusive.

    Args:
        whole: every byte was served, in one or several ranges.
    """
    if update.state in INSTALL_BEGUN or (update.state, Event.BYTES) not in TABLE:
        return None
    far = update.size if whole else min(max(0, to_byte), update.size)
    far = max(update.served, far)
    if update.state is State.DOWNLOADING and far == update.served:
        newer = update.progress_at is None or at > update.progress_at
        return _due(replace(update, progress_at=at), waits) if newer else None
    percent = min(100, far * 100 // update.size) if update.size else None
    if update.percent is not None and percent is not None:
        percent = max(percent, update.percent)
    after = advance(update, Event.BYTES, at, waits, served=far, percent=percent)
    if after is None:
        return None
    after = _due(replace(after, progress_at=at), waits)
    away = update.linked is False or update.way is Way.DDI
    if (
        far >= update.size > 0 and away and not update.install_in
    ):  # it has ended its session, or had none, to download
        return advance(after, Event.FETCHED, at, waits) or after
    return after


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
    after = _due(after, waits)
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
    return _due(replace(update, session_at=at), waits)


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
    return _due(replace(update, seen=seen, seen_ts=ts, seen_since=since), waits)


def _regressed(update: Update, at: int, waits: Waits) -> Update | None:
    words = f"It runs {update.from_version or 'another version'} again."
    return advance(update, Event.OLD, at, waits, words=words)


# ---------------------------------------------------------------------- time


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
        return advance(update, Event.LOOP, at, waits, **_loop(""))
    return advance(update, event, at, waits, words=words)


def _is_present(update: Update, after: int, waits: Waits, present: Present) -> bool:
    """Whether the device is there: in session, or heard again, where sessions say nothing."""
    if update.linked is not None and not by_interval(update, waits):
        return update.linked
    return present.heard_at is not None and present.heard_at >= after


def _later(update: Update, at: int, end: int) -> Update:
    return replace(update, due_at=min(end, at + LOOK_MS))
