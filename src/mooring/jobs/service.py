"""Operations on jobs: start one, look, pause, resume, retry, add, cancel, change the pace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs import store, target_store
from mooring.jobs.checks import check_plan
from mooring.jobs.kinds import JobKind, Steering
from mooring.jobs.model import Job, NewJob, Target
from mooring.jobs.rules import OVER, Counts, Event, Plan, State, TargetState, follow
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached
from mooring.store.tally import add_to_counter
from mooring.store.tenants import tenant_exists

__all__ = ["Jobs"]

EXPIRES_MIN_MS, EXPIRES_MAX_MS = 60_000, 31_536_000_000


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs of one installation.

    Attributes:
        kinds: what can be done for many devices, by name.
    """

    database: Database
    instance: Instance
    settings: Settings
    kinds: Mapping[str, JobKind]

    # ------------------------------------------------------------------ starting

    def start(self, actor: Actor, new: NewJob) -> Job:
        """Writes a job; the worker lists its targets and starts them at its pace.

        The same request with the same key gives the job that it made before.

        Raises:
            Invalid: ``unknown_job_kind``, ``invalid_plan``, or the kind rejects what is asked
                for.
            NotFound: no such tenant, group or device.
            Forbidden: the actor is only a viewer; ``scope_missing``.
            Conflict: ``limit_reached``; ``job_key_taken``.
        """
        job, key = self.prepare(actor, new)
        try:
            with self.database.write() as connection:
                return self.put_prepared(connection, actor, job, key)
        except IntegrityError:  # the same key at the same moment
            with self.database.read() as connection:
                again = store.find(connection, self.instance, key or "")
            if again is None:
                raise
            return _same(again, job)

    def put(self, connection: Connection, actor: Actor, new: NewJob) -> Job:
        """As ``start``, in the caller's transaction, which ``Database.write`` has begun."""
        return self.put_prepared(connection, actor, *self.prepare(actor, new))

    def prepare(self, actor: Actor, new: NewJob) -> tuple[Job, str | None]:
        """A job that ``put_prepared`` writes, and the key of its request: everything that takes
        long is checked here, outside the transaction that writes it. Raises as ``start``."""
        tenant = new.selection.tenant
        actor.require(Role.OPERATOR, tenant)
        kind = self._kind(new.kind)
        actor.require_scope(kind.scope)
        check_plan(new.plan)
        expires_ms = self._expires_ms(new.expires_ms)
        what = kind.check(actor, tenant, new.what)
        at = now_ms()
        job = Job(
            id=0,
            tenant=tenant,
            kind=kind.name,
            what=what,
            title=kind.title(what),
            selection=new.selection,
            plan=new.plan,
            state=State.PREPARING,
            why="",
            counts=Counts(),
            actor=actor.name,
            origin=actor.origin,
            reason=new.reason,
            created_at=at,
            expires_at=at + expires_ms,
            started_at=None,
            finished_at=None,
            due_at=at,
            prepared_to=0,
            wave=0,
            wave_over_at=None,
            paced_at=0,
            forgiven=0,
            forgiven_successes=0,
            retrying=False,
        )
        key = _key(actor, tenant, new.key)
        if isinstance(kind, Steering):
            with self.database.read() as connection:
                again = None if key is None else store.find(connection, self.instance, key)
                if again is None:
                    new.selection.check(connection)
                    kind.check_devices(connection, job)
        return job, key

    def put_prepared(self, connection: Connection, actor: Actor, job: Job, key: str | None) -> Job:
        """Writes what ``prepare`` has made, in the caller's transaction, which ``Database.write``
        has begun. Raises as ``start``."""
        again = None if key is None else store.find(connection, self.instance, key)
        if again is not None:
            return _same(again, job)
        self._check(connection, job)
        job = replace(job, id=store.insert(connection, self.instance, job, key))
        add_to_counter(connection, "jobs_started", 1)
        words = f"{job.title} for {job.selection}"
        self._audit(connection, actor, job, "start", words, reason=job.reason)
        return job

    def _check(self, connection: Connection, job: Job) -> None:
        if not tenant_exists(connection, job.tenant):
            raise NotFound(f"There is no tenant {job.tenant}.", code="tenant_not_found")
        job.selection.check(connection)
        self._check_room(connection, job.tenant)

    def _check_room(self, connection: Connection, tenant: str) -> None:
        most = self.settings.jobs_max_per_tenant
        if store.open_of_tenant(connection, tenant, most) >= most:
            raise limit_reached("open jobs of one tenant", most, "jobs_max_per_tenant")

    # ------------------------------------------------------------------ looking

    def get(self, actor: Actor, number: int) -> Job:
        """One job.

        Raises:
            NotFound: no such job, or the actor does not see it.
        """
        with self.database.read() as connection:
            found = store.one(connection, self.instance, number)
        if found is None or not actor.sees(found.tenant):
            raise _not_found(number)
        actor.require(Role.VIEWER, found.tenant)
        return found

    def listed(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        before: int | None = None,
        states: Sequence[State] = (),
        kind: str | None = None,
    ) -> list[Job]:
        """Jobs that the actor sees, the newest first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return store.listed(
                connection,
                self.instance,
                actor,
                limit=limit,
                before=before,
                states=states,
                kind=kind,
            )

    def targets(
        self,
        actor: Actor,
        number: int,
        *,
        limit: int = 50,
        after: tuple[int, int] | None = None,
        states: Sequence[TargetState] = (),
    ) -> list[Target]:
        """Targets of a job in its order. Raises as ``get``."""
        job = self.get(actor, number)
        with self.database.read() as connection:
            return target_store.targets(connection, job.id, limit=limit, after=after, states=states)

    def place(self, actor: Actor, number: int, device: str) -> tuple[int, int]:
        """Where a device is in the list of ``targets``.

        Raises:
            NotFound: no such job or device, or the actor does not see it.
        """
        job = self.get(actor, number)
        with self.database.read() as connection:
            found = target_store.place(connection, job.id, device)
        if found is None:
            raise NotFound(
                f"The job {number} has no device {device[:100]!a}.", code="device_not_found"
            )
        return found

    def what(self, job: Job) -> dict[str, Any]:
        """What a job does, without secrets."""
        kind = self.kinds.get(job.kind)
        if kind is None:
            return {}
        with self.database.read() as connection:
            return kind.shown(connection, job.tenant, job.what)

    # ------------------------------------------------------------------ steering

    def pause(self, actor: Actor, number: int, *, reason: str = "") -> Job:
        """Starts no more targets; what was started runs on.

        Raises:
            NotFound: as ``get``.
            Forbidden: the actor is only a viewer.
            Conflict: ``job_state``: it is not running.
        """
        return self._happens(actor, number, Event.PAUSE, reason)

    def resume(self, actor: Actor, number: int, *, reason: str = "") -> Job:
        """Continues a paused or stopped job. Earlier failures do not stop it again. Raises as
        ``pause``."""

        def forgive(job: Job) -> Job:
            return replace(
                job,
                why="",
                wave_over_at=None,
                forgiven=job.counts.failed,
                forgiven_successes=job.counts.succeeded,
            )

        return self._happens(actor, number, Event.RESUME, reason, forgive)

    def cancel(self, actor: Actor, number: int, *, reason: str = "") -> Job:
        """Starts no more targets, and takes back what no device can have yet. Raises as
        ``pause``."""
        return self._happens(actor, number, Event.CANCEL, reason)

    def retry(self, actor: Actor, number: int, *, reason: str = "") -> Job:
        """Starts the failed targets again, also of a job that is done.

        Raises:
            as ``pause``, and
            Conflict: ``nothing_to_retry``; ``limit_reached``.
        """

        def again(job: Job) -> Job:
            if not job.counts.failed:
                raise Conflict(
                    f"No target of the job {job.id} has failed.", code="nothing_to_retry"
                )
            at = now_ms()
            lasts = job.expires_at - job.created_at
            return replace(
                job,
                retrying=True,
                why="",
                finished_at=None,
                expires_at=at + lasts if job.finished_at is not None else job.expires_at,
            )

        return self._happens(actor, number, Event.RETRY, reason, again)

    def add(self, actor: Actor, number: int, *, reason: str = "") -> Job:
        """Lists the devices again that the selection matches now: those that came later become
        targets, also of a job that is done.

        Raises:
            as ``pause``, and
            Conflict: ``limit_reached``.
        """

        def again(job: Job) -> Job:
            at, lasts = now_ms(), job.expires_at - job.created_at
            return replace(
                job,
                prepared_to=0,
                finished_at=None,
                expires_at=at + lasts if job.finished_at is not None else job.expires_at,
            )

        return self._happens(actor, number, Event.ADD, reason, again)

    def nudge(self, number: int) -> None:
        """The worker looks at a job immediately: what holds it has changed."""
        with self.database.write() as connection:
            job = store.one(connection, self.instance, number, lock=True)
            if job is not None and not job.over:
                store.write(connection, replace(job, due_at=now_ms()))

    def set(
        self, actor: Actor, number: int, changed: Mapping[str, Any], *, reason: str = ""
    ) -> Job:
        """Changes the plan of a job that is not over.

        Args:
            changed: attributes of ``Plan``, but not its waves.

        Raises:
            as ``pause``, and
            Invalid: ``invalid_plan``.
        """
        found = self.get(actor, number)
        actor.require(Role.OPERATOR, found.tenant)
        self._require_scope(actor, found)
        with self.database.write() as connection:
            job = store.one(connection, self.instance, number, lock=True)
            if job is None:
                raise _not_found(number)
            if job.over:
                raise _state(job, "changed")
            plan = replace(job.plan, **changed)
            check_plan(plan)
            self._tell_kind(connection, actor, job, plan)
            job = replace(job, plan=plan, due_at=now_ms(), paced_at=0)
            store.write(connection, job)
            words = ", ".join(f"{name} {value}" for name, value in sorted(changed.items()))
            self._audit(connection, actor, job, "set", words, reason=reason)
        return job

    def _happens(
        self,
        actor: Actor,
        number: int,
        event: Event,
        reason: str,
        change: Callable[[Job], Job] = lambda job: job,
    ) -> Job:
        found = self.get(actor, number)
        actor.require(Role.OPERATOR, found.tenant)
        self._require_scope(actor, found)
        with self.database.write() as connection:
            job = store.one(connection, self.instance, number, lock=True)
            if job is None:
                raise _not_found(number)
            after = follow(job.state, event)
            if after is None:
                raise _state(job, _DONE[event])
            if job.state in OVER:
                self._check_room(connection, job.tenant)
            if event in _MORE:
                self._tell_kind(connection, actor, job, None)
            job = replace(change(job), state=after, due_at=now_ms())
            store.write(connection, job)
            self._audit(connection, actor, job, event.value, job.title, reason=reason)
        return job

    # ------------------------------------------------------------------ inside

    def _require_scope(self, actor: Actor, job: Job) -> None:
        kind = self.kinds.get(job.kind)  # none: its domain is not part of this installation
        actor.require_scope(Scope.ADMIN if kind is None else kind.scope)

    def _tell_kind(self, connection: Connection, actor: Actor, job: Job, plan: Plan | None) -> None:
        kind = self.kinds.get(job.kind)
        if isinstance(kind, Steering):
            kind.changed(connection, actor, job, plan)

    def _kind(self, name: str) -> JobKind:
        found = self.kinds.get(name)
        if found is None:
            raise Invalid(
                f"{name[:100]!a} is not a kind of job.",
                hint=f"Use one of: {', '.join(sorted(self.kinds))}.",
                code="unknown_job_kind",
            )
        return found

    def _expires_ms(self, given: int | None) -> int:
        if given is None:
            return self.settings.job_expiry_seconds * 1000
        if not EXPIRES_MIN_MS <= given <= EXPIRES_MAX_MS:
            raise Invalid(
                f"A job cannot take {given / 1000:g} s.",
                hint="Use 1 minute to 365 days.",
                code="invalid_duration",
            )
        return given

    @staticmethod
    def _audit(
        connection: Connection, actor: Actor, job: Job, word: str, words: str, *, reason: str
    ) -> None:
        audit_log.record(
            connection,
            actor,
            f"job.{word}",
            f"{job.id} {words}"[:300],
            tenant=job.tenant,
            reason=reason,
        )


_MORE = frozenset({Event.RETRY, Event.ADD})
"""What adds devices to those that the job is for now."""

_DONE = {
    Event.PAUSE: "paused",
    Event.RESUME: "resumed",
    Event.CANCEL: "cancelled",
    Event.RETRY: "retried",
    Event.ADD: "given later devices",
}


def _key(actor: Actor, tenant: str, key: str | None) -> str | None:
    """The same for the same key of the same person."""
    if key is None:
        return None
    return hashlib.sha256(f"{actor.name}\0{tenant}\0{key}".encode()).hexdigest()


def _same(found: Job, new: Job) -> Job:
    same = ("kind", "what", "selection", "tenant")
    if any(getattr(found, name) != getattr(new, name) for name in same):
        raise Conflict(
            f"The key belongs to another request, which made the job {found.id}.",
            hint="Use a new key for each job.",
            code="job_key_taken",
        )
    return found


def _not_found(number: int) -> NotFound:
    return NotFound(f"There is no job {number}.", code="job_not_found")


def _state(job: Job, word: str) -> Conflict:
    return Conflict(
        f"The job {job.id} is {job.state} and cannot be {word}.",
        hint="`mooring job show` prints its state.",
        code="job_state",
    )
