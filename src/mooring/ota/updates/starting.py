"""Starts updates: who can be updated, and the rows and offers of those who can."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.downlink.room import TenantRoom
from mooring.errors import MooringError
from mooring.identity.actor import Actor
from mooring.jobs.model import Started
from mooring.jobs.rules import TargetState
from mooring.ota.releases.model import Artifact, Release
from mooring.ota.updates import rules, store
from mooring.ota.updates.about import About, about_devices
from mooring.ota.updates.eligible import CAUSES, why_not
from mooring.ota.updates.evidence import has_version
from mooring.ota.updates.handing import Handing, Wanted, install_span
from mooring.ota.updates.model import Kind, Options, State, Step, Update, Way
from mooring.ota.updates.moving import record
from mooring.ota.updates.of_jobs import reference_of
from mooring.ota.updates.offers import TooLarge, reach_of
from mooring.ota.updates.rules import Event
from mooring.ota.updates.store import Former
from mooring.store.engine import now_ms

__all__ = ["Starting"]

_ROOM = TenantRoom()
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Order:
    """What all updates of one start have in common.

    Attributes:
        uid: an id as long as theirs.
    """

    actor: Actor
    release: Release
    artifact: Artifact | None
    options: Options
    job: int | None
    uid: str
    at: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One device, and what is known of it."""

    device: Device
    about: About | None
    running: Update | None
    former: Former


