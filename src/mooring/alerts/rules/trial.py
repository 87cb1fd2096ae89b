"""How often a rule would have raised an alert: the evaluation itself, over stored messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.alerts.rules.engine import Engine, Reading
from mooring.alerts.rules.evaluate import Compiled, What, compile_rule
from mooring.alerts.rules.model import Fired, Rule, Trial
from mooring.alerts.rules.plan import About
from mooring.alerts.rules.selecting import select
from mooring.alerts.rules.worker import body_of
from mooring.dialects import Catalogue, PayloadLimits
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.model import ROLLED
from mooring.rollups.queue import rolled_channels
from mooring.store.engine import Database
from mooring.store.schema import devices, messages

__all__ = ["DAYS_MAX", "FINDINGS_MAX", "MESSAGES_MAX", "try_rule"]

DAYS_MAX = 90
MESSAGES_MAX = 500_000
"""Messages that one trial reads; the rest is left out, and the answer says so."""
FINDINGS_MAX = 200
"""Alerts that are shown one by one; all are counted."""
DAY_MS = 86_400_000


def try_rule(
    database: Database,
    catalogue: Catalogue,
    rule: Rule,
    *,
    since: int,
    now: int,
    limits: PayloadLimits | None = None,
    most: int = MESSAGES_MAX,
) -> Trial:
    """Evaluates a rule over what its devices sent from ``since`` on (epoch milliseconds)."""
    compiled = compile_rule(rule)
    found = Trial()
    with database.read() as connection:
        known = _devices(connection, rule)
        extractors = _extractors(connection, catalogue, limits or PayloadLimits())
        for number, about in known.items():
            device = _Device(compiled, number, about, found)
            if not device.meant:
                continue
            found.devices += 1
            for channel, ts, received_at, payload in _messages(
                connection, number, since, extractors
            ):
                if found.messages >= most:
                    found.complete = False
                    break
                body = body_of(extractors[channel], payload)
                device.take(Reading(number, channel, ts, received_at, body))
            device.end(now if found.complete else None)
            if not found.complete:
                break
    return found


class _Device:
    """The evaluation of one device's messages."""

    def __init__(self, rule: Compiled, number: int, about: About, found: Trial) -> None:
        self._engine = Engine([rule], lambda _: about)
        self._about, self._found = about, found
        self._opened: Fired | None = None
        self._raised = 0
        self.meant = self._engine.plan(number) is not None

    def take(self, reading: Reading) -> None:
        self._found.messages += 1
        self._engine.tick(reading.received_at - 1)
        self._engine.take(reading)
        self._note()

    def end(self, now: int | None) -> None:
        """Until now; ``None``: its messages were not all read."""
        if now is not None:
            self._engine.tick(now)
            self._note()
        if self._opened is not None:
            _show(self._found, self._opened, None)
        self._found.raised += self._raised
        self._found.devices_raised += self._raised > 0

    def _note(self) -> None:
        drained = self._engine.drain()
        self._found.late += drained.late
        for finding in drained.findings:
            outcome = finding.outcome
            if outcome.what is What.RAISED:
                self._raised += 1
                severity = finding.rule.severity(outcome.step).word
                self._opened = Fired(self._about.name, outcome.at, None, severity, finding.value)
            elif outcome.what is What.CLEARED and self._opened is not None:
                _show(self._found, self._opened, outcome.at)
                self._opened = None


def _show(found: Trial, opened: Fired, cleared_at: int | None) -> None:
    if len(found.fired) < FINDINGS_MAX:
        found.fired.append(
            Fired(opened.device, opened.raised_at, cleared_at, opened.severity, opened.value)
        )


def _devices(connection: Connection, rule: Rule) -> dict[int, About]:
    selected = select(connection, [rule])
    rows = connection.execute(
        sa.select(devices.c.id, devices.c.name, devices.c.dialect)
        .where(devices.c.tenant == rule.tenant)
        .order_by(devices.c.id)
    )
    return {
        row[0]: About(
            rule.tenant,
            row[1],
            row[2],
            frozenset(key[1:] for key, numbers in selected.items() if row[0] in numbers),
        )
        for row in rows
    }


def _extractors(
    connection: Connection, catalogue: Catalogue, limits: PayloadLimits
) -> dict[int, Extractor]:
    found = {}
    for number, (dialect, name) in rolled_channels(connection, ROLLED).items():
        channel = catalogue.get(dialect).channel(name) if dialect in catalogue.names() else None
        made = None if channel is None else extractor(channel, limits, lambda _: None)
        if made is not None:
            found[number] = made
    return found


def _messages(
    connection: Connection, device: int, since: int, channels: Mapping[int, object]
) -> Iterator[tuple[int, int, int, str]]:
    """(channel, ts, received_at, payload) as they arrived, a thousand at a time."""
    c = messages.c
    after = 0
    while True:
        rows = connection.execute(
            sa.select(c.id, c.channel_id, c.ts, c.received_at, c.payload)
            .where(
                c.device_id == device,
                c.ts >= since,
                c.id > after,
                c.channel_id.in_(list(channels)),
            )
            .order_by(c.id)
            .limit(1000)
        ).all()
        for row in rows:
            yield row[1], row[2], row[3], row[4]
        if len(rows) < 1000:
            return
        after = rows[-1][0]
