"""The checks. Each is a question to the database, or to the system, and finds what is so now.

docs/reference/alerts.md has a row for each; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mooring.alerts.model import Severity
from mooring.alerts.platform.model import MOST, Check, Found, Look
from mooring.broker.log import LogKind
from mooring.dialects.times import iso
from mooring.limits import storage_store
from mooring.limits.buckets import BYTES, MESSAGES
from mooring.limits.storage import NEARLY_PERCENT, SOON_PERCENT
from mooring.limits.storage_store import Full
from mooring.notify.model import FAILURES_MAX
from mooring.presence.evidence import LIMITED
from mooring.presence.states.machine import SAID_SO, SILENCE_MIN_MS, State
from mooring.store.processes import is_alive
from mooring.store.schema import (
    broker_events,
    certificates,
    dead_letters,
    device_state,
    devices,
    firmware_links,
    firmware_updates,
    limit_disconnects,
    presence,
    processes,
    recipients,
    rollup_queue,
    rule_queue,
    sequences,
)

__all__ = ["CHECKS", "EVENTS_LOOK", "SILENT", "WINDOW_MS"]

WINDOW_MS = 600_000
"""How far back events are counted."""
EVENTS_LOOK = 50_000
"""Newest broker events, and newest dead letters, among which those of the window are counted."""
AWAY = ("downloading", "installing", "rebooting")
"""States of a firmware update in which a small board is not connected."""
REVERTED_LOOK_MS = 7 * 86_400_000
"""How far back devices that went back to their old firmware count."""
LINKS_LOOK_MS = 3_600_000
"""How far back uses of download links by other devices count."""
DAY_MS = 86_400_000


def _silent(look: Look) -> Sequence[Found]:
    """Devices that sent nothing for 1.5 times the interval in which they send, connected or not;
    not those that said they would go, or that are busy with an update."""
    silence = sa.case(
        (presence.c.interval_ms * 3 / 2 < SILENCE_MIN_MS, SILENCE_MIN_MS),
        else_=presence.c.interval_ms * 3 / 2,
    )
    u = firmware_updates.c
    updating = sa.exists().where(
        u.device_id == devices.c.id, u.finished_at.is_(None), u.state.in_(AWAY)
    )
    said_so = presence.c.record.contains(SAID_SO, autoescape=True)
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant, device_state.c.last_seen_at)
        .join(presence, presence.c.device_id == devices.c.id)
        .join(device_state, device_state.c.device_id == devices.c.id)
        .where(
            devices.c.enabled,
            sa.not_(updating),
            presence.c.interval_ms.is_not(None),
            device_state.c.last_seen_at + silence <= look.at,
            sa.or_(
                presence.c.state == State.SILENT.value,
                sa.and_(presence.c.state == State.OFFLINE.value, sa.not_(said_so)),
            ),
        )
        .limit(MOST)
    )
    return [
        Found(str(row[0]), Severity.WARNING, "The device sends nothing.", row[1], row[0])
        for row in rows
    ]


def _refused(look: Look) -> Sequence[Found]:
    """Devices whose logins the broker rejects."""
    return _events(
        look,
        LogKind.REFUSED.value,
        look.settings.alert_refused_logins,
        "The broker rejects the logins of the device: `mooring device why` names the reason.",
    )


def _limited(look: Look) -> Sequence[Found]:
    """Devices that send more than their limit or that of their tenant: the broker disconnects
    them, or ingest drops messages of theirs, or they are disconnected for a time."""
    said = "The device sends more than its limit: `mooring device why` names it."
    least = look.settings.alert_limited_sessions
    found = {one.subject: one for one in _events(look, LIMITED, least, said)}
    for one in _letters(look, (BYTES, MESSAGES), least, said):
        found.setdefault(one.subject, one)
    d = limit_disconnects.c
    rows = look.connection.execute(
        sa.select(d.device_id, devices.c.tenant, d.until)
        .join(devices, devices.c.id == d.device_id)
        .limit(MOST)
    )
    for number, tenant, until in rows:
        text = f"The device sent more than its limit and is disconnected until {iso(until)}."
        found[str(number)] = Found(str(number), Severity.WARNING, text, tenant, number)
    return list(found.values())


def _events(look: Look, kind: str, least: int, message: str) -> list[Found]:
    e = broker_events.c
    newest = sa.select(sa.func.max(e.id)).scalar_subquery()
    some = (
        sa.select(e.username, sa.func.count().label("times"))
        .where(
            e.id > newest - EVENTS_LOOK,
            e.at > look.at - WINDOW_MS,
            e.event == kind,
            e.username.is_not(None),
        )
        .group_by(e.username)
        .having(sa.func.count() >= least)
        .limit(MOST)
        .subquery()
    )
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant, some.c.times).join(
            some, some.c.username == devices.c.username
        )
    )
    return [
        Found(str(row[0]), Severity.WARNING, message, row[1], row[0], f"{row[2]} in 10 min")
        for row in rows
    ]


def _denied(look: Look) -> Sequence[Found]:
    """Devices whose messages the broker denies for lack of rights."""
    said = "The broker denies messages of the device: it may not publish to their topics."
    return _letters(look, ("denied",), look.settings.alert_denied_publishes, said)


def _letters(look: Look, reasons: Sequence[str], least: int, message: str) -> list[Found]:
    d = dead_letters.c
    newest = sa.select(sa.func.max(d.id)).scalar_subquery()
    counted = sa.func.count()
    rows = look.connection.execute(
        sa.select(d.device_id, devices.c.tenant, counted)
        .join(devices, devices.c.id == d.device_id)
        .where(
            d.id > newest - EVENTS_LOOK,
            d.received_at > look.at - WINDOW_MS,
            d.reason.in_(reasons),
        )
        .group_by(d.device_id, devices.c.tenant)
        .having(counted >= least)
        .limit(MOST)
    )
    return [
        Found(str(row[0]), Severity.WARNING, message, row[1], row[0], f"{row[2]} in 10 min")
        for row in rows
    ]


def _reverted(look: Look) -> Sequence[Found]:
    """Devices that went back to the old version in their newest update."""
    update, newer = firmware_updates.c, firmware_updates.alias("newer")
    later = sa.exists().where(
        newer.c.device_id == update.device_id,
        newer.c.kind == update.kind,
        newer.c.id > update.id,
    )
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant, update.id, update.version)
        .select_from(firmware_updates)
        .join(devices, devices.c.id == update.device_id)
        .where(
            update.finished_at > look.at - REVERTED_LOOK_MS,
            update.state.in_(("reverted", "regressed")),
            ~later,
        )
        .order_by(update.id)
        .limit(MOST)
    )
    said = (
        "The device runs its old firmware again: `mooring firmware update show` names the reason."
    )
    return [
        Found(f"{row[0]}:{row[2]}", Severity.ERROR, said, row[1], row[0], row[3]) for row in rows
    ]


def _links(look: Look) -> Sequence[Found]:
    """Devices whose download links another device used, with its own credentials."""
    link, other = firmware_links.c, devices.alias("other")
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant, sa.func.max(other.c.name))
        .select_from(firmware_links)
        .join(devices, devices.c.id == link.device_id)
        .outerjoin(
            other, sa.and_(other.c.id == link.misused_by, other.c.tenant == devices.c.tenant)
        )
        .where(link.misused_at > look.at - LINKS_LOOK_MS)
        .group_by(devices.c.id, devices.c.tenant)
        .limit(MOST)
    )
    return [
        Found(
            str(row[0]),
            Severity.WARNING,
            "Another device tried to download firmware with a link of the device.",
            row[1],
            row[0],
            row[2] or "",
        )
        for row in rows
    ]


def _gaps(look: Look) -> Sequence[Found]:
    """Devices with numbers that have been missing for long."""
    before = look.at - look.settings.alert_gap_seconds * 1000
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant)
        .join(sequences, sequences.c.device_id == devices.c.id)
        .where(sequences.c.gap_since < before)
        .limit(MOST)
    )
    said = "Readings of the device are missing: `mooring device gaps` lists them."
    return [Found(str(row[0]), Severity.WARNING, said, row[1], row[0]) for row in rows]


def _certificates(look: Look) -> Sequence[Found]:
    """Devices whose newest certificate ends soon or has ended."""
    c = certificates.c
    newest = sa.func.max(c.not_after)
    rows = look.connection.execute(
        sa.select(devices.c.id, devices.c.tenant, newest)
        .join(certificates, c.device_id == devices.c.id)
        .where(c.revoked_at.is_(None), c.not_after > look.at - 400 * DAY_MS, devices.c.enabled)
        .group_by(devices.c.id, devices.c.tenant)
        .having(newest < look.at + look.settings.alert_days_before_expiry * DAY_MS)
        .limit(MOST)
    )
    return [_ends(row, look.at) for row in rows]


def _ends(row: Sequence[Any], at: int) -> Found:
    days = (row[2] - at) // DAY_MS
    over = row[2] <= at
    return Found(
        str(row[0]),
        Severity.ERROR if over else Severity.WARNING,
        "The certificate of the device has expired." if over else "A certificate expires soon.",
        row[1],
        row[0],
        "" if over else f"{days} days",
    )


def _dead_letters(look: Look) -> Sequence[Found]:
    """Many messages that cannot be stored as what they claim to be."""
    name = "dead_letters"
    more = look.counters.get(name, 0) - look.counters_before.get(name, 0)
    if more < look.settings.alert_dead_letters:
        return []
    said = "Many messages become dead letters: `mooring dead-letter list` shows why."
    return [Found("", Severity.WARNING, said, value=f"{more} in 10 min")]


def _storage(look: Look) -> Sequence[Found]:
    """Tenants whose stored messages come close to their limit."""
    most = look.settings.tenant_stored_bytes_max
    full = storage_store.messages_over(look.connection, most, SOON_PERCENT)
    return [_full(one, look.at) for one in full[:MOST]]


def _full(full: Full, at: int) -> Found:
    percent = full.bytes * 100 // full.most
    said = "The stored messages of the tenant come close to their limit."
    severity = Severity.WARNING
    if percent >= NEARLY_PERCENT:
        said = "The stored messages of the tenant are close to their limit: then the oldest go."
        severity = Severity.ERROR
    if percent >= 100 or (full.displaced_at is not None and full.displaced_at > at - DAY_MS):
        said = "The stored messages of the tenant have reached their limit: the oldest go."
        severity = Severity.ERROR
    return Found(full.tenant, severity, said, full.tenant, value=f"{percent} %")


def _tenant_dead_letters(look: Look) -> Sequence[Found]:
    """Tenants whose dead letters come close to their limit."""
    most = look.settings.tenant_dead_letter_bytes_max
    full = storage_store.dead_letters_over(look.connection, most, SOON_PERCENT)
    said = "The dead letters of the tenant come close to their limit: then the oldest go."
    return [
        Found(
            one.tenant,
            Severity.WARNING,
            said,
            one.tenant,
            value=f"{one.bytes * 100 // one.most} %",
        )
        for one in full[:MOST]
    ]


def _disk(look: Look) -> Sequence[Found]:
    """Little free space where the data is."""
    total, free = look.disk(look.settings.data_dir)
    percent = 100 * free / total if total else 100.0
    most = look.settings.alert_disk_percent
    if percent >= most:
        return []
    severity, said = Severity.ERROR, "The disk with the data directory is nearly full."
    if percent < most / 3:
        severity, said = Severity.CRITICAL, "The disk with the data directory is full."
    return [Found("", severity, said, value=f"{percent:.0f} % free")]


def _broker(look: Look) -> Sequence[Found]:
    """No ingest process is connected to the broker: nothing arrives."""
    p = processes.c
    rows = look.connection.execute(sa.select(p.beat_at, p.detail).where(p.role == "ingest")).all()
    hears = any(
        is_alive(row[0], look.at) and json.loads(row[1]).get("connected") is not False
        for row in rows
    )
    said = "The platform is not connected to the broker: no messages arrive."
    return [] if hears else [Found("", Severity.CRITICAL, said)]


def _backlog(look: Look) -> Sequence[Found]:
    """Stored messages that wait for roll-ups or rules."""
    found = []
    for what, queue in (("roll-ups", rollup_queue), ("rules", rule_queue)):
        size = sa.func.coalesce(sa.func.sum(queue.c.last_id - queue.c.first_id + 1), 0)
        waiting = int(look.connection.execute(sa.select(size)).scalar_one())
        if waiting >= look.settings.alert_backlog_messages:
            said = f"Stored messages wait for {what}."
            found.append(Found(what, Severity.WARNING, said, value=str(waiting)))
    return found


def _recipients(look: Look) -> Sequence[Found]:
    """Recipients whose notifications fail again and again."""
    r = recipients.c
    rows = look.connection.execute(
        sa.select(r.id, r.tenant, r.name)
        .where(r.failures >= FAILURES_MAX, r.enabled)
        .order_by(r.id)
        .limit(MOST)
    )
    return [
        Found(
            str(row[0]),
            Severity.ERROR,
            f"Notifications to {row[2]} fail: `mooring notify show` shows why.",
            row[1],
        )
        for row in rows
    ]


SILENT = """
SELECT EXISTS (SELECT 1 FROM presence WHERE state IN ('silent', 'offline'))
  OR EXISTS (SELECT 1 FROM alerts WHERE cleared_at IS NULL
             AND key >= 'platform:device_silent:' AND key < 'platform:device_silent;')
"""

CHECKS = (
    Check("device_silent", 1_000, _silent, question=SILENT),
    Check("device_refused", 10_000, _refused),
    Check("device_limited", 10_000, _limited),
    Check("publish_denied", 10_000, _denied),
    Check("firmware_reverted", 10_000, _reverted),
    Check("firmware_link_misused", 10_000, _links),
    Check("gaps_open", 30_000, _gaps),
    Check("certificate_expiring", 300_000, _certificates),
    Check("dead_letters_rising", 10_000, _dead_letters),
    Check("tenant_storage", 10_000, _storage),
    Check("tenant_dead_letters", 10_000, _tenant_dead_letters),
    Check("disk_full", 30_000, _disk),
    Check("broker_unreachable", 5_000, _broker, hold_ms=30_000),
    Check("backlog", 10_000, _backlog),
    Check("recipient_failing", 10_000, _recipients),
)
