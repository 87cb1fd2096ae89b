"""Evaluates rules: committed messages through a cursor, and the clock.

    rule_queue (a row a batch, while there are rules) → messages → ``Engine`` → one transaction:
    what was read leaves the queue, states, alerts

Killed anywhere, the next evaluation reads the same messages again and comes to the same result.
One process at a time, the one that holds the lease; another one that still works by mistake finds
the queue changed, and writes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.alerts.changes import Change, apply
from mooring.alerts.model import LATE_MS, Bounds, Clear, Note, Raise, Source, rule_key
from mooring.alerts.rules import store
from mooring.alerts.rules.engine import Drained, Engine, Finding, Reading
from mooring.alerts.rules.evaluate import Compiled, What, compile_rule, released
from mooring.alerts.rules.model import Rule
from mooring.alerts.rules.plan import About
from mooring.alerts.rules.selecting import Selected, select
from mooring.alerts.rules.words import condition
from mooring.devices.following import follow
from mooring.devices.index import DeviceIndex
from mooring.dialects import Catalogue, PayloadLimits
from mooring.dialects.live import LiveCatalogue
from mooring.errors import MooringError
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.model import ROLLED
from mooring.rollups.queue import Span, rolled_channels
from mooring.settings import Settings
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.processes import is_alive
from mooring.store.schema import processes
from mooring.store.tally import add_to_counter

__all__ = ["LEASE", "RuleWorker", "body_of", "bounds_of"]

log = logging.getLogger(__name__)

LEASE = "rules"
STEP_SECONDS = 0.25
STANDBY_SECONDS = 1.0
MESSAGES = 10_000  # in one transaction
SELECT_MS = 30_000  # between two looks at which devices queries and groups stand for
SETTLE_MS = 500
"""The clock is looked at so long ago: messages that were received then are committed."""


class Superseded(Exception):
    """Somebody else has worked, or changed a rule, meanwhile: what is known is not true any
    more."""


def bounds_of(settings: Settings) -> Bounds:
    return Bounds(
        settings.alerts_open_max_per_device,
        settings.alerts_open_max_per_tenant,
        settings.alerts_kept_per_device,
    )


@dataclass(slots=True)
class _Known:
    """What was read from the database, by its versions."""

    engine: Engine
    rules: int
    held: int
    devices: int
    extractors: dict[int, Extractor]
    dialects: Catalogue
    all_rules: list[Rule]
    selected: Selected
    selected_at: int


class RuleWorker:
    """See the module.

    Args:
        catalogue: the dialects as they are now.
        hears: whether readings can be heard at a time; otherwise silence says nothing.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Callable[[], Catalogue],
        *,
        limits: PayloadLimits | None = None,
        bounds: Bounds | None = None,
        hears: Callable[[Connection, int], bool] | None = None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._limits = limits or PayloadLimits()
        self._bounds = bounds or Bounds()
        self._hears = hears or ingest_hears
        self._index: DeviceIndex | None = None
        self._known: _Known | None = None
        self._heard_since: int | None = 0
        self.evaluations = 0

    @classmethod
    def of(
        cls, database: Database, settings: Settings, catalogue: Catalogue, limits: PayloadLimits
    ) -> Self:
        """One that follows reloaded dialects."""
        stored = versions.stored(database, "dialects")
        live = LiveCatalogue(settings.dialects_dir, stored, catalogue)
        return cls(database, live.get, limits=limits, bounds=bounds_of(settings))

    async def run(self) -> None:
        """Until cancelled."""
        lease, lookout = Lease(self._database, LEASE), Lookout(self._database)
        try:
            while True:
                busy = False
                try:
                    if not (lease.fresh or await asyncio.to_thread(lease.held, after_dead=True)):
                        self._known = None
                        await asyncio.sleep(STANDBY_SECONDS)
                    elif self.has_rules or await self._is_needed(lookout):
                        busy = await asyncio.to_thread(self.step, now_ms())
                except MooringError as exc:
                    log.warning("rules are delayed: %s", exc)
                    await asyncio.sleep(STANDBY_SECONDS)
                if not busy:
                    await asyncio.sleep(STEP_SECONDS if self.has_rules else STANDBY_SECONDS)
        finally:
            self._known = None
            lookout.close()
            await asyncio.to_thread(_release, lease)

    async def _is_needed(self, lookout: Lookout) -> bool:
        """While there are no rules: whether there may be some now, or something to drop."""
        known = self._known
        found = await lookout.look(store.WORK, always=known is None)
        if found is None:
            return False
        version, waits = found
        return known is None or known.rules != (version or 0) or bool(waits)

    @property
    def has_rules(self) -> bool:
        return self._known is not None and self._known.devices >= 0

    def step(self, now: int) -> bool:
        """Reads some of what waits, and then the clock; whether more messages wait.

        Raises:
            DatabaseUnavailable: nothing was written; call again.
        """
        try:
            return self._step(now)
        except Superseded:
            self._known = None
            return True
        except BaseException:
            self._known = None
            raise

    # ------------------------------------------------------------------ one step

    def _step(self, now: int) -> bool:
        with self._database.read() as connection:
            rules = versions.version(connection, "rules")
            held = versions.version(connection, store.HELD)
            spans = store.queued(connection, MESSAGES)
            hears = self._hears(connection, now)
        known = self._known
        if known is None or known.rules != rules or known.dialects is not self._catalogue():
            known = self._known = self._open(rules, held, now)
        if not self.has_rules:
            return self._drop(spans)
        self._watch(known.engine, hears, now)
        self._follow_devices(known, now)
        if known.held != held:
            self._rearm(known, held)
        self._read(known, spans)
        more = sum(span.ids for span in spans) >= MESSAGES or len(spans) >= store.AT_ONCE
        if not more:
            known.engine.tick(now - SETTLE_MS)
        self._write(known, spans, known.engine.drain())
        return more

    def _drop(self, spans: list[Span]) -> bool:
        """Without rules nothing is read; the last of them may have left something."""
        if spans:
            with self._database.write(news=False) as connection:
                store.take(connection, spans)
        return bool(spans)

    def _open(self, version: int, held: int, now: int) -> _Known:
        catalogue = self._catalogue()
        with self._database.read() as connection:
            stored_rules = store.every(connection)
            rules = [compile_rule(rule) for rule in stored_rules]
            if not rules:
                nothing = Engine((), lambda _: None)
                return _Known(nothing, version, held, -1, {}, catalogue, [], {}, now)
            selected = select(connection, stored_rules)
            extractors = self._extractors(rolled_channels(connection, ROLLED), catalogue)
            stored = store.states(connection)
        index = self._devices(catalogue)
        engine = Engine(rules, lambda number: _about(index, known.selected, number))
        known = _Known(
            engine,
            version,
            held,
            index.version,
            extractors,
            catalogue,
            stored_rules,
            selected,
            now,
        )
        for one in stored:
            state = released(one.state) if one.rearmed else one.state
            engine.set_state(one.rule, one.device, state)
        engine.leave(now)
        self._hear_latest(known, rules)
        return known

    def _devices(self, catalogue: Catalogue) -> DeviceIndex:
        if self._index is None:
            self._index = DeviceIndex(catalogue)
        self._index.use(catalogue)
        for _ in follow(self._index, self._database):
            pass
        return self._index

    def _follow_devices(self, known: _Known, now: int) -> None:
        index = self._devices(known.dialects)
        old = not 0 <= now - known.selected_at < SELECT_MS
        if index.version == known.devices and not (old and known.selected):
            return
        with self._database.read() as connection:
            selected = select(connection, known.all_rules)
        same = index.version == known.devices and selected == known.selected
        known.devices, known.selected, known.selected_at = index.version, selected, now
        if not same:
            known.engine.devices_changed()
            known.engine.leave(now)

    def _extractors(
        self, channels: Mapping[int, tuple[str, str]], catalogue: Catalogue
    ) -> dict[int, Extractor]:
        names = set(catalogue.names())
        found = {}
        for number, (dialect, name) in channels.items():
            channel = catalogue.get(dialect).channel(name) if dialect in names else None
            made = None if channel is None else extractor(channel, self._limits, lambda _: None)
            if made is not None:
                found[number] = made
        return found

    def _hear_latest(self, known: _Known, rules: list[Compiled]) -> None:
        """When devices were heard last, for terms about silence."""
        tenants = {
            rule.rule.tenant for rule in rules if any(term.silence_ms for term in rule.terms)
        }
        with self._database.read() as connection:
            rows = store.heard(connection, tenants, list(known.extractors))
        for device, channel, at, payload in rows:
            plan = known.engine.plan(device)
            if plan is None or not plan.silent:
                continue
            body = body_of(known.extractors[channel], payload)
            for metric in {silent.metric for silent in plan.silent}:
                if not metric or metric in body:
                    known.engine.set_heard(device, metric, at)

    def _rearm(self, known: _Known, held: int) -> None:
        with self._database.read() as connection:
            for rule, device in store.rearmed(connection):
                known.engine.rearm(rule, device)
        known.held = held

    def _watch(self, engine: Engine, hears: bool, now: int) -> None:
        """While ingest does not run or is not connected, silence says nothing."""
        if not hears:
            self._heard_since = None
        elif self._heard_since is None:
            self._heard_since = now
        engine.watch(self._heard_since)

    # ------------------------------------------------------------------ messages

    def _read(self, known: _Known, spans: list[Span]) -> None:
        if not spans:
            return
        engine, extractors = known.engine, known.extractors
        with self._database.read() as connection:
            self._new_channels(connection, known)
            rows = store.messages(connection, spans, list(extractors))
            rows = [row for row in rows if engine.plan(row[0]) is not None]
            unknown = {(r[0], r[1]) for r in rows if not engine.knows(r[0], r[1])}
            if unknown:
                newest = store.newest_before(
                    connection,
                    unknown,
                    since=min(row[3] for row in rows) - LATE_MS,
                    before_id=spans[0].first_id,
                )
                for device, channel in unknown:
                    engine.set_newest(device, channel, newest.get((device, channel), 0))
        bodies = _bodies(extractors, rows)
        for (device, channel, ts, received_at, _), body in zip(rows, bodies, strict=True):
            if body:
                engine.take(Reading(device, channel, ts, received_at, body))

    def _new_channels(self, connection: Connection, known: _Known) -> None:
        found = rolled_channels(connection, ROLLED)
        if found.keys() - known.extractors.keys():
            known.extractors.update(self._extractors(found, known.dialects))

    # ------------------------------------------------------------------ writing

    def _write(self, known: _Known, spans: list[Span], drained: Drained) -> None:
        if not (spans or drained.findings or drained.states):
            return
        with self._database.write(news=bool(drained.findings)) as connection:
            if spans and not store.take(connection, spans):
                raise Superseded
            if (
                versions.version(connection, "rules") != known.rules
                or versions.version(connection, store.HELD) != known.held
            ):
                raise Superseded
            store.write_states(connection, drained.states)
            apply(connection, changes_of(drained), self._bounds)
            for name, number in (
                ("rule_evaluations", drained.evaluations),
                ("rule_readings_late", drained.late),
            ):
                if number:
                    add_to_counter(connection, name, number)
        self.evaluations += drained.evaluations


