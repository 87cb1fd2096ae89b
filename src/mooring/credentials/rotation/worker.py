"""Carries rotations through: asks the rules, and does what they say, one step at a time.

Where the broker accepts both passwords and says which was used, ``by_use`` has the rules;
otherwise ``rules`` has them, and the broker's log is read.

Each act is one transaction, and says so before it goes out: a row that says ``sent`` may have
been sent. So a crash between any two steps is fixed by the next ``step``, in whatever
process, and nothing is kept in memory that the database and the broker's log do not have.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from sqlalchemy.engine import Connection as SqlConnection

from mooring.audit import log as audit_log
from mooring.broker.connection import Endpoint
from mooring.changes import queue as change_queue
from mooring.credentials.proof import Proofs
from mooring.credentials.rotation import store
from mooring.credentials.rotation.by_use import UseFacts, decide_by_use
from mooring.credentials.rotation.command import command_for
from mooring.credentials.rotation.model import Rotation
from mooring.credentials.rotation.reading import Evidence, command_key, gather
from mooring.credentials.rotation.rules import Act, Answer, Decision, Facts, Phase, Timing, decide
from mooring.credentials.rotation.service import Rotations
from mooring.credentials.rotation.store import Standing
from mooring.devices import password_store as passwords
from mooring.devices import store as devices
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.downlink.model import Delivery, NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import BrokerUnavailable, DatabaseUnavailable, MooringError
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.clock import deletion_time
from mooring.store.engine import Database, now_ms
from mooring.store.leases import LEASE_MS, Lease
from mooring.store.lookout import Lookout
from mooring.supervisor.rows import RowFaults

__all__ = ["Parts", "RotationWorker"]

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
LOG_SECOND_MS = 1_000  # the log has whole seconds
EXPIRED_MS = 5_000
IDLE_SECONDS = 5.0  # between two steps when a look finds nothing to do
SCHEDULE_SECONDS = 60.0
ALL_SECONDS = 30.0
SCHEDULED_AT_ONCE = 20  # begun in one go; the rest has its turn the next time
RETRY_MS = 7 * DAY_MS  # before a scheduled rotation is tried again with the same device


@dataclass(frozen=True, slots=True)
class Parts:
    """What the worker works with."""

    database: Database
    devices: Devices
    instance: Instance
    rotations: Rotations
    downlinks: Downlinks
    settings: Settings


class RotationWorker:
    """Proves passwords and carries rotations through.

    Args:
        parts: of this process.
        endpoint: the platform's own account at the broker.
        timing: of the rules.
        faults: rotations that failed, and are tried again later.
        lease_ms: how long the work of a killed process waits for the next one.
    """

    def __init__(
        self,
        parts: Parts,
        endpoint: Endpoint,
        timing: Timing | None = None,
        *,
        lease_ms: int = LEASE_MS,
        faults: RowFaults | None = None,
    ) -> None:
        self._parts = parts
        self._database = parts.database
        self._timing = timing or Timing()
        self._lease = Lease(parts.database, "rotation", lease_ms=lease_ms)
        self._proofs = Proofs(parts.database, endpoint, store.oldest_sent_event)
        self._next_schedule = 0.0
        self._next_all = 0.0
        self._by_use = parts.settings.authority == "plugin"
        self._look_at = 0.0
        self._newest: int | None = None  # event of the broker, as of the last look
        self._active = True  # whether a rotation is under way, as of the last look
        self._scheduled = 0  # the last device that was looked at
        self._faults = faults or RowFaults("the rotation of device")

    def use(self, parts: Parts) -> None:
        """Works with these from the next step on: dialects or settings have changed."""
        self._parts = parts
        self._by_use = parts.settings.authority == "plugin"

    @property
    def active(self) -> bool:
        """Whether a rotation is under way, as of the last look."""
        return self._active

    async def is_needed(self, lookout: Lookout) -> bool:
        """Whether ``step`` may find something to do: a look that costs microseconds, where a
        step costs several questions.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        now = time.monotonic()
        if now >= self._look_at:  # leases, the schedule, marks that are made again
            self._look_at = now + IDLE_SECONDS
            return True
        found = await lookout.look(store.WORK)
        if found is not None:
            active, unmarked, unproved, newest = found
            news = newest != self._newest
            self._newest = newest
            self._active = bool(active)
            if not self._by_use and (unmarked or (unproved and news)):
                return True
        return self._active

    async def step(self) -> int:
        """Takes every rotation as far as it can go now; returns how many steps were taken.

        Does nothing while another process holds the lease.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        if not await asyncio.to_thread(self._lease.held, after_dead=True):
            return 0
        if (
            not self._by_use and not await self._proofs.step()
        ):  # what is older than the log we have read could mislead us
            return 0
        taken = 0
        found, evidence = await asyncio.to_thread(self._standing)
        for standing in found:
            key = standing.rotation.device_id
            if self._faults.postponed(key):
                continue
            with self._faults.isolated(key):
                try:
                    taken += await self._advance(standing, evidence)
                except BrokerUnavailable as exc:
                    log.warning("a rotation is pending for the broker: %s", exc)
        if time.monotonic() >= self._next_schedule:
            self._next_schedule = time.monotonic() + SCHEDULE_SECONDS
            with self._faults.isolated("schedule"):
                await asyncio.to_thread(self._schedule)
            with self._faults.isolated("clean-up"):
                await asyncio.to_thread(self._tidy)
        return taken

    async def close(self) -> None:
        """Gives the work to the next process; a database that does not answer gives it when the
        lease is over."""
        try:
            await asyncio.to_thread(self._lease.release)
        except DatabaseUnavailable as exc:
            log.warning("the lease of rotations was not released: %s", exc)

    # ------------------------------------------------------------------ one rotation

    async def _advance(self, standing: Standing, evidence: Evidence) -> int:
        rotation = standing.rotation
        delivery = evidence.delivery(rotation)
        if delivery is Delivery.NONE:  # nobody listens there: the device was never told
            await asyncio.to_thread(self._not_sent, rotation)
            return 1
        if self._by_use:
            decision = self._decide_by_use(standing, evidence)
            if delivery is Delivery.PENDING and decision.act is not Act.SETTLE:
                return 0
            return await self._act(standing, decision)
        if delivery is Delivery.PENDING:
            return 0
        if (
            rotation.phase in {Phase.ON_NEW, Phase.ON_OLD}
            and rotation.in_force_at is None
            and standing.mark_event is not None
        ):
            await asyncio.to_thread(self._in_force, rotation)
            return 1
        facts = self._facts(standing, evidence)
        return await self._act(standing, decide(facts, now_ms(), self._timing))

    async def _act(self, standing: Standing, decision: Decision) -> int:
        match decision.act:
            case Act.WAIT:
                return 0
            case Act.SEND:
                await asyncio.to_thread(self._about_to_send, standing.rotation)
            case Act.PROBE:
                await asyncio.to_thread(self._probe, standing)
            case Act.HOLD_NEW | Act.HOLD_OLD:
                await asyncio.to_thread(self._hold, standing, decision)
            case Act.SETTLE | Act.ROLL_BACK | Act.CANCEL:
                await asyncio.to_thread(self._finish, standing, decision)
        return 1

    def _standing(self) -> tuple[list[Standing], Evidence]:
        """Those that may take a step, and occasionally all of them: what an offline device
        answered earlier may be stored late. With what is known of their commands."""
        acting = None
        if self._by_use and time.monotonic() < self._next_all:
            acting = (now_ms(), self._timing)
        else:
            self._next_all = time.monotonic() + ALL_SECONDS
        with self._database.read() as connection:
            found = store.standing(connection, acting=acting)
            return found, gather(
                connection,
                found,
                catalogue=self._parts.devices.catalogue,
                downlinks=self._parts.downlinks,
            )

    def _decide_by_use(self, standing: Standing, evidence: Evidence) -> Decision:
        rotation = standing.rotation
        facts = UseFacts(
            phase=rotation.phase,
            created_at=rotation.created_at,
            first_sent_at=rotation.first_sent_at,
            last_sent_at=rotation.last_sent_at,
            sends=rotation.sends,
            enabled=standing.enabled,
            connected=standing.connected,
            busy=standing.busy,
            answer=self._answer(standing, evidence) if rotation.sends else None,
            used_new_at=standing.used_new_at,
            used_old_at=standing.used_old_at,
        )
        return decide_by_use(facts, now_ms(), self._timing)

    def _facts(self, standing: Standing, evidence: Evidence) -> Facts:
        rotation, journal = standing.rotation, self._proofs.journal
        held = rotation.phase in {Phase.ON_NEW, Phase.ON_OLD}
        sent = rotation.sent_event or 0
        since = standing.mark_event if held and standing.mark_event is not None else sent
        name = standing.username
        there = journal.in_session(name, since) if held else standing.connected
        return Facts(
            phase=rotation.phase,
            created_at=rotation.created_at,
            first_sent_at=rotation.first_sent_at,
            last_sent_at=rotation.last_sent_at,
            sends=rotation.sends,
            flips=rotation.flips,
            in_force_at=rotation.in_force_at,
            enabled=standing.enabled,
            connected=there,
            ended=rotation.sent_event is not None and journal.went_after(name, sent),
            away_since=None if standing.connected else standing.connected_at,
            back_late=self._back_late(standing, sent),
            busy=standing.busy,
            answer=None if held else self._answer(standing, evidence),
            proved=held and standing.proved,
            near=journal.refusals(since, standing.address) if standing.address else 0,
            far=journal.refusals(since),
            free=self._free(name),
        )

    def _back_late(self, standing: Standing, sent: int) -> bool:
        journal, name = self._proofs.journal, standing.username
        if standing.rotation.first_sent_at is None or not journal.in_session(name, sent):
            return False
        over = standing.rotation.first_sent_at + self._timing.silence
        return journal.came_at(name) >= over - LOG_SECOND_MS

    def _free(self, username: str) -> bool:
        """Whether an old verifier comes back without a restart: always with the password
        file; with Dynamic Security through the file next to it, which holds no colon."""
        return self._parts.settings.authority == "password_file" or ":" not in username

    def _answer(self, standing: Standing, evidence: Evidence) -> Answer | None:
        """Raises ``NotFound`` where the device's dialect is not loaded: it is not known on which
        channel it would answer."""
        self._parts.devices.catalogue.get(standing.dialect)
        return evidence.answers.get(standing.rotation.id)

    def _device(self, connection: SqlConnection, rotation: Rotation) -> Device | None:
        return devices.by_number(connection, rotation.device_id)

    # ------------------------------------------------------------------ acts

    def _about_to_send(self, rotation: Rotation) -> None:
        """The command as a downlink that is sent once, in one transaction with the rotation: a
        row that says ``sent`` may have been sent."""
        at = now_ms()
        if rotation.sealed_secret is None:
            return
        with self._database.write() as connection:
            device = self._device(connection, rotation)
            if device is None:
                return
            message = command_for(
                self._parts.devices.catalogue.get(device.dialect),
                device.identity,
                rotation=rotation.id,
                password=self._parts.instance.unseal(rotation.sealed_secret),
                at=at,
            )
            if message is None:
                store.finish(connection, rotation, Phase.CANCELLED, "it has no command topic", at)
                return
            first = rotation.first_sent_at or at
            changed = store.change(
                connection,
                rotation,
                was=rotation.phase,
                phase=Phase.SENT,
                sends=rotation.sends + 1,
                first_sent_at=first,
                last_sent_at=at,
                sent_event=rotation.sent_event
                if rotation.sent_event is not None
                else passwords.newest_event(connection),
            )
            if not changed:
                return
            topic, payload = message
            # It expires well before the device is probed: who connects after that never gets it.
            silence = self._timing.silence
            new = NewDownlink(
                topic=topic,
                payload=payload,
                tenant=device.tenant,
                origin="rotation",
                expires_at=max(at + 1000, first + silence - min(EXPIRED_MS, silence // 3)),
                device_id=device.id,
                secret=True,
                until=Until.ONCE,
                dedupe=command_key(rotation, at),
                reason=rotation.reason,
            )
            self._parts.downlinks.put(connection, new)

    def _not_sent(self, rotation: Rotation) -> None:
        """This time it surely was not; what was sent before may have arrived."""
        with self._database.write() as connection:
            store.change(
                connection,
                rotation,
                was=Phase.SENT,
                sends=rotation.sends - 1,
                first_sent_at=rotation.first_sent_at if rotation.sends > 1 else None,
                last_sent_at=now_ms(),
            )

    def _probe(self, standing: Standing) -> None:
        """Its session is to end: it comes back with what it has."""
        rotation = standing.rotation
        with self._database.write() as connection:
            changed = store.change(
                connection,
                rotation,
                was=rotation.phase,
                phase=Phase.PROBED,
                last_sent_at=now_ms(),
            )
            if changed and standing.connected:
                change_queue.enqueue(connection, "kick", standing.username)

    def _hold(self, standing: Standing, decision: Decision) -> None:
        """Sets the side that the broker holds: credential, pending change, rotation together."""
        rotation = standing.rotation
        new = decision.act is Act.HOLD_NEW
        verifier = rotation.new_verifier if new else rotation.old_verifier
        if verifier is None:
            return
        phase = Phase.ON_NEW if new else Phase.ON_OLD
        with self._database.write() as connection:
            if not store.change(
                connection,
                rotation,
                was=rotation.phase,
                phase=phase,
                flips=rotation.flips + 1,
                in_force_at=None,
            ):
                return
            passwords.set_password(
                connection,
                rotation.device_id,
                verifier,
                created_at=now_ms() if new else rotation.old_created_at,
            )
            change_queue.enqueue(
                connection,
                "put",
                standing.username,
                sealed_secret=rotation.sealed_secret if new else None,
            )
        log.info("%s: %s; the broker gets %s", standing.username, decision.why, phase)

    def _in_force(self, rotation: Rotation) -> None:
        with self._database.write() as connection:
            store.change(connection, rotation, was=rotation.phase, in_force_at=now_ms())

    def _finish(self, standing: Standing, decision: Decision) -> None:
        rotation, at = standing.rotation, now_ms()
        phase = {
            Act.SETTLE: Phase.SETTLED,
            Act.ROLL_BACK: Phase.ROLLED_BACK,
            Act.CANCEL: Phase.CANCELLED,
        }[decision.act]
        with self._database.write() as connection:
            device = self._device(connection, rotation)
            if device is None or not store.finish(connection, rotation, phase, decision.why, at):
                return
            given_up = rotation.old_verifier if phase is Phase.SETTLED else rotation.new_verifier
            if rotation.last_sent_at is not None:
                self._parts.downlinks.drop(
                    connection, rotation.device_id, command_key(rotation, rotation.last_sent_at)
                )
            if self._by_use:
                self._one_password(connection, standing, phase)
            if phase is not Phase.CANCELLED and (rotation.keep_old or phase is Phase.ROLLED_BACK):
                passwords.retire(
                    connection,
                    device,
                    given_up,
                    until=at + self._parts.settings.recover_days * DAY_MS,
                )
            audit_log.record(
                connection,
                SYSTEM,
                f"rotation.{phase}",
                device.reference,
                tenant=device.tenant,
                reason=decision.why,
            )

    def _one_password(self, connection: SqlConnection, standing: Standing, phase: Phase) -> None:
        """The broker accepted both; from now on one of them."""
        rotation = standing.rotation
        kept = rotation.new_verifier if phase is Phase.SETTLED else rotation.old_verifier
        held = passwords.credential(connection, rotation.device_id)
        if kept is not None and held is not None and held.verifier != kept:
            created = now_ms() if phase is Phase.SETTLED else rotation.old_created_at
            passwords.set_password(connection, rotation.device_id, kept, created_at=created)
        used_at = standing.used_new_at if phase is Phase.SETTLED else standing.used_old_at
        if kept is not None and used_at is not None:
            use = passwords.Use(standing.username, verifiers.salt_of(kept), used_at)
            passwords.prove_used(connection, [use])
        change_queue.enqueue(connection, "put", standing.username)

    # ------------------------------------------------------------------ occasionally

    def _schedule(self) -> None:
        """Begins rotations of passwords older than ``rotate_after_days``."""
        settings = self._parts.settings
        if not settings.rotate_after_days or settings.broker != "managed":
            return
        at = now_ms()
        with self._database.read() as connection:
            due = store.due_for_age(
                connection,
                older_than=at - settings.rotate_after_days * DAY_MS,
                not_tried_since=at - min(RETRY_MS, settings.rotate_after_days * DAY_MS),
                limit=SCHEDULED_AT_ONCE,
                after=self._scheduled,
            )
            found = [devices.by_number(connection, number) for number in due]
        # Those that cannot be started stay due, and must not take the places of the others.
        self._scheduled = due[-1] if len(due) == SCHEDULED_AT_ONCE else 0
        who = Actor("schedule", Role.ADMIN)
        why = f"older than {settings.rotate_after_days} days"
        for device in found:
            if device is None:
                continue
            with self._faults.isolated(device.id):
                try:
                    self._parts.rotations.start(who, device, reason=why)
                except DatabaseUnavailable:
                    raise
                except MooringError as exc:  # no commands, disabled meanwhile
                    log.info("%s is not rotated: %s", device.reference, exc)

    def _tidy(self) -> None:
        with self._database.write() as connection:
            at = deletion_time(connection)
            if at is None:  # the clock is in doubt: nothing is deleted for its age
                return
            passwords.forget_former(connection, at)
            passwords.seal_forgotten(connection, at - self._parts.settings.claim_days * DAY_MS)
