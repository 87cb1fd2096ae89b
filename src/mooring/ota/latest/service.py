"""Announcing releases to every device of a dialect, and taking that back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.devices.model import Device
from mooring.dialects import Catalogue
from mooring.dialects.outgoing import compose, packet_bytes
from mooring.downlink.desired.service import Desired
from mooring.errors import Conflict, Forbidden, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs import store as job_store
from mooring.jobs.service import Jobs
from mooring.ota.latest import rules, store
from mooring.ota.latest.model import Announcement, Ended, OfDevice, Shown
from mooring.ota.links.service import PREFIX
from mooring.ota.releases.finding import release_of
from mooring.ota.releases.model import Artifact, Release
from mooring.ota.rollouts.model import KIND, Rollout
from mooring.ota.rollouts.service import Rollouts
from mooring.ota.updates.offers import Offer, bodies
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.web.address import http_url

__all__ = ["ORIGIN", "Announcements", "end_of_release"]

ORIGIN = "firmware"


@dataclass(frozen=True, slots=True)
class Announcements:
    """Announcements of one installation. Each is a retained document, which the broker keeps until
    it is superseded, retracted or withdrawn with its release."""

    database: Database
    settings: Settings
    catalogue: Catalogue
    desired: Desired
    jobs: Jobs
    rollouts: Rollouts

    # ------------------------------------------------------------------ looking

    def listed(self, actor: Actor, *, limit: int = 50, before: int | None = None) -> list[Shown]:
        """Announcements, the newest first.

        Raises:
            Forbidden: the actor belongs to one tenant.
        """
        actor.require(Role.VIEWER)
        with self.database.read() as connection:
            found = store.listed(connection, before=before, limit=limit)
            return [_shown(connection, one) for one in found]

    def of_rollout(self, actor: Actor, number: int) -> list[Shown]:
        """Those of a rollout that are not over; empty for an actor of one tenant."""
        if actor.tenant is not None:
            return []
        with self.database.read() as connection:
            found = store.open_ones(connection, job=number)
            return [_shown(connection, one) for one in found]

    def of_device(self, actor: Actor, device: Device) -> list[OfDevice]:
        """What a device reads on topics that it shares with others."""
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            return [
                OfDevice(one.topic, one.version, one.at, store.how(connection, one, device.id))
                for one in store.open_ones(connection)
                if device.dialect in one.dialects
            ]

    # ------------------------------------------------------------------ changing

    def announce(
        self, actor: Actor, number: int, *, force_hardware: bool = False, reason: str = ""
    ) -> list[Shown]:
        """Announces the release of a rollout to every device of the dialects in which its devices
        have proved it, whatever their tenant.

        Args:
            force_hardware: although the hardware of some of these devices is not known.

        Raises:
            NotFound: ``rollout_not_found``.
            Forbidden: the actor does not administer the whole installation; ``scope_missing``; of
                a rollout that needs an approval: ``not_a_person``, ``second_person_needed``.
            Conflict: ``not_announced``, with the ``cause``.
        """
        actor.require(Role.ADMIN)
        actor.require_scope(Scope.ADMIN)
        _check_second_person(actor, self.rollouts.get(actor, number))
        base = http_url(self.settings)
        if base is None:
            raise _not(rules.Why("no_address", "No address is set that devices can reach."))
        with self.database.write() as connection:
            job = job_store.one(connection, self.jobs.instance, number, lock=True)
            if job is None or job.kind != KIND:
                raise NotFound(f"There is no rollout {number}.", code="rollout_not_found")
            release = release_of(connection, SYSTEM, str(job.what["release"]), lock=True)
            why = rules.too_early(job, release)
            if why is not None:
                raise _not(why)
            places = self._places(connection, number, release)
            self._check_devices(connection, release, places, force=force_hardware)
            former = store.open_ones(connection, topics=[one.topic for one in places], lock=True)
            self._check_former(release, former)
            at = now_ms()
            store.end(connection, former, Ended.SUPERSEDED, at)
            artifact = _complete(release, str(job.what.get("artifact", "")))
            for place in places:
                token = secrets.token_urlsafe(16)
                made = store.insert(
                    connection,
                    topic=place.topic,
                    dialects=place.dialects,
                    kind=release.kind,
                    job=number,
                    release=release.id,
                    artifact=artifact.id,
                    verifier=hashlib.sha256(token.encode()).hexdigest(),
                    actor=actor.name,
                    reason=reason,
                    at=at,
                )
                offer = Offer("", f"{base}{PREFIX}{token}", release, artifact)
                self.desired.put_shared(
                    connection,
                    place.topic,
                    _payload(place, offer, at),
                    version=made,
                    origin=ORIGIN,
                    qos=place.channel.qos,
                    secret=True,
                )
            store.forget(connection)
            name = release.reference
            self._audit(connection, actor, "announce", number, release.tenant, name, reason)
        return self.of_rollout(actor, number)

    def retract(self, actor: Actor, number: int, *, reason: str = "") -> list[Shown]:
        """Takes the announcements of a rollout's release back, also of a rollout that is deleted;
        those that are over now.

        Raises:
            NotFound: ``rollout_not_found``.
            Forbidden: as ``announce``.
            Conflict: ``not_announced``: it is not announced.
        """
        actor.require(Role.ADMIN)
        actor.require_scope(Scope.ADMIN)
        with self.database.write() as connection:
            some = store.open_ones(connection, job=number, lock=True)
            if some:
                ended = _end(connection, self.desired, some, Ended.RETRACTED)
                one = ended[0]
                self._audit(connection, actor, "retract", number, one.tenant, one.release, reason)
                return [_shown(connection, one) for one in ended]
        self.rollouts.get(actor, number)
        raise Conflict(
            f"The release of the rollout {number} is not announced.",
            hint="`mooring firmware latest` lists what is.",
            code="not_announced",
            cause="none",
        )

    # ------------------------------------------------------------------ inside

    def _places(self, connection: Connection, number: int, release: Release) -> list[rules.Place]:
        names = store.proved_by(connection, number)
        found = rules.places(self.catalogue.all(), release.kind, names)
        if not found:
            raise _not(
                rules.Why(
                    "no_channel",
                    f"No dialect of the rollout's devices ({', '.join(names)}) has a topic for "
                    f"{release.kind} that all its devices read.",
                )
            )
        return found

    @staticmethod
    def _check_devices(
        connection: Connection, release: Release, found: Sequence[rules.Place], *, force: bool
    ) -> None:
        names = {name for one in found for name in one.dialects}
        known = store.hardware(connection, names)
        why = rules.hardware_problem(release.hardware, known, force=force)
        if why is not None:
            raise _not(why)

    @staticmethod
    def _check_former(release: Release, former: Sequence[Announcement]) -> None:
        for one in former:
            if one.release_id == release.id:
                raise _not(
                    rules.Why("announced", f"{release.reference} is announced on {one.topic}.")
                )
            if rules.older(release, one.version):
                raise _not(
                    rules.Why(
                        "older",
                        f"{one.release} is announced on {one.topic}, and {release.version} is "
                        "older. Retract that first.",
                    )
                )

    @staticmethod
    def _audit(  # noqa: PLR0917 - one line of the log
        connection: Connection,
        actor: Actor,
        word: str,
        number: int,
        tenant: str,
        release: str,
        reason: str,
    ) -> None:
        audit_log.record(
            connection,
            actor,
            f"firmware.{word}",
            f"{release} (rollout {number})"[:300],
            tenant=tenant,
            reason=reason,
        )


def _check_second_person(actor: Actor, rollout: Rollout) -> None:
    """One person alone does not reach every device where a rollout to a few needs a second one."""
    if not rollout.approval.needed:
        return
    if actor.is_key:
        raise Forbidden(
            f"The rollout {rollout.id} needs an approval, so an API key does not announce it.",
            hint="Log in as a person.",
            code="not_a_person",
        )
    if actor.name in (*rollout.approval.changers, rollout.job.actor):
        raise Forbidden(
            f"{actor.name} started or changed the rollout {rollout.id}.",
            hint="Somebody else has to announce its release.",
            code="second_person_needed",
        )


def _shown(connection: Connection, one: Announcement) -> Shown:
    """With the devices that run its release, while it is announced."""
    return Shown(one, None if one.ended_at else store.reached(connection, one))


def end_of_release(connection: Connection, desired: Desired, release: int) -> None:
    """Clears what is announced of a release, in the transaction that withdraws it."""
    some = store.open_ones(connection, release=release, lock=True)
    if some:
        _end(connection, desired, some, Ended.WITHDRAWN)


def _end(
    connection: Connection, desired: Desired, some: Sequence[Announcement], why: Ended
) -> list[Announcement]:
    """Ends them, and has the broker clear their topics; as they are then."""
    at = now_ms()
    store.end(connection, some, why, at)
    desired.drop(connection, *(one.topic for one in some))
    return [replace(one, ended_at=at, ended_why=why.value) for one in some]


def _complete(release: Release, name: str) -> Artifact:
    """The file that a rollout offers."""
    fitting = [one for one in release.artifacts if not one.from_sha256 and name in ("", one.name)]
    if not fitting:
        raise _not(rules.Why("release_state", f"{release.reference} has no such file."))
    return fitting[0]


def _payload(place: rules.Place, offer: Offer, at: int) -> bytes:
    """The largest offer that all devices accept. Without an id: reports name the version."""
    channel, payload = place.channel, b""
    for body in bodies(offer):
        said = {name: value for name, value in body.items() if name != "id"}
        payload = compose(channel.payload, said, time_ms=at)
        size = packet_bytes(place.topic, payload, channel.qos)
        if not place.max_packet or size <= place.max_packet:
            return payload
    raise _not(
        rules.Why(
            "packet_too_large",
            f"The offer needs {packet_bytes(place.topic, payload, channel.qos)} bytes; devices "
            f"accept {place.max_packet}.",
        )
    )


def _not(why: rules.Why) -> Conflict:
    return Conflict(
        f"The release is not announced. {why.words}",
        hint='See docs/explanation/firmware.md, "Announcements to every device".',
        code="not_announced",
        cause=why.cause,
    )
