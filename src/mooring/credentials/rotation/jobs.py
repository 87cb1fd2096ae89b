"""New passwords for many devices, as a kind of job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.credentials.rotation import store
from mooring.credentials.rotation.service import Rotations
from mooring.devices import store as devices_store
from mooring.devices.model import Device
from mooring.errors import Conflict, MooringError
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs import outcomes
from mooring.jobs.model import Job, Outcome, Started, Verdict
from mooring.jobs.rules import TargetState
from mooring.jobs.what import What, read

__all__ = ["KIND", "RotationJobs", "RotationWhat"]

KIND = "rotation"


class RotationWhat(What, frozen=True, forbid_unknown_fields=True):
    """New passwords.

    Attributes:
        older_than_seconds: only where the password is older.
        keep_old: whether the old password may recover the device later.
    """

    older_than_seconds: Annotated[float, Meta(ge=0, le=3_153_600_000)] = 0
    keep_old: bool = True


@dataclass(frozen=True, slots=True)
class RotationJobs:
    """See ``mooring.jobs.kinds.JobKind``."""

    rotations: Rotations
    name: str = KIND
    scope: Scope = Scope.DEVICES

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return read(what, RotationWhat).document()

    def title(self, what: Mapping[str, Any]) -> str:
        return "password rotation"

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return dict(what)

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        """Enabled devices with a password of that age."""
        age = int(read(what, RotationWhat).older_than_seconds * 1000)
        return store.of_age(connection, numbers, now_ms() - age + (0 if age else 1))

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        actor = Actor(job.actor, Role.OPERATOR, job.tenant, job.origin)
        found = []
        for device in devices:
            try:
                begun = self.rotations.put(
                    connection,
                    actor,
                    device,
                    reason=job.reason,
                    keep_old=bool(job.what["keep_old"]),
                )
            except Conflict as exc:  # raised before anything is written
                found.append(Started(TargetState.SKIPPED, cause=exc.slug, words=exc.message))
            except MooringError as exc:
                found.append(Started(TargetState.FAILED, cause=exc.slug, words=exc.message))
            else:
                reference = store.reference_of(begun.rotation.id)
                found.append(Started(TargetState.HANDED_OVER, reference))
        return found

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        why = "the job was cancelled"
        ids = [one.removeprefix(store.REFERENCE) for one in references]
        for rotation in store.by_ids(connection, ids).values():
            device = devices_store.by_number(connection, rotation.device_id)
            if device is None or rotation.phase.over or rotation.sends:
                continue
            reference = store.reference_of(rotation.id)
            # Noted first: the end of the rotation by itself would be a failure.
            ended = Outcome(reference, TargetState.CANCELLED, "cancelled", why)
            outcomes.note(connection, [ended])
            self.rotations.take_back(connection, device, rotation, reason=why)

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        ids = [reference.removeprefix(store.REFERENCE) for reference, _ in asked]
        found = {}
        for rotation in store.by_ids(connection, ids).values():
            state, code = store.end_of(rotation.phase) if rotation.phase.over else (None, "")
            found[store.reference_of(rotation.id)] = Verdict(state, code, rotation.outcome)
        return found
