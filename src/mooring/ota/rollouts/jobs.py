"""Firmware for many devices, as a kind of job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.errors import Conflict, NotFound
from mooring.groups.selector import Selector
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs import outcomes, target_store
from mooring.jobs.model import Job, Outcome, Started, Verdict
from mooring.jobs.rules import Facts, Plan, TargetState
from mooring.jobs.what import read
from mooring.ota.latest import store as latest_store
from mooring.ota.releases import store as release_store
from mooring.ota.releases.finding import release_of
from mooring.ota.releases.model import Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.releases.states import not_offered
from mooring.ota.rollouts import condition_store, store
from mooring.ota.rollouts.approval import approval_words, is_easier
from mooring.ota.rollouts.asked import FirmwareWhat, terms_of
from mooring.ota.rollouts.bandwidth import starts_per_second
from mooring.ota.rollouts.model import KIND, GateOn, Reason, Terms
from mooring.ota.rollouts.windows import opens_at, packed
from mooring.ota.rollouts.words import why_nothing
from mooring.ota.updates import store as update_store
from mooring.ota.updates.model import Options
from mooring.ota.updates.model import State as UpdateState
from mooring.ota.updates.of_jobs import cause_of, number_of, reference_of, target_state
from mooring.ota.updates.service import Updates
from mooring.store.engine import Database

__all__ = ["AGAIN_MS", "FirmwareJobs"]

AGAIN_MS = 60_000
"""Until a device that cannot be updated now is judged again."""

LOOK_MS = 5_000
"""Between two looks for what no outcome tells of: devices that have connected, or installed."""

LOOK_MS_EACH = 2
"""For each waiting device that much between two looks: looking takes a small part of one core,
however many devices wait."""

AWAY_MS = 3_600_000
"""Until a device that is not connected is judged again without having connected: it may have been
removed."""

AT_ONCE = 500

LOOKED_MAX = 10_000
"""Devices of which one must be eligible; if none of so many is, a larger rollout is started."""

_TEMPORARY = frozenset({"other_rollout", "held"})
"""Why an update cannot be started, where that passes by itself."""


@dataclass(frozen=True, slots=True)
class FirmwareJobs:
    """See ``mooring.jobs.kinds.Steering``.

    Attributes:
        approval: whether a second person has to approve every rollout, however it is started.
    """

    database: Database
    updates: Updates
    approval: bool = False
    name: str = KIND
    scope: Scope = Scope.OTA

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        found = read(what, FirmwareWhat)
        asked = terms_of(found)
        with self.database.read() as connection:
            release = release_of(connection, actor, found.release, tenant)
            if asked.first:
                Selector(tenant, group=asked.first).check(connection)
        if release.tenant != tenant:
            raise NotFound(
                f"The tenant {tenant} has no release {release.reference}.",
                code="release_not_found",
            )
        if release.state is not ReleaseState.PUBLISHED:
            raise Conflict(
                not_offered(release),
                hint="`mooring firmware list` shows releases and their states.",
                code="release_state",
            )
        return {
            **found.document(),
            "release": str(release.id),
            "reference": release.reference,
            "kind": str(release.kind),
            "approval": found.approval or self.approval,
        }

    def title(self, what: Mapping[str, Any]) -> str:
        return f"{what['kind']} {what['reference']}"[:200]

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return dict(what)

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        return numbers

    def check_devices(self, connection: Connection, job: Job) -> None:
        """Raises ``no_eligible_device`` with the number of devices for each reason. Of a large
        fleet the first ``LOOKED_MAX`` are looked at."""
        what = read(job.what, FirmwareWhat)
        release = self._release(connection, what)
        actor, options = self._terms(job, what)
        causes: Counter[str] = Counter()
        after = 0
        while page := job.selection.page(connection, after, AT_ONCE):
            some = device_store.by_numbers(connection, page)
            answers = self.updates.judge(
                connection, actor, some, release, job=None, options=options
            )
            if any(one is None or one.cause in _TEMPORARY for one in answers):
                return
            causes.update(one.cause for one in answers if one is not None)
            after = page[-1]
            if causes.total() >= LOOKED_MAX:
                return
        raise _nobody(release, causes)

    def changed(self, connection: Connection, actor: Actor, job: Job, plan: Plan | None) -> None:
        if plan is not None and is_easier(job.plan, plan):
            return
        at = now_ms()
        approval = self.recorded(connection, job, at).approval
        if approval.needed:
            store.set_approval(connection, job.id, approval.again(actor.name), at)

    def recorded(self, connection: Connection, job: Job, at: int) -> store.Record:
        """The row of a rollout; made here for one that was started as a job."""
        found = store.one(connection, job.id)
        if found is None:
            what = read(job.what, FirmwareWhat)
            release = self._release(connection, what)
            found = store.insert(
                connection, job, release.id, release.kind, approval=what.approval, at=at
            )
        return found

    # ------------------------------------------------------------------ when

    def first(
        self, connection: Connection, job: Job, numbers: Sequence[int]
    ) -> Collection[int] | None:
        group = terms_of(read(job.what, FirmwareWhat)).first
        if not group:
            return None
        selector = Selector(job.tenant, group=group)
        found: set[int] = set()
        after = min(numbers, default=0) - 1
        most = max(numbers, default=0)
        while page := selector.page(connection, after, AT_ONCE):
            found |= set(page)
            after = page[-1]
            if after >= most:
                break
        return found & set(numbers)

    def settle(self, connection: Connection, job: Job, at: int) -> None:
        gate_on = read(job.what, FirmwareWhat).gate_on
        if gate_on is not GateOn.UNPROVED:
            store.skip_unproved(connection, job.id)
        if gate_on is not GateOn.CONFIRMED and job.counts.handed_over:
            found = store.installed(connection, job.id, AT_ONCE)
            outcomes.note(
                connection,
                [Outcome(one, TargetState.SUCCEEDED, cause="installed") for one in found],
            )

    def facts(self, connection: Connection, job: Job, at: int) -> Facts:
        record = self.recorded(connection, job, at)
        target_store.wake(connection, job.id, store.arrived(connection, job.id, at, AT_ONCE))
        return self._facts(connection, job, record, at)

    def seen(self, connection: Connection, job: Job, at: int) -> Facts:
        """As ``facts``, without writing anything."""
        return self._facts(connection, job, store.one(connection, job.id), at)

    def _facts(
        self, connection: Connection, job: Job, record: store.Record | None, at: int
    ) -> Facts:
        what = read(job.what, FirmwareWhat)
        release = self._release(connection, what)
        held = ""
        if release.state is ReleaseState.WITHDRAWN:
            held = f"the release {release.reference} is withdrawn"
        elif record is not None and record.approval.open:
            held = approval_words(record.approval.changed_by)
        counted = set() if what.gate_on is GateOn.CONFIRMED else {UpdateState.INSTALLED}
        between = store.in_between(connection, job.id, counted)
        patient = store.patient(connection, job.id) if what.download_any_time else 0
        waits = store.waits_for_devices(connection, job.id, at)
        waits |= bool(between.busy or counted)
        return Facts(
            busy=between.busy,
            absent=between.absent + patient,
            held=held,
            look_at=at + max(LOOK_MS, LOOK_MS_EACH * job.counts.waiting) if waits else None,
            pace=self._pace(connection, job, what, release),
        )

    def _pace(
        self, connection: Connection, job: Job, what: FirmwareWhat, release: Release
    ) -> float | None:
        """Starts in a second that the limits of bytes allow; ``None``: any number."""
        of_tenant = self.updates.settings.rollout_bytes_per_second
        if not what.bytes_per_second and not of_tenant:
            return None
        running = store.running(connection, job.tenant) if of_tenant else 1
        files = [one for one in release.artifacts if not one.from_sha256]
        size = next((one.size for one in files if what.artifact in ("", one.name)), 0)
        return starts_per_second(what.bytes_per_second, of_tenant, running, size)

    def judge(
        self, connection: Connection, job: Job, devices: Sequence[Device], at: int
    ) -> Sequence[Started | None]:
        what = read(job.what, FirmwareWhat)
        asked, release = terms_of(what), self._release(connection, what)
        numbers = [device.id for device in devices]
        newer = store.newer(connection, job, release.kind, numbers)
        away = store.away(connection, numbers)
        actor, options = self._terms(job, what)
        able = self.updates.judge(connection, actor, devices, release, job=job.id, options=options)
        unmet = self._unmet(connection, job.tenant, asked, devices, able)
        already = [
            device.id
            for device, why_not in zip(devices, able, strict=True)
            if why_not is not None and why_not.cause == "already"
        ]
        announced = latest_store.by_topic(connection, job.id, already) if already else set()
        zones = store.zones(connection, numbers) if asked.windows else {}
        # Working it out takes much longer than anything else that is asked of a device.
        opens = {zone: opens_at(asked.windows, zone, at) for zone in {asked.zone, *zones.values()}}
        patient: Collection[int] = ()
        if asked.download_any_time:
            patient = self.updates.waiting_ones(connection, devices, release.kind)
        found: list[Started | None] = []
        for device, why_not in zip(devices, able, strict=True):
            if device.id in newer:
                found.append(_SUPERSEDED)
                continue
            if why_not is not None:
                found.append(_again(_ANNOUNCED if device.id in announced else why_not, at))
                continue
            if device.id in away:
                found.append(replace(_AWAY, not_before=at + AWAY_MS))
                continue
            later = opens[zones.get(device.id, asked.zone)]
            if later is not None and device.id not in patient:
                found.append(replace(_WINDOW, not_before=later))
                continue
            why = unmet.get(device.id)
            waits = replace(_CONDITION, words=why or "", not_before=at + AGAIN_MS)
            found.append(None if why is None else waits)
        return found

    def _unmet(
        self,
        connection: Connection,
        tenant: str,
        asked: Terms,
        devices: Sequence[Device],
        able: Sequence[Started | None],
    ) -> Mapping[int, str]:
        """Devices that do not meet the condition; those that cannot be updated are not asked."""
        some = [one.id for one, why_not in zip(devices, able, strict=True) if why_not is None]
        if not asked.condition or not some:
            return {}
        catalogue = self.updates.devices.catalogue
        return condition_store.unmet(connection, catalogue, tenant, asked.condition, some)

    # ------------------------------------------------------------------ updates

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        what = read(job.what, FirmwareWhat)
        actor, options = self._terms(job, what)
        release, at = self._release(connection, what), now_ms()
        asked = terms_of(what)
        if asked.download_any_time:
            patient = self.updates.waiting_ones(connection, devices, release.kind)
            zones = store.zones(connection, patient)
            windows = {one: packed(asked.windows, zones.get(one, asked.zone)) for one in patient}
            options = replace(options, install_in=windows)
        answers = self.updates.start(
            connection, actor, devices, release, job=job.id, options=options
        )
        return [_again(one, at) for one in answers]

    @staticmethod
    def _terms(job: Job, what: FirmwareWhat) -> tuple[Actor, Options]:
        options = Options(
            force_downgrade=what.force_downgrade,
            force_hardware=what.force_hardware,
            artifact=what.artifact,
            expires_ms=max(1000, job.expires_at - now_ms()),
            reason=job.reason or f"rollout {job.id}",
            jitter_ms=what.jitter_ms,
        )
        return Actor(job.actor, Role.OPERATOR, job.tenant, job.origin), options

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        self.updates.cancel(connection, [number_of(one) for one in references], at=now_ms())

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        numbers = [number_of(reference) for reference, _ in asked]
        return {
            reference_of(one.id): Verdict(target_state(one.state), cause_of(one), one.words)
            for one in update_store.find(connection, numbers)
        }

    @staticmethod
    def _release(connection: Connection, what: FirmwareWhat) -> Release:
        number = int(what.release)
        return release_store.by_numbers(connection, [number])[number]


def _nobody(release: Release, causes: Counter[str]) -> Conflict:
    reasons = [Reason(TargetState.SKIPPED, *one) for one in sorted(causes.items())]
    reasons.sort(key=lambda one: -one.devices)
    why = why_nothing(reasons) if reasons else "the selection has no device"
    return Conflict(
        f"No device can be offered {release.reference}: {why}.",
        hint="docs/explanation/firmware.md#offers explains the reasons.",
        code="no_eligible_device",
        devices=causes.total(),
        reasons=[{"cause": one.cause, "devices": one.devices} for one in reasons],
    )


_SUPERSEDED = Started(
    TargetState.CANCELLED, cause="superseded", words="A newer rollout has this device."
)
_ANNOUNCED = Started(
    TargetState.SKIPPED,
    cause="announced",
    words="The device has the release from its announcement to every device.",
)
_AWAY = Started(
    TargetState.WAITING, cause=store.NOT_CONNECTED, words="The device is not connected."
)
_WINDOW = Started(TargetState.WAITING, cause="window", words="Its time window is not open.")
_CONDITION = Started(TargetState.WAITING, cause="condition")


def _again(answer: Started, at: int) -> Started:
    """A device that cannot be updated is judged again after a minute."""
    if answer.state is not TargetState.SKIPPED:
        return answer
    state = TargetState.WAITING if answer.cause in _TEMPORARY else TargetState.SKIPPED
    return replace(answer, state=state, not_before=at + AGAIN_MS)