def changes_of(drained: Drained) -> list[Change]:
    """What findings and late readings make of alerts."""
    changes: list[Change] = [_change(finding) for finding in drained.findings]
    changes += [
        Note(rule_key(rule, device), at, f"A late reading: {said}.")
        for (rule, device), (at, said) in sorted(drained.notes.items())
    ]
    return changes


def _change(finding: Finding) -> Change:
    rule, outcome = finding.rule.rule, finding.outcome
    key = rule_key(rule.id, finding.device)
    if outcome.what is What.CLEARED:
        return Clear(key, outcome.at, finding.value)
    return Raise(
        key=key,
        tenant=rule.tenant,
        device_id=finding.device,
        source=Source.RULE,
        name=rule.name,
        severity=finding.rule.severity(outcome.step),
        at=outcome.at,
        message=rule.definition.text or condition(rule.definition),
        value=finding.value,
        rule_id=rule.id,
    )


def _bodies(
    extractors: Mapping[int, Extractor], rows: list[tuple[int, int, int, int, str]]
) -> list[Mapping[str, Any] | None]:
    """Readings of messages by name, many of one channel at once."""
    found: list[Mapping[str, Any] | None] = [None] * len(rows)
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row[1], []).append(place)
    for channel, mine in places.items():
        how = extractors[channel]
        texts = [rows[place][4] for place in mine]
        try:
            bodies = how.find(texts)
        except Exception:  # noqa: BLE001 - one of them; the others are read one by one
            bodies = [_one(how, text) for text in texts]
        for place, body in zip(mine, bodies, strict=True):
            if body is not None:
                found[place] = _flat(how, body)
    return found


