"""What devices report of their settings, in the transaction that stores the message.

A report never changes what a device is to have. It moves the state of its settings, and shows
what it runs with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from mooring.device_settings.documents import canonical
from mooring.device_settings.level_store import note_sessions
from mooring.device_settings.of_jobs import reported_outcomes
from mooring.device_settings.rules import Record, Report, State, reported
from mooring.dialects import meaning
from mooring.dialects.model import Channel, Kind
from mooring.dialects.payload import look_up
from mooring.ingest.facts import Fact
from mooring.ingest.projection import Effect, Keys, Sees, of_kinds
from mooring.jobs.outcomes import note
from mooring.secrets.instance import Instance
from mooring.store.schema import device_settings, devices
from mooring.store.schema.base import shown
from mooring.store.upsert import Reading, Upsert

__all__ = ["REPORTED_MAX_BYTES", "SettingsReported"]

REPORTED_MAX_BYTES = 32_768
"""Of a reported document; a larger one is not kept."""

WORDS_MAX = 500  # characters of the reason that a device gives
VERSION_DIGITS = 18  # what 64 bits hold in any case
_REFUSED = frozenset({"error", "failed", "failure", "invalid", "refused", "rejected"})

Row = tuple[int, Report]


class SettingsReported:
    """The state of settings, as devices report it.

    Args:
        instance: seals what they report, which may hold secrets.
    """

    name = "settings reported"
    sees = Sees.STORED

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def wants(self, channel: Channel) -> Keys:
        return of_kinds(channel, frozenset({Kind.CONFIG_REPORTED}))

    def plan(self, facts: Sequence[Fact]) -> list[Row] | None:
        return [(fact.route.device_id, _report(fact)) for fact in facts if fact.body is not None]

    def apply(self, connection: Connection, rows: list[Row]) -> Sequence[Effect]:
        said: dict[int, list[Report]] = {}
        for device, report in rows:
            said.setdefault(device, []).append(report)
        known = {row[0]: _Known(*row[1:]) for row in _READ.execute(connection, sorted(said))}
        # A device may have been removed since ingest looked it up.
        new = sorted(said.keys() - known.keys())
        there = known.keys() | (
            {row[0] for row in _DEVICES.execute(connection, new)} if new else ()
        )
        changed, ended, applied = [], [], []
        for device in sorted(said.keys() & there):
            before = known.get(device, _NEW)
            first = _record(before)
            after = first
            for report in said[device]:
                after = reported(after, report)
            if after != first or device not in known:
                asks = _asks(first, after, downlink=before.downlink_id is not None)
                changed.append((device, *self._columns(first, after), asks or bool(before.due)))
            if after.state is not first.state:
                ended += reported_outcomes(device, after)
                if after.state is State.IN_SYNC:
                    applied.append(device)
        if changed:
            _WRITE.execute(connection, changed)
        if applied:
            # Now, and not when the worker looks: the device may be back in its next session then.
            note_sessions(connection, applied)
        note(connection, ended)
        return ()

    def _columns(self, first: Record, after: Record) -> tuple[Any, ...]:
        document = after.reported
        # What was there is sealed already.
        if document is not None and document is not first.reported:
            document = self._instance.seal(document).decode()
        return (
            str(after.state),
            after.refusals,
            after.words,
            after.reported_version,
            after.reported_seq,
            after.reported_at,
            document,
            after.too_large,
        )


class _Known(NamedTuple):
    version: int = 0
    state: str = str(State.NONE)
    refusals: int = 0
    words: str = ""
    reported_version: int | None = None
    reported_seq: int | None = None
    reported_at: int | None = None
    reported: str | None = None
    too_large: int = 0
    downlink_id: int | None = None
    due: bool = False


_NEW = _Known()


def _record(row: _Known) -> Record:
    """``reported`` stays sealed: it is only replaced here."""
    return Record(
        version=row.version,
        state=State(row.state),
        refusals=row.refusals,
        words=row.words,
        reported_version=row.reported_version,
        reported_seq=row.reported_seq,
        reported_at=row.reported_at,
        reported=row.reported,
        too_large=row.too_large,
    )


def _asks(before: Record, after: Record, *, downlink: bool) -> bool:
    """Whether the worker has something to do: to stop sending, to send again what was stopped
    and is applied now, or to end a downlink that was answered."""
    if after.state is before.state:
        return False
    answered = downlink and after.state is State.IN_SYNC
    return answered or State.STOPPED in (before.state, after.state)


def _report(fact: Fact) -> Report:
    shape, body = fact.channel.payload, fact.body
    said = meaning.outcome(shape, body)
    word = fact.reply_to
    version = int(word) if word is not None and _is_number(word) else None
    values = look_up(body, shape.values)
    document = canonical(values) if isinstance(values, dict) else None
    size = 0 if document is None else len(document)
    small = document is not None and size <= REPORTED_MAX_BYTES
    return Report(
        version=version,
        ok=not (said is False or said in _REFUSED),
        at=fact.received_at,
        seq=fact.seq,
        words=shown(meaning.error(shape, body), WORDS_MAX),
        document=document.decode() if small and document is not None else None,
        too_large=0 if small else size,
    )


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= VERSION_DIGITS


_STATE = (
    "state",
    "refusals",
    "words",
    "reported_version",
    "reported_seq",
    "reported_at",
    "reported",
    "too_large",
    "due",
)
_DEVICES = Reading(devices, ("id", "tenant"), "id")
_READ = Reading(device_settings, ("device_id", *_Known._fields), "device_id")
_WRITE = Upsert(
    device_settings,
    ("device_id", *_STATE),
    "device_id",
    lambda new: {name: new[name] for name in _STATE},
)