@dataclass(frozen=True, slots=True)
class Starting:
    """See the module."""

    handing: Handing

    def start(
        self,
        connection: Connection,
        actor: Actor,
        devices: Sequence[Device],
        release: Release,
        *,
        job: int | None,
        options: Options,
    ) -> list[Started]:
        """See ``Updates.start``."""
        order = self._order(connection, actor, devices, release, job=job, options=options)
        artifact = order.artifact
        found: dict[int, Started] = {}
        drafts: dict[int, tuple[_Candidate, Update]] = {}
        for place, one in enumerate(self._candidates(connection, order, devices)):
            why = self._why_not(order, one)
            if why is not None or one.about is None or artifact is None:
                found[place] = why or _skipped("device_not_found")
            else:
                drafts[place] = one, self._draft(order, one, one.about, artifact)
        self._trim(connection, drafts, found)
        self._supersede(connection, [one for one, _ in drafts.values()], order.at)
        store.unwatch(connection, [one.device.id for one, _ in drafts.values()], release.kind)
        numbers = store.insert(connection, [draft for _, draft in drafts.values()])
        wanted = [
            Wanted(
                replace(draft, id=number),
                one.device,
                release,
                artifact,
                self.handing.most(one.device, one.about.max_packet),
                _later(order.at, options.jitter_ms),
            )
            for (one, draft), number in zip(drafts.values(), numbers, strict=True)
            if artifact is not None and one.about is not None
        ]
        answers = self.handing.write(connection, wanted, order.at)
        offered, without = [], []
        for place, made, answer in zip(drafts, wanted, answers, strict=True):
            if isinstance(answer, MooringError):
                without.append(made.update.id)
                found[place] = _without(answer)
                continue
            offered.append(answer)
            found[place] = Started(TargetState.HANDED_OVER, reference_of(made.update.id))
        store.write(connection, offered)
        store.delete(connection, without)
        store.count_offered(connection, len(offered))
        return [found[place] for place in range(len(devices))]

    def judge(
        self,
        connection: Connection,
        actor: Actor,
        devices: Sequence[Device],
        release: Release,
        *,
        job: int | None,
        options: Options,
    ) -> list[Started | None]:
        """See ``Updates.judge``."""
        order = self._order(connection, actor, devices, release, job=job, options=options)
        return [
            self._why_not(order, one)
            for one in self._candidates(connection, order, devices, lock=False)
        ]

    def _order(
        self,
        connection: Connection,
        actor: Actor,
        devices: Sequence[Device],
        release: Release,
        *,
        job: int | None,
        options: Options,
    ) -> _Order:
        complete = [one for one in release.artifacts if not one.from_sha256]
        artifact = next((one for one in complete if options.artifact in ("", one.name)), None)
        uid = "9" * len(str(store.newest(connection) + len(devices)))
        return _Order(actor, release, artifact, options, job, uid, now_ms())

    def _candidates(
        self,
        connection: Connection,
        order: _Order,
        devices: Sequence[Device],
        *,
        lock: bool = True,
    ) -> list[_Candidate]:
        numbers = {device.id for device in devices}
        kind, held = order.release.kind, self.handing.settings.firmware_held_seconds
        about = about_devices(connection, numbers)
        running = store.open_of(connection, numbers, kind, lock=lock)
        since = order.at - held * 1000
        former = store.former(connection, numbers, kind, order.release.id, since)
        return [
            _Candidate(
                device,
                about.get(device.id),
                running.get(device.id),
                former.get(device.id, Former()),
            )
            for device in devices
        ]

    def _why_not(self, order: _Order, one: _Candidate) -> Started | None:
        if one.about is None:
            return _skipped("device_not_found")
        device = one.device
        why = why_not(
            order.release,
            self.handing.catalogue.get(device.dialect),
            one.about,
            order.options,
            enabled=device.enabled,
            running=one.running,
            former=one.former,
            way=self._way(order, one.about),
        )
        if why is not None:
            return _skipped(why.cause, why.words)
        if order.artifact is None:
            return _skipped("release_state", f"{order.release.reference} has no such file.")
        if self._way(order, one.about) is Way.DDI:
            return None
        return self._cannot_carry(order, order.artifact, one.about, device)

    def _cannot_carry(
        self, order: _Order, artifact: Artifact, about: About, device: Device
    ) -> Started | None:
        """Why no message can carry the offer."""
        if self.handing.address is None:
            return _skipped("no_address")
        most = self.handing.most(device, about.max_packet)
        install = install_span(order.options.install_in.get(device.id, ""), order.at)
        fits = self.handing.fits(
            *(device, order.release, artifact),
            uid=order.uid,
            at=order.at,
            most=most,
            install=install,
        )
        if isinstance(fits, TooLarge):
            return _skipped(
                "packet_too_large",
                f"The offer needs a packet of {fits.size} bytes; the device accepts {fits.most}.",
            )
        return None if fits else _skipped("no_channel", "The device lacks what its topics need.")

    def _way(self, order: _Order, about: About) -> Way:
        return about.way(order.at - self.handing.settings.ddi_device_days * DAY_MS)

    def _draft(self, order: _Order, one: _Candidate, about: About, artifact: Artifact) -> Update:
        device, release, at = one.device, order.release, order.at
        dialect = self.handing.catalogue.get(device.dialect)
        asks = self._way(order, about) is Way.DDI
        interval = about.interval_ms or dialect.interval_ms
        return Update(
            id=0,
            tenant=device.tenant,
            device_id=device.id,
            device=device.name,
            release_id=release.id,
            artifact_id=artifact.id,
            kind=release.kind,
            version=release.version,
            from_version=about.version(release.kind),
            size=artifact.size,
            created_at=at,
            expires_at=at + (order.options.expires_ms or self.handing.waits.offer),
            state=State.WAITING,
            state_at=at,
            due_at=at,
            job_id=order.job,
            actor=order.actor.name,
            reason=order.options.reason,
            installs=one.former.installs,
            way=Way.DDI if asks else Way.MQTT,
            install_in=order.options.install_in.get(device.id, ""),
            linked=None if asks else about.link.connected,
            linked_at=None if asks else about.link.since,
            interval_ms=self.handing.settings.ddi_poll_seconds * 1000 if asks else interval,
            provable=has_version(release.kind, dialect, about.metadata)
            or (asks and bool(about.told) and release.kind is Kind.FIRMWARE),
            reports=asks or reach_of(dialect, release.kind).reports,
            history=(Step(at, State.WAITING, "offer", order.actor.name),),
        )

    def _trim(
        self,
        connection: Connection,
        drafts: dict[int, tuple[_Candidate, Update]],
        found: dict[int, Started],
    ) -> None:
        """Those for which the tenant has no room wait."""
        most = self.handing.settings.firmware_updates_max_per_tenant
        of_tenant: dict[str, list[int]] = {}
        for place, (one, _) in drafts.items():
            of_tenant.setdefault(one.device.tenant, []).append(place)
        for tenant, places in of_tenant.items():

            def count(tenant: str = tenant) -> int:
                return store.open_of_tenant(connection, tenant, most)

            room = _ROOM.take(tenant, most, count, len(places))
            for place in places[room:]:
                del drafts[place]
                words = f"The limit of {most:,} open firmware updates of a tenant is reached."
                found[place] = Started(TargetState.WAITING, cause="limit_reached", words=words)

    def _supersede(self, connection: Connection, candidates: Sequence[_Candidate], at: int) -> None:
        waits, words = self.handing.waits, "Another release is offered."
        changes = []
        for one in candidates:
            if one.running is not None:
                after = rules.advance(one.running, Event.SUPERSEDE, at, waits, words=words)
                if after is not None:
                    changes.append((one.running, after))
        record(connection, changes)


def _later(at: int, jitter_ms: int) -> int | None:
    """A random time, so that devices which were started together do not come together."""
    return at + secrets.randbelow(jitter_ms + 1) if jitter_ms else None


def _skipped(cause: str, words: str = "") -> Started:
    return Started(TargetState.SKIPPED, cause=cause, words=words or CAUSES[cause])


def _without(error: MooringError) -> Started:
    if error.slug == "limit_reached":  # there will be room
        return Started(TargetState.WAITING, cause=error.slug, words=error.message)
    return Started(TargetState.FAILED, cause=error.slug, words=error.message)
