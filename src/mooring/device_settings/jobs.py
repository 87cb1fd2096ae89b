"""Settings of many devices, as a kind of job: a merge patch at the level of each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy.engine import Connection

from mooring.device_settings import level_store, store
from mooring.device_settings.documents import check_document, masked, without_nulls
from mooring.device_settings.model import Change, Row
from mooring.device_settings.of_jobs import device_of, is_guarded, outcome_of, reference_of
from mooring.device_settings.rules import State
from mooring.device_settings.schemas import secrets_of
from mooring.device_settings.service import GUARD_MAX_MS, GUARD_MIN_MS, DeviceSettings
from mooring.devices.model import Device
from mooring.errors import DatabaseUnavailable, Invalid, MooringError
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs.model import Job, Started, Verdict
from mooring.jobs.rules import TargetState
from mooring.jobs.what import What, read

__all__ = ["KIND", "SettingsJobs", "SettingsWhat"]

KIND = "settings"


class SettingsWhat(What, frozen=True, forbid_unknown_fields=True):
    """A change of the settings of each device.

    Attributes:
        patch: a merge patch; null removes a field.
        guard_seconds: a device that has not confirmed by then gets its former settings back;
            0: not guarded.
    """

    patch: dict[str, Any]
    guard_seconds: Annotated[int, Meta(ge=0, le=GUARD_MAX_MS // 1000)] = 0


# The settings are not for this device; it does not fail.
_SKIPPED = frozenset({"settings_not_supported", "guard_not_possible"})
_STOPPED = (State.REFUSED, State.STOPPED)


@dataclass(frozen=True, slots=True)
class SettingsJobs:
    """See ``mooring.jobs.kinds.JobKind``."""

    service: DeviceSettings
    name: str = KIND
    scope: Scope = Scope.COMMANDS

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        found = read(what, SettingsWhat)
        guard_ms = found.guard_seconds * 1000
        if guard_ms and guard_ms < GUARD_MIN_MS:
            raise Invalid(
                f"A change cannot be guarded for {found.guard_seconds} s.",
                hint="Use 30s to 24h, for example 10m.",
                code="invalid_guard",
            )
        if not found.patch:
            raise Invalid(
                "The change of settings is empty.",
                hint="Give an object with the fields to change; null removes one.",
                code="invalid_settings",
            )
        most = self.service.applying.settings.device_settings_max_bytes
        check_document(without_nulls(found.patch), most)
        return found.document()

    def title(self, what: Mapping[str, Any]) -> str:
        return "guarded settings" if what["guard_seconds"] else "settings"

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        schemas = level_store.schemas_of_tenant(connection, tenant)
        secrets = frozenset(path for schema in schemas for path in secrets_of(schema))
        return {**what, "patch": masked(what["patch"], secrets)}

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        return numbers

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        return [self._start(connection, job, device) for device in devices]

    def _start(self, connection: Connection, job: Job, device: Device) -> Started:
        actor = Actor(job.actor, Role.OPERATOR, job.tenant, job.origin)
        guard_ms = int(job.what["guard_seconds"]) * 1000
        change = Change(job.what["patch"], guard_ms=guard_ms, reason=job.reason)
        before = self._row(connection, device.id).record.version
        try:
            with connection.begin_nested():
                self.service.put(connection, actor, device, change)
        except DatabaseUnavailable:
            raise
        except MooringError as exc:
            if exc.slug != "nothing_changed":
                state = TargetState.SKIPPED if exc.slug in _SKIPPED else TargetState.FAILED
                return Started(state, cause=exc.slug, words=exc.message)
        row = self._row(connection, device.id)
        record = row.record
        changed = record.version != before
        if not changed and record.state in _STOPPED:
            self.service.put_again(connection, actor, device, reason=job.reason)
        elif not changed:
            done = record.state is State.IN_SYNC or not self.service.applying.reports(device)
            if done:
                return Started(TargetState.SUCCEEDED, cause="unchanged")
        reference = reference_of(device.id, guarded=bool(guard_ms) and changed)
        return Started(TargetState.HANDED_OVER, reference, mark=record.version)

    def _row(self, connection: Connection, number: int) -> Row:
        found = store.rows(connection, self.service.applying.instance, [number])
        return found.get(number, Row(number))

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        """Nothing: what a device is to have stays what it is."""

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        instance = self.service.applying.instance
        numbers = sorted({device_of(reference) for reference, _ in asked})
        rows = store.rows(connection, instance, numbers)
        own = level_store.own_levels(connection, instance, numbers)
        found = {}
        for reference, mark in asked:
            number = device_of(reference)
            row = rows.get(number)
            if row is None:
                continue
            if not is_guarded(reference):
                end = outcome_of(row.record) if row.record.version >= mark else None
                found[reference] = Verdict(None) if end is None else Verdict(*end)
                continue
            level = own.get(number)
            if level is not None and level.guard is not None:
                found[reference] = Verdict(None)
            elif row.record.version == mark:
                found[reference] = Verdict(TargetState.SUCCEEDED)
            else:
                found[reference] = Verdict(TargetState.FAILED, "reverted")
        return found