def _one(how: Extractor, text: str) -> dict[str, Any] | None:
    try:
        return how.find([text])[0]
    except Exception:  # noqa: BLE001 - it says nothing that a rule could be about
        return None


def body_of(how: Extractor, text: str) -> Mapping[str, Any]:
    body = _one(how, text)
    return {} if body is None else _flat(how, body)


def _flat(how: Extractor, body: dict[str, Any]) -> Mapping[str, Any]:
    """Nested readings get their names; most messages have none."""
    for value in body.values():
        if value.__class__ in (dict, list):
            return how.slowly(body)
    return body


def _about(index: DeviceIndex, selected: Selected, number: int) -> About | None:
    ref = index.by_id(number)
    if ref is None:
        return None
    chosen = [
        (kind, text)
        for (tenant, kind, text), numbers in selected.items()
        if tenant == ref.tenant and number in numbers
    ]
    return About(ref.tenant, ref.name, ref.dialect.name, frozenset(chosen))


def ingest_hears(connection: Connection, now: int) -> bool:
    """Whether an ingest process runs and is connected."""
    p = processes.c
    found = connection.execute(sa.select(p.beat_at, p.detail).where(p.role == "ingest")).all()
    return any(
        is_alive(row[0], now) and json.loads(row[1]).get("connected") is not False for row in found
    )


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except MooringError as exc:
        log.warning("the lease of rules was not released: %s", exc)
