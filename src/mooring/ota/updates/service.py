"""Operations on firmware updates: offer, look, cancel, and what devices and downloads report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.downlink.gate import WORK
from mooring.downlink.model import NewDownlink
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, Forbidden, MooringError, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.jobs.model import Started
from mooring.ota.releases import store as release_store
from mooring.ota.releases.finding import release_of
from mooring.ota.releases.model import Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.updates import rules, store
from mooring.ota.updates.about import about_devices
from mooring.ota.updates.handing import ORIGIN, Handing, Wanted
from mooring.ota.updates.model import NOT_BEGUN, Kind, Options, State, Step, Update
from mooring.ota.updates.moving import Change, record
from mooring.ota.updates.offers import can_wait, cancel_message
from mooring.ota.updates.protocol import LinkIssuer, Served
from mooring.ota.updates.reports import LOG_MAX, WORDS_MAX, cut
from mooring.ota.updates.rules import Event, Said
from mooring.ota.updates.starting import Starting
from mooring.ota.updates.waits import Waits, deadline
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Updates", "waits_of"]

CANCEL_MS = 600_000  # how long a device is asked to cancel
SOME = 500
DAY_MS = 86_400_000


def waits_of(settings: Settings) -> Waits:
    """How long states last, as the settings say."""
    day = 86_400_000
    return Waits(
        offer=settings.firmware_offer_seconds * 1000,
        link=settings.firmware_link_seconds * 750,
        answer=settings.firmware_answer_seconds * 1000,
        stall=settings.firmware_stall_seconds * 1000,
        download=settings.firmware_download_seconds * 1000,
        install=settings.firmware_install_seconds * 1000,
        reboot=settings.firmware_reboot_seconds * 1000,
        proof=settings.firmware_proof_seconds * 1000,
        proved=settings.firmware_proved_seconds * 1000,
        watch=settings.firmware_watch_days * day,
    )


@dataclass(frozen=True, slots=True)
class Updates:
    """Firmware updates of one installation."""

    database: Database
    devices: Devices
    downlinks: Downlinks
    settings: Settings
    links: LinkIssuer

    @property
    def waits(self) -> Waits:
        return waits_of(self.settings)

    @property
    def handing(self) -> Handing:
        return Handing(
            self.devices.catalogue, self.downlinks, self.settings, self.links, self.waits
        )

    # ------------------------------------------------------------------ offering

    def offer(
        self, actor: Actor, reference: str, release: str, options: Options | None = None
    ) -> Update:
        """Offers a release to one device.

        Raises:
            NotFound: no such device or release.
            Forbidden: the actor is only a viewer.
            Forbidden: ``not_a_person``: an API key, where rollouts need an approval.
            Conflict: ``firmware_not_offered``: the device cannot be updated to it now;
                ``limit_reached``.
        """
        actor.require(Role.OPERATOR, actor.tenant)
        options = options or Options()
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write(news=WORK, early=True) as connection:
            self._check_direct(connection, actor, device)
            wanted = release_of(connection, actor, release, device.tenant)
            (made,) = self.start(connection, actor, [device], wanted, job=None, options=options)
            if made.reference is None:
                raise _not_offered(device, wanted, made)
            audit_log.record(
                connection,
                actor,
                "firmware.offer",
                f"{device.reference} {wanted.reference}"[:300],
                tenant=device.tenant,
                reason=options.reason,
            )
            number = int(made.reference.partition(":")[2])
            found = store.one(connection, number)
        assert found is not None
        return found

    def _check_direct(self, connection: Connection, actor: Actor, device: Device) -> None:
        """Where a second person approves rollouts, one person alone reaches few devices."""
        if self.settings.rollout_approval != "required":
            return
        if actor.is_key:
            raise Forbidden(
                "Rollouts need an approval here, so an API key does not offer firmware directly.",
                hint="Log in as a person, or start a rollout.",
                code="not_a_person",
            )
        most = self.settings.firmware_direct_max_per_day
        since = now_ms() - DAY_MS
        if store.offered_directly(connection, actor.name, device, since) >= most:
            raise Conflict(
                f"{actor.name} may offer firmware to {most} devices of {device.tenant} within 24 "
                "hours without a rollout.",
                hint="Start a rollout, which a second person approves.",
                code="limit_reached",
                limit="firmware_direct_max_per_day",
                most=most,
            )

    def start(
        self,
        connection: Connection,
        actor: Actor,
        devices: Sequence[Device],
        release: Release,
        *,
        job: int | None,
        options: Options,
    ) -> Sequence[Started]:
        """Writes updates and their offers in the caller's transaction, with the same few
        statements however many there are. The caller checks permissions and writes the audit.

        An update to another release that the device has not begun is superseded.

        Args:
            devices: each once.
            job: the job that makes them.

        Returns:
            In the order of ``devices``: handed over with the reference of the update, skipped
            with a cause of ``CAUSES``, or waiting where there is no room now.
        """
        return Starting(self.handing).start(
            connection, actor, devices, release, job=job, options=options
        )

    def offer_again(self, connection: Connection, numbers: Sequence[int], at: int) -> int:
        """Writes the offers of updates that wait for one, in the caller's transaction; how many.

        Raises:
            Conflict: ``limit_reached``: there is no room for one of them.
        """
        waiting = [
            one
            for one in store.find(connection, numbers, lock=True)
            if one.state is State.WAITING and one.downlink_id is None
        ]
        there = {
            device.id: device
            for device in device_store.by_numbers(connection, [one.device_id for one in waiting])
        }
        about = about_devices(connection, there)
        releases: dict[int, Release] = {}
        wanted = []
        for one in waiting:
            if one.release_id not in releases:
                (found,) = release_store.find(connection, SYSTEM, number=one.release_id)
                releases[one.release_id] = found
            device, release = there.get(one.device_id), releases[one.release_id]
            if device is None or release.state is ReleaseState.WITHDRAWN:
                continue
            artifact = next(each for each in release.artifacts if each.id == one.artifact_id)
            most = self.handing.most(device, about[device.id].max_packet)
            wanted.append(Wanted(one, device, release, artifact, most))
        written = []
        for answer in self.handing.write(connection, wanted, at):
            if isinstance(answer, MooringError):
                raise answer
            written.append(answer)
        store.write(connection, written)
        return len(written)

    def judge(
        self,
        connection: Connection,
        actor: Actor,
        devices: Sequence[Device],
        release: Release,
        *,
        job: int | None,
        options: Options,
    ) -> Sequence[Started | None]:
        """As ``start`` would answer for devices that cannot be updated now, without writing
        anything; ``None``: the device can be."""
        return Starting(self.handing).judge(
            connection, actor, devices, release, job=job, options=options
        )

    def waiting_ones(
        self, connection: Connection, devices: Sequence[Device], kind: Kind
    ) -> set[int]:
        """Those of these devices that keep an image until their offer allows the install: their
        dialect says so, and they get offers over MQTT."""
        catalogue = self.devices.catalogue
        some = [one.id for one in devices if can_wait(catalogue.get(one.dialect), kind)]
        since = now_ms() - self.settings.ddi_device_days * DAY_MS
        return set(some) - store.asking(connection, some, since)

    # ------------------------------------------------------------------ looking

    def get(self, actor: Actor, number: int) -> Update:
        """One update.

        Raises:
            NotFound: no such update, or the actor does not see it.
        """
        with self.database.read() as connection:
            found = store.one(connection, number)
        if found is None or not actor.sees(found.tenant):
            raise NotFound(
                f"There is no firmware update {number}.", code="firmware_update_not_found"
            )
        actor.require(Role.VIEWER, found.tenant)
        return found

    def listed(
        self,
        actor: Actor,
        *,
        device: str | None = None,
        release: str | None = None,
        job: int | None = None,
        states: Sequence[State] = (),
        limit: int = 50,
        before: int | None = None,
    ) -> list[Update]:
        """Updates that the actor sees, the newest first.

        Raises:
            NotFound: no such device or release.
        """
        found = None if device is None else self.devices.get(actor, device)
        actor.require(Role.VIEWER, actor.tenant if found is None else found.tenant)
        with self.database.read() as connection:
            wanted = None if release is None else release_of(connection, actor, release)
            return store.listed(
                connection,
                actor,
                limit=limit,
                before=before,
                device_id=None if found is None else found.id,
                release_id=None if wanted is None else wanted.id,
                job_id=job,
                states=states,
            )

    # ------------------------------------------------------------------ what happens

    def report(
        self,
        connection: Connection,
        number: int,
        event: Event,
        *,
        at: int,
        code: str = "",
        words: str = "",
        percent: int | None = None,
        log: str = "",
    ) -> Update | None:
        """What the device reports of an update, in the caller's transaction; the update as it is
        then, ``None``: it does not exist."""
        update = store.one(connection, number, lock=True)
        if update is None:
            return None
        plain = log.replace("\0", "\ufffd").encode(errors="replace")[-LOG_MAX:]
        said = Said(event, code, cut(words, WORDS_MAX), plain.decode(errors="ignore"), percent)
        after = rules.report(update, said, at, self.waits)
        if after is None:
            return update
        record(connection, [(update, after)])
        return after

    def served(self, connection: Connection, sent: Mapping[int, Served], at: int) -> None:
        """Bytes of files were sent, in the caller's transaction.

        Args:
            sent: by the numbers of updates.
        """
        changes: list[Change] = []
        for update in store.find(connection, list(sent), lock=True):
            one = sent[update.id]
            if update.artifact_id != one.artifact:
                continue
            after = rules.served(update, one.to_byte, at, self.waits, whole=one.whole)
            if after is not None:
                changes.append((update, after))
        record(connection, changes)
        # Two sessions with TLS do not fit into a small board.
        store.announce(connection, [after.device_id for _, after in changes], at)

    def link_expired(self, connection: Connection, number: int, at: int) -> None:
        """The device asked with an expired link, in the caller's transaction: it gets a fresh
        offer, at most one in 30 s, and no attempt is used."""
        update = store.one(connection, number, lock=True)
        if update is None:
            return
        after = rules.renew(update, at, self.waits, "Its link has expired.")
        if after is not None:
            record(connection, [(update, after)])

    def is_over(self, connection: Connection, number: int) -> bool:
        """Whether an update needs its file no longer: it is over, or was cancelled."""
        update = store.one(connection, number)
        return update is not None and (update.over or update.asked_at is not None)

    # ------------------------------------------------------------------ ending

    def stop(self, actor: Actor, number: int, *, reason: str = "") -> Update:
        """Cancels an update that the device has not begun. A device that downloads is asked to
        stop, and has 10 minutes.

        Raises:
            NotFound: no such update, or the actor does not see it.
            Conflict: ``firmware_update_over``; ``firmware_update_installing``: it cannot be
                stopped any more.
        """
        found = self.get(actor, number)
        actor.require(Role.OPERATOR, found.tenant)
        with self.database.write(news=WORK) as connection:
            found = store.one(connection, number, lock=True) or found
            if found.over:
                raise Conflict(
                    f"The firmware update {number} is over: {found.state}.",
                    code="firmware_update_over",
                )
            if found.state not in (*NOT_BEGUN, State.DOWNLOADING):
                raise Conflict(
                    f"The device is {found.state}: it cannot be stopped any more.",
                    hint="Wait for the outcome. `mooring firmware update show` shows it.",
                    code="firmware_update_installing",
                )
            self.cancel(connection, [number], at=now_ms(), words=f"Cancelled by {actor.name}.")
            audit_log.record(
                connection,
                actor,
                "firmware.cancel",
                f"{found.device} {found.version} ({found.id})"[:300],
                tenant=found.tenant,
                reason=reason,
            )
            return store.one(connection, number) or found

    def cancel(
        self, connection: Connection, numbers: Sequence[int], *, at: int, words: str = ""
    ) -> None:
        """Ends those that their devices have not begun, and asks devices that download to stop,
        in the caller's transaction. Those that are installing run on."""
        updates = store.find(connection, numbers, lock=True)
        self._end(connection, updates, Event.CANCEL, at, words or "It was cancelled.")

    def of_release_withdrawn(self, connection: Connection, release: int) -> None:
        """As ``cancel`` for every update to a release, in the transaction that withdraws it."""
        at, after = now_ms(), 0
        while True:
            some = store.of_release(connection, release, limit=SOME, after=after)
            if not some:
                return
            self._end(connection, some, Event.WITHDRAW, at, "The release was withdrawn.")
            after = some[-1].id

    def _end(
        self,
        connection: Connection,
        updates: Sequence[Update],
        event: Event,
        at: int,
        words: str,
    ) -> None:
        changes: list[Change] = []
        asked = []
        for one in updates:
            if one.state is State.DOWNLOADING:
                if one.asked_at is None:
                    asked.append(one)
                    noted = (*one.history, Step(at, one.state, str(event), words))
                    changes.append((one, self._asked(one, at, noted)))
                continue
            after = rules.advance(one, event, at, self.waits, words=words)
            if after is not None:
                changes.append((one, after))
        record(connection, changes)
        self._ask(connection, asked, at)

    def _asked(self, update: Update, at: int, history: tuple[Step, ...]) -> Update:
        after = replace(update, asked_at=at, history=history[-rules.HISTORY_MAX :])
        return replace(after, due_at=deadline(after, self.waits))

    def _ask(self, connection: Connection, updates: Sequence[Update], at: int) -> None:
        """Asks devices to stop their download, where their dialects can. Without an answer the
        file is not served any more all the same."""
        devices = device_store.by_numbers(connection, [one.device_id for one in updates])
        by_number: Mapping[int, Device] = {device.id: device for device in devices}
        messages = []
        for one in updates:
            device = by_number.get(one.device_id)
            if device is None:
                continue
            dialect = self.devices.catalogue.get(device.dialect)
            message = cancel_message(dialect, device.identity, one.uid, at)
            if message is not None:
                messages.append(
                    NewDownlink(
                        topic=message.topic,
                        payload=message.payload,
                        tenant=one.tenant,
                        origin=ORIGIN,
                        expires_at=at + CANCEL_MS,
                        device_id=one.device_id,
                        qos=max(1, message.channel.qos),
                        dedupe=f"firmware-cancel:{one.id}",
                    )
                )
        self.downlinks.put_many(connection, messages)


def _not_offered(device: Device, release: Release, why: Started) -> MooringError:
    if why.cause == "limit_reached":
        return Conflict(why.words, hint="See docs/reference/limits.md.", code="limit_reached")
    return Conflict(
        f"{device.reference} is not offered {release.reference}. {why.words}",
        hint="`mooring firmware offer --help` names what can be forced.",
        code="firmware_not_offered",
        cause=why.cause,
    )
