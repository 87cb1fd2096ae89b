"""Operations on rollouts: start one, approve, look, pause, resume, cancel, retry, add, change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.errors import Conflict, Forbidden, NotFound
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs.model import Job, NewJob, Target
from mooring.jobs.rules import TargetState
from mooring.jobs.service import Jobs
from mooring.jobs.what import read
from mooring.ota.releases import store as release_store
from mooring.ota.rollouts import store
from mooring.ota.rollouts.asked import FirmwareWhat, terms_of, written
from mooring.ota.rollouts.jobs import FirmwareJobs
from mooring.ota.rollouts.model import (
    KIND,
    Approval,
    NewRollout,
    Rollout,
    Shown,
)
from mooring.ota.rollouts.words import gate_in_words
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Rollouts"]


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Rollouts of one installation. Each is a job of the kind ``firmware``."""

    database: Database
    settings: Settings
    jobs: Jobs
    kind: FirmwareJobs

    # ------------------------------------------------------------------ starting

    def create(self, actor: Actor, new: NewRollout) -> Rollout:
        """Starts a rollout, or writes one that a second person has to approve.

        The same request with the same key gives the rollout that it made before.

        Raises:
            NotFound: ``release_not_found``; no such tenant, group or device.
            Conflict: ``release_state``: the release is not published; ``no_eligible_device``;
                ``limit_reached``; ``job_key_taken``.
            Invalid: ``invalid_rollout``, ``invalid_plan``, ``invalid_search``.
            Forbidden: the actor is only a viewer; ``scope_missing``.
        """
        job = NewJob(
            KIND,
            written(new.release, new.terms, approval=new.approval),
            new.selection,
            new.plan,
            new.expires_ms,
            new.reason,
            new.key,
        )
        prepared, key = self.jobs.prepare(actor, job)
        try:
            with self.database.write() as connection:
                return self._put(connection, actor, prepared, key)
        except IntegrityError:  # the same key at the same moment
            with self.database.write() as connection:
                return self._put(connection, actor, prepared, key)

    def _put(self, connection: Connection, actor: Actor, new: Job, key: str | None) -> Rollout:
        job = self.jobs.put_prepared(connection, actor, new, key)
        self.kind.recorded(connection, job, now_ms())
        return self._rollout(connection, job)

    def approve(
        self, actor: Actor, number: int, *, reason: str = "", seen: int | None = None
    ) -> Rollout:
        """Agrees with a rollout that somebody else has made or changed.

        Args:
            seen: ``Approval.changed_at`` of what the actor has looked at; ``None``: whatever it
                is now.

        Raises:
            NotFound: no such rollout, or the actor does not see it.
            Forbidden: ``second_person_needed``: the actor made or changed it; ``not_a_person``; the
                actor is only a viewer.
            Conflict: ``nothing_to_approve``; ``job_state``: it is over; ``rollout_changed``: since
                the actor has looked at it.
        """
        job = self._changeable(actor, number)
        if actor.is_key:
            raise Forbidden(
                "An API key does not approve a rollout.",
                hint="Log in as a person.",
                code="not_a_person",
            )
        with self.database.write() as connection:
            record = self._record(connection, number)
            approval = record.approval
            if job.over:
                raise Conflict(
                    f"The rollout {number} is {job.state} and cannot be approved.",
                    hint="`mooring rollout show` prints its state.",
                    code="job_state",
                )
            if not approval.open:
                raise Conflict(
                    f"The rollout {number} needs no approval.", code="nothing_to_approve"
                )
            if actor.name in (*approval.changers, job.actor):
                raise Forbidden(
                    f"{actor.name} started or changed the rollout {number}.",
                    hint="Somebody else has to approve it.",
                    code="second_person_needed",
                )
            if seen is not None and seen != approval.changed_at:
                raise Conflict(
                    f"{approval.changed_by} changed the rollout {number} since you looked at it.",
                    hint="Look at it again, then approve it.",
                    code="rollout_changed",
                )
            at = now_ms()
            approval = replace(approval, by=actor.name, at=at)
            store.set_approval(connection, number, approval, at)
            self._audit(connection, actor, job, "approve", reason)
        self.jobs.nudge(number)
        return self.get(actor, number)

    # ------------------------------------------------------------------ looking

    def get(self, actor: Actor, number: int) -> Rollout:
        """One rollout.

        Raises:
            NotFound: ``rollout_not_found``: no such rollout, or the actor does not see it.
        """
        job = self._job(actor, number)
        with self.database.read() as connection:
            return self._rollout(connection, job)

    def listed(self, actor: Actor, *, limit: int = 50, before: int | None = None) -> list[Rollout]:
        """Rollouts that the actor sees, the newest first."""
        found = self.jobs.listed(actor, limit=limit, before=before, kind=KIND)
        with self.database.read() as connection:
            return self._rollouts(connection, found)

    def shown(self, actor: Actor, number: int) -> Shown:
        """A rollout with its waves, what it waits for, and why devices were not updated. Raises as
        ``get``."""
        rollout = self.get(actor, number)
        job = rollout.job
        with self.database.read() as connection:
            facts = self.kind.seen(connection, job, now_ms())
            return Shown(
                rollout,
                facts,
                store.waves(connection, job),
                gate_in_words(job, facts),
                store.reasons(connection, job.id),
            )

    def devices(
        self,
        actor: Actor,
        number: int,
        *,
        limit: int = 50,
        after: tuple[int, int] | None = None,
        states: Sequence[TargetState] = (),
    ) -> list[Target]:
        """Devices of a rollout in its order. Raises as ``get``."""
        job = self._job(actor, number)
        return self.jobs.targets(actor, job.id, limit=limit, after=after, states=states)

    # ------------------------------------------------------------------ steering

    def pause(self, actor: Actor, number: int, *, reason: str = "") -> Rollout:
        """Offers nothing more; what was offered runs on.

        Raises:
            NotFound: as ``get``.
            Forbidden: the actor is only a viewer; ``scope_missing``.
            Conflict: ``job_state``: it is not running.
        """
        self._changeable(actor, number)
        self.jobs.pause(actor, number, reason=reason)
        return self.get(actor, number)

    def resume(self, actor: Actor, number: int, *, reason: str = "") -> Rollout:
        """Continues a paused or stopped rollout. Earlier failures do not stop it again. Raises as
        ``pause``."""
        self._changeable(actor, number)
        self.jobs.resume(actor, number, reason=reason)
        return self.get(actor, number)

    def cancel(self, actor: Actor, number: int, *, reason: str = "") -> Rollout:
        """Offers nothing more and takes offers back; a device that downloads is asked to stop, and
        one that installs runs on. Raises as ``pause``."""
        self._changeable(actor, number)
        self.jobs.cancel(actor, number, reason=reason)
        return self.get(actor, number)

    def retry(self, actor: Actor, number: int, *, reason: str = "") -> Rollout:
        """Offers the release to the failed devices again, also of a rollout that is over. It needs
        a new approval, where it needs one.

        Raises:
            as ``pause``, and
            Conflict: ``nothing_to_retry``; ``limit_reached``.
        """
        self._changeable(actor, number)
        self.jobs.retry(actor, number, reason=reason)
        return self.get(actor, number)

    def add(self, actor: Actor, number: int, *, reason: str = "") -> Rollout:
        """Adds devices that match the selection now and did not before. It needs a new approval,
        where it needs one.

        Raises:
            as ``pause``, and
            Conflict: ``limit_reached``.
        """
        self._changeable(actor, number)
        self.jobs.add(actor, number, reason=reason)
        return self.get(actor, number)

    def set(
        self, actor: Actor, number: int, changed: Mapping[str, Any], *, reason: str = ""
    ) -> Rollout:
        """Changes the plan of a rollout that is not over. It needs a new approval, where it needs
        one, but for a change that only slows it or stops it earlier.

        Args:
            changed: attributes of ``Plan``, but not its waves.

        Raises:
            as ``pause``, and
            Invalid: ``invalid_plan``.
        """
        self._changeable(actor, number)
        self.jobs.set(actor, number, changed, reason=reason)
        return self.get(actor, number)

    # ------------------------------------------------------------------ inside

    def _job(self, actor: Actor, number: int) -> Job:
        missing = NotFound(
            f"There is no rollout {number}.",
            hint="`mooring rollout list` shows every rollout.",
            code="rollout_not_found",
        )
        try:
            job = self.jobs.get(actor, number)
        except NotFound as exc:
            raise missing from exc
        if job.kind != KIND:
            raise missing
        return job

    def _changeable(self, actor: Actor, number: int) -> Job:
        job = self._job(actor, number)
        actor.require(Role.OPERATOR, job.tenant)
        actor.require_scope(Scope.OTA)
        return job

    @staticmethod
    def _record(connection: Connection, number: int) -> store.Record:
        found = store.one(connection, number)
        if found is None:
            raise Conflict(
                f"The rollout {number} is still being prepared.",
                hint="Try again in a moment.",
                code="job_state",
            )
        return found

    def _rollout(self, connection: Connection, job: Job) -> Rollout:
        (found,) = self._rollouts(connection, [job])
        return found

    @staticmethod
    def _rollouts(connection: Connection, jobs: Sequence[Job]) -> list[Rollout]:
        """With two statements however many there are."""
        whats = [read(job.what, FirmwareWhat) for job in jobs]
        releases = release_store.by_numbers(connection, {int(what.release) for what in whats})
        records = store.find(connection, [job.id for job in jobs])
        found = []
        for job, what in zip(jobs, whats, strict=True):
            record = records.get(job.id)
            made = Approval(needed=what.approval, changed_by=job.actor, changed_at=job.created_at)
            approval, latest_at = made, None
            if record is not None:
                approval, latest_at = record.approval, record.latest_at
            release = releases[int(what.release)]
            found.append(Rollout(job, release, terms_of(what), approval, latest_at))
        return found

    @staticmethod
    def _audit(connection: Connection, actor: Actor, job: Job, word: str, reason: str) -> None:
        audit_log.record(
            connection,
            actor,
            f"rollout.{word}",
            f"{job.id} {job.title}"[:300],
            tenant=job.tenant,
            reason=reason,
        )
