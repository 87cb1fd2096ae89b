"""Carries changes of levels to their devices, and follows what became of each version.

One process at a time does it, the one that holds the lease. All of it is in steps of a bounded
size that can be done again: a process that is killed leaves a cursor, and the next one continues
there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.device_settings import level_store, progress, store
from mooring.device_settings.apply import Applying, Levels
from mooring.device_settings.guards import Verdict, judge
from mooring.device_settings.kinds import NOTHING, facts_of
from mooring.device_settings.model import Cause, Guard, Level, LevelRow, Row
from mooring.device_settings.of_jobs import confirmed, not_reported, reverted
from mooring.device_settings.pace import Sizes
from mooring.device_settings.progress import Progress
from mooring.device_settings.rules import State
from mooring.devices import changes
from mooring.devices import store as devices_store
from mooring.devices.model import Device
from mooring.dialects.live import LiveCatalogue
from mooring.downlink import connecting
from mooring.errors import DatabaseUnavailable, MooringError
from mooring.identity.actor import SYSTEM
from mooring.jobs.outcomes import note
from mooring.settings import Settings
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.tally import add_to_counter
from mooring.store.wake import Waker
from mooring.supervisor.rows import RowFaults

__all__ = ["LEASE", "SettingsWorker", "run"]

log = logging.getLogger(__name__)

LEASE = "device settings"
BATCH = 50  # devices in one transaction, about 0.1 s
EVENTS_AT_ONCE = 5_000
LOOK_SECONDS = 0.25
ASK_SECONDS = 1.0  # between two looks when nobody commits anything: time alone ends a guard
STANDBY_SECONDS = 2.0  # between two attempts to take over
RENEW_SECONDS = 4.0

_WORK = (
    "SELECT EXISTS (SELECT 1 FROM device_settings_levels WHERE applied_upto IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM device_settings_levels WHERE guard_until IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM device_settings WHERE state = 'pending')"
    " OR EXISTS (SELECT 1 FROM device_settings WHERE due),"
    " (SELECT value FROM versions WHERE name = 'devices'),"
    " (SELECT value FROM versions WHERE name = 'dialects'),"
    " (SELECT max(id) FROM broker_events)"
)


async def run(app: Any) -> None:
    """Until cancelled, while this process holds the lease."""
    worker = SettingsWorker(app.database, app.service(Applying), app.settings)
    lookout = Lookout(app.database)
    waker = Waker(app.database.wake_folder)
    ask_at = renew_at = 0.0
    held = more = False
    try:
        while True:
            now = time.monotonic()
            if now >= renew_at:
                held = await asyncio.to_thread(worker.holds)
                renew_at = now + (RENEW_SECONDS if held else STANDBY_SECONDS)
            pause = 0.0
            if held:
                always = more or now >= ask_at
                if always:
                    ask_at = now + ASK_SECONDS
                if more or await _is_needed(worker, lookout, always=always):
                    pause = await asyncio.to_thread(worker.step)
            more = pause > 0
            if more:
                await asyncio.sleep(pause)
            else:
                await waker.wait(LOOK_SECONDS, asleep=ASK_SECONDS if held else STANDBY_SECONDS)
    finally:
        waker.close()
        lookout.close()
        await asyncio.to_thread(worker.close)


async def _is_needed(worker: SettingsWorker, lookout: Lookout, *, always: bool) -> bool:
    found = await lookout.look(_WORK, always=always)
    return found is not None and worker.is_needed(found)


class SettingsWorker:
    """One step at a time; used by one thread at a time.

    Args:
        batch: devices in one transaction.
    """

    def __init__(
        self, database: Database, applying: Applying, settings: Settings, *, batch: int = BATCH
    ) -> None:
        self._database = database
        self._applying = applying
        self._instance = applying.instance
        self._batch = batch
        self._sizes = Sizes(batch)
        self._pause = batch / settings.device_settings_per_second
        self._lease = Lease(database, LEASE)
        self._live = LiveCatalogue(
            settings.dialects_dir, versions.stored(database, "dialects"), applying.catalogue
        )
        self._followed = Progress()
        self._event: int | None = None  # the broker's last event that was looked at
        self._carried = False  # whether any settings are downlinks
        self._guards_after = 0
        self.faults = RowFaults("the settings of")

    def holds(self) -> bool:
        """Whether the work is this process's."""
        return self._lease.held(after_dead=True)

    def close(self) -> None:
        """Gives the work to the next process."""
        try:
            self._lease.release()
        except MooringError as exc:
            log.warning("the lease of device settings was not released: %s", exc)

    def is_needed(self, found: Sequence[Any]) -> bool:
        """Whether a step has anything to do; ``found``: the row of ``_WORK``."""
        open_, devices, dialects, event = found
        connects = self._carried and (event or 0) > (self._event or 0)
        return bool(open_) or connects or (devices or 0, dialects or 0) != self._followed[:2]

    def step(self) -> float:
        """A part of what is due; seconds until the next step, 0 when there is nothing more."""
        self._applying = replace(self._applying, catalogue=self._live.get())
        self._follow_broker()
        self.follow_sessions()
        self.follow_reports()
        self._follow_guards()
        more = self._follow_changes()
        more |= self._follow_levels()
        return self._pause if more else 0.0

    # ------------------------------------------------------------------ what became of it

    def _follow_broker(self) -> None:
        with self._database.read() as connection:
            found = store.newly_taken(connection, store.AT_ONCE)
        if found:
            at = now_ms()
            with self._database.write() as connection:
                for device, version, downlink in sorted(found):
                    store.set_taken(connection, device, version, at)
                    self._carried |= downlink
                self._note_taken(connection, [(device, version) for device, version, _ in found])

    def _note_taken(self, connection: Connection, taken: Sequence[tuple[int, int]]) -> None:
        """Where a dialect reports nothing, no more will be known than that the broker took it."""
        version_of = dict(taken)
        known = devices_store.by_numbers(connection, sorted(version_of))
        note(
            connection,
            [
                not_reported(device.id, version_of[device.id])
                for device in known
                if not self._applying.reports(device)
            ],
        )

    def follow_sessions(self) -> None:
        """What is not retained is sent in every session until the device reports it."""
        with self._database.read() as connection:
            if self._event is None:
                self._event = connecting.newest_event(connection)
                self._carried = store.any_downlink(connection)
                due = store.unreported(connection) if self._carried else []
            elif self._carried:
                back, self._event, _ = connecting.devices_connected(
                    connection, self._event, EVENTS_AT_ONCE
                )
                due = store.unreported(connection, back)
            else:
                return
        for number in due:
            with self.faults.isolated(number), self._database.write() as connection:
                self._send_again(connection, number)

    def _send_again(self, connection: Connection, number: int) -> None:
        row = store.rows(connection, self._instance, [number], lock=True).get(number)
        device = devices_store.by_number(connection, number)
        if row is not None and device is not None and store.unreported(connection, [number]):
            after = self._place(connection, device, row)
            store.set_row(connection, self._instance, after, with_document=False)

    def follow_reports(self) -> None:
        """Does what reports ask for."""
        with self._database.read() as connection:
            due = store.due(connection, self._batch)
        for number in due:
            if not self.faults.postponed(number):
                with self.faults.isolated(number), self._database.write() as connection:
                    self._answer(connection, number)

    def _answer(self, connection: Connection, number: int) -> None:
        """Does what a report asks for."""
        row = store.rows(connection, self._instance, [number], lock=True).get(number)
        device = devices_store.by_number(connection, number)
        if row is None or device is None:
            return
        after = row
        if row.record.state is State.STOPPED:
            after = self._applying.withdraw(connection, row)
            if row.placed:
                add_to_counter(connection, "device_settings_stopped", 1)
                self._audit(connection, "settings.stop", device, row.record.words)
        elif row.record.state is State.IN_SYNC and row.downlink is not None:
            self._applying.downlinks.confirm(connection, row.downlink)
            after = replace(row, downlink=None)
        elif row.placed == 0:
            after = self._place(connection, device, row)
        if after != row:
            store.set_row(connection, self._instance, after, with_document=False)
        store.set_done(connection, number)

    def _place(self, connection: Connection, device: Device, row: Row) -> Row:
        channel = self._applying.channel(device)
        if channel is None:
            return row
        facts = facts_of(connection, [device.id]).get(device.id, NOTHING)
        levels = Levels.read_for(connection, self._instance, device, facts.kind)
        return self._applying.place(
            connection,
            device,
            channel,
            row,
            secrets=levels.secrets,
            packet=facts.max_packet,
        )

    # ------------------------------------------------------------------ guarded changes

    def _follow_guards(self) -> None:
        with self._database.read() as connection:
            found = level_store.guarded(connection, self._instance, self._guards_after)
            # Those that wait for long must not take the places of the others.
            self._guards_after = found[-1][1] if len(found) == level_store.AT_ONCE else 0
            known = store.rows(connection, self._instance, [number for _, number, _ in found])
        for level, number, session in found:
            row = known.get(number, Row(number))
            guard = level.guard
            if guard is None or self.faults.postponed(str(level.key)):
                continue
            verdict = judge(guard, row, session, now_ms())
            if verdict is Verdict.WAIT:
                continue
            with self.faults.isolated(str(level.key)), self._database.write() as connection:
                if verdict is Verdict.BEGAN and session is not None:
                    level_store.set_guard_session(connection, level.key, guard.version, session)
                elif verdict is Verdict.CONFIRMED:
                    level_store.close_guard(connection, level.key, guard.version)
                    note(connection, [confirmed(number, guard.version)])
                elif verdict is Verdict.TAKEN_BACK:
                    self._take_back(connection, level, guard)

    def _take_back(self, connection: Connection, level: LevelRow, guard: Guard) -> None:
        """The device's own level says again what it said before the guarded change."""
        device = devices_store.by_number(connection, int(level.key.name))
        now = level_store.level(connection, self._instance, level.key)
        if device is None or now.guard is None or now.guard.version != guard.version:
            return  # removed, or changed by a person meanwhile
        reason = "the device did not confirm the guarded change in time"
        level_store.put_level(
            connection,
            self._instance,
            replace(
                now,
                document=guard.document,
                version=now.version + 1,
                updated_at=now_ms(),
                updated_by=SYSTEM.name,
                reason=reason,
                guard=None,
            ),
        )
        self._apply_to(connection, [device], Cause(SYSTEM.name, "guard", reason))
        note(connection, [reverted(device.id, guard.version)])
        add_to_counter(connection, "device_settings_reverted", 1)
        self._audit(connection, "settings.revert", device, reason)

    # ------------------------------------------------------------------ changes elsewhere

    def _follow_changes(self) -> bool:
        """Devices that were added or changed, and dialects; whether there is more to do."""
        with self._database.read() as connection:
            before = progress.read(connection)
            changed = changes.changed_since(connection, before.devices)
            dialects = versions.version(connection, "dialects")
            tenants = level_store.tenants_with_levels(connection)
        after = before._replace(devices=changed.version, dialects=dialects)
        if dialects != before.dialects:
            after = after._replace(sweep=0)
        spans = changed.spans if changed.spans is not None else ((1, None),)
        if tenants:
            for first, last in spans:
                self._follow_span(first, last, tenants)
        if after != before:
            with self._database.write() as connection:
                progress.write(connection, after)
        self._followed = after
        return after.sweep is not None and self._sweep(after)

    def _follow_span(self, first: int, last: int | None, tenants: set[str]) -> None:
        while last is None or first <= last:
            with self._database.read() as connection:
                some = devices_store.span(connection, first, last, limit=self._batch)
            self._apply_all(
                [one for one in some if one.tenant in tenants], Cause(SYSTEM.name, "device changed")
            )
            if len(some) < self._batch:
                return
            first = some[-1].id + 1

    def _sweep(self, state: Progress) -> bool:
        """One batch of all devices with settings: their addresses may have changed."""
        with self._database.read() as connection:
            numbers = store.with_settings(connection, state.sweep or 0, self._batch)
            found = [devices_store.by_number(connection, number) for number in numbers]
        self._apply_all(
            [one for one in found if one is not None], Cause(SYSTEM.name, "dialect changed")
        )
        after = state._replace(sweep=numbers[-1] if len(numbers) == self._batch else None)
        with self._database.write() as connection:
            progress.write(connection, after)
        return after.sweep is not None

    # ------------------------------------------------------------------ levels

    def _follow_levels(self) -> bool:
        """One batch of devices of each level that not all devices have; whether there is more."""
        with self._database.read() as connection:
            due = level_store.due_levels(connection, self._instance)
        more = False
        for row, upto in due:
            if not self.faults.postponed(str(row.key)):
                with self.faults.isolated(str(row.key)):
                    more |= self._spread(row, upto)
        return more

    def _spread(self, row: LevelRow, after: int) -> bool:
        key = row.key
        size = self._sizes.of(key.tenant)
        with self._database.read() as connection:
            devices = devices_store.page(
                connection,
                SYSTEM,
                limit=size,
                after=after,
                tenant=key.tenant,
                dialect=key.name if key.level is Level.DIALECT else None,
            )
        began = time.monotonic()
        self._apply_all(devices, Cause(row.updated_by, str(key), row.reason))
        self._sizes.took(key.tenant, time.monotonic() - began)
        last = devices[-1].id if len(devices) == size else None
        with self._database.write() as connection:
            level_store.mark_applied(connection, row, last)
        return last is not None

    # ------------------------------------------------------------------ inside

    def _apply_all(self, devices: Sequence[Device], cause: Cause) -> None:
        """In one transaction; where that fails, each by itself, so that one stops no other."""
        if not devices:
            return
        try:
            with self._database.write() as connection:
                self._apply_to(connection, devices, cause)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - of one device; found out below
            log.warning("settings are applied to devices one by one: %s", exc)
            for device in devices:
                with self.faults.isolated(device.id), self._database.write() as connection:
                    self._apply_to(connection, [device], cause)

    def _apply_to(self, connection: Connection, devices: Sequence[Device], cause: Cause) -> None:
        for tenant in sorted({device.tenant for device in devices}):
            levels = Levels.read(connection, self._instance, tenant)
            some = [device for device in devices if device.tenant == tenant]
            self._applying.apply(connection, some, levels, cause)

    @staticmethod
    def _audit(connection: Connection, action: str, device: Device, reason: str) -> None:
        audit_log.record(
            connection, SYSTEM, action, device.reference, tenant=device.tenant, reason=reason
        )
