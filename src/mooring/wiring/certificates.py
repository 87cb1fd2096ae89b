"""The certificate watch of ``mooring up``: files, broker and database kept in line.

Commands and routes change the ledger and the files; here the broker is made to follow, for every
origin of a change. Each round: revoke what belongs to devices that are gone, bring the files in
line,
check and reload what changed, then end the sessions of whom the broker rejects from now on.
Every step can be done again, so a crash between any two costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

from mooring.app import App
from mooring.broker.connection import Endpoint
from mooring.broker.reload import Reload, by_command
from mooring.changes import queue as change_queue
from mooring.clock import now_ms, utc_now
from mooring.errors import BrokerUnavailable, DatabaseUnavailable, MooringError
from mooring.pki.inspect import check_crl
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import Reason
from mooring.pki.operator import COPY, adopt, operator_files
from mooring.pki.problems import Problem
from mooring.pki.report import complaints, reminders
from mooring.pki.watch import Stamps, WatchDecision, decide, stamp
from mooring.store import versions
from mooring.store.wake import Waker
from mooring.supervisor.rows import RowFaults
from mooring.wiring.broker import BrokerFiles, service_endpoint
from mooring.wiring.reloading import reload_and_wait
from mooring.wiring.sessions import client_ids, take_over
from mooring.wiring.sightings import SightingReader

__all__ = ["CertificateWatch", "watch_certificates"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
ASLEEP_SECONDS = 1.0  # between two looks at the files when nobody commits
LOOK_SECONDS = 2.0  # between two rounds while what devices report of the CA counts
REST_SECONDS = 20.0  # otherwise, when neither a file nor a commit asks for one
SECOND_LOOK_SECONDS, LOOKS = 0.02, 50  # files that change count once two looks agree
SETTLE_SECONDS = 60.0  # between two looks at what only time changes: renewals, ends
CLOCK_JUMP_SECONDS = 5.0
LOG_SECONDS = 1.0  # until a connection that was made before a reload is in the database
RETRY_SECONDS = 2.0


class CertificateWatch:
    """One installation's certificates while the platform runs.

    Args:
        app: whose CA, settings and database.
        reload: returns when the broker has read its files; ``None`` when nobody here can tell
            it: then files are kept right and the operator reloads.
        endpoint: where the broker answers the platform.
    """

    def __init__(self, app: App, reload: Reload | None, endpoint: Endpoint) -> None:
        self._app = app
        self._reload = reload
        self._endpoint = endpoint
        self._certificates = app.certificates
        self._pki = self._certificates.pki
        self._ledger = self._certificates.ledger
        self._operators = operator_files(app.settings)
        self._sightings = SightingReader(app.database, self._pki)
        paths = self._pki.paths
        self._watched: tuple[Path, ...] = (
            paths.trust,
            paths.crl,
            *((paths.server_cert, paths.server_key) if self._operators is None else ()),
        )
        # What the broker has read. It was started some time ago, so the first round reloads it.
        self._loaded: Stamps = {} if reload is not None else stamp(self._watched)
        self._before: Stamps = self._loaded
        self._sources: Stamps = self._source_stamps()
        self._sources_before: Stamps = self._sources
        self._refused: Stamps | None = None  # operator's files that could not be used
        self._adopted = False  # a new copy waits for the broker
        self._held: frozenset[str] | None = None  # whose sessions were ended for it
        self._held_now: list[CertificateRecord] = []
        self._version = -1  # of the devices, when they were last looked at
        self._said: dict[str, str] = {}
        self._settle_at = 0.0
        self._at_rest = False  # nothing is to be done until something changes
        self._seen: tuple[object, ...] = ()
        self._clock = (now_ms() / 1000, time.monotonic())
        self._round = asyncio.Lock()
        self.faults = RowFaults(
            "the certificate of", passing=(DatabaseUnavailable, BrokerUnavailable)
        )

    @property
    def row_faults(self) -> tuple[RowFaults, ...]:
        """Certificates and reports of devices that failed."""
        return (self.faults, self._sightings.faults)

    async def run(self) -> None:
        """Runs until cancelled."""
        waker = Waker(self._app.database.wake_folder)
        look_at = 0.0
        try:
            while True:
                try:
                    await self.step()
                except MooringError as exc:
                    self._say("step", f"the certificates are not maintained: {exc} {exc.hint}")
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._say("step", "")
                    look_at = time.monotonic() + (
                        LOOK_SECONDS if self._sightings.wanted else REST_SECONDS
                    )
                while not (
                    await waker.wait(POLL_SECONDS, asleep=ASLEEP_SECONDS)
                    or await self._is_due(look_at)
                ):
                    continue
        finally:
            waker.close()

    async def _is_due(self, at: float) -> bool:
        """Whether a round may find something to do though nobody has committed anything."""
        if not self._at_rest or time.monotonic() >= at:
            return True
        if self._operators is None:  # files of our own directory: no thread is needed for them
            return self._seen_now() != self._seen
        return await asyncio.to_thread(self._seen_now) != self._seen

    def _seen_now(self) -> tuple[object, ...]:
        """All files that count, as they are."""
        sources = None if self._operators is None else self._source_stamps()
        return stamp(self._watched), sources

    async def step(self) -> None:
        """One round; what it cannot do now the next one does."""
        self._at_rest = False
        async with self._round:
            await self._step()

    async def before_lock_outs(self) -> None:
        """Returns when the broker rejects the certificates of every device that is locked out
        or removed, so that a client that is disconnected next cannot come back with one.

        Not to be called by the holder of the lock that ``watch_certificates`` was given.
        """
        try:
            if not await asyncio.to_thread(self._someone_is_let_in):
                return
            for _ in range(LOOKS):
                async with self._round:
                    await asyncio.to_thread(self._settle)
                    if await self._bring_in_force():
                        return
                await asyncio.sleep(SECOND_LOOK_SECONDS)
        except MooringError as exc:
            self._say("lock outs", f"certificates are not rejected yet: {exc} {exc.hint}")
        else:
            self._say(
                "lock outs", "certificates are not rejected yet: the files are still changing"
            )

    def _someone_is_let_in(self) -> bool:
        return bool(self._ledger.orphans()) or self._held != _serials(self._ledger.held())

    async def _step(self) -> None:
        revoked, held = await asyncio.to_thread(self._settle)
        if not await self._bring_in_force():
            return
        newly_held, left = self._newly_held(held), set[str]()
        if revoked or newly_held:
            ended = await self._end_sessions([*revoked, *newly_held])
            left = {record.username for record in newly_held} - ended
            await asyncio.to_thread(
                self._ledger.enforced,
                [record.serial for record in revoked if record.username in ended],
                utc_now(),
            )
        self._held = _serials(record for record in held if record.username not in left)
        seen = await asyncio.to_thread(self._seen_now)
        self._at_rest = seen == self._seen and not revoked and not left
        self._seen = seen

    # ------------------------------------------------------------------ files

    def _settle(self) -> tuple[list[CertificateRecord], list[CertificateRecord]]:
        """The files follow the ledger. Returns what was revoked and not enforced, and held."""
        due = time.monotonic() >= self._settle_at or self._clock_jumped()
        with self._app.database.read() as connection:
            version = versions.version(connection, "devices")
        if due or version != self._version:
            self._revoke_orphans()
            self._held_now = self._ledger.held()
            self._version = version
        revoked = self._ledger.unenforced()
        hold_changed = self._held != _serials(self._held_now)
        if due or revoked or hold_changed or stamp(self._watched) != self._loaded:
            self._pki.init()
        if due:
            self._settle_at = time.monotonic() + SETTLE_SECONDS
            self._refused = None  # a certificate that was not valid yet may be so now
            self._tell_ends()
        self._sightings.read()
        return revoked, self._held_now

    def _revoke_orphans(self) -> None:
        for record in self._ledger.orphans():
            if self.faults.postponed(record.serial):
                continue
            with self.faults.isolated(record.serial):
                log.info(
                    "%s was removed: its certificate %s is revoked", record.username, record.serial
                )
                self._pki.revoke(serial=record.serial, reason=Reason.CESSATION_OF_OPERATION)

    def _clock_jumped(self) -> bool:
        wall, steady = now_ms() / 1000, time.monotonic()
        jump = (wall - self._clock[0]) - (steady - self._clock[1])
        self._clock = (wall, steady)
        if abs(jump) < CLOCK_JUMP_SECONDS:
            return False
        log.warning("the time jumped by %.0f s; certificates are checked again", jump)
        return True

    def _adopted_stamps(self) -> Stamps:
        self._adopt()
        return stamp(self._watched)

    async def _bring_in_force(self) -> bool:
        """Whether the broker now has the files as they are."""
        current = await asyncio.to_thread(self._adopted_stamps)
        before, self._before = self._before, current
        decision = decide(self._loaded, before, current)
        if self._adopted and decision is WatchDecision.KEEP:
            decision = WatchDecision.RELOAD
        if decision is not WatchDecision.RELOAD:
            return decision is WatchDecision.KEEP
        problems = [p for p in await asyncio.to_thread(self._check) if p.fatal]
        if problems:
            told = " ".join(f"{p.message} {p.hint}" for p in problems)
            self._say("check", f"the broker keeps its current certificates: {told}")
            return False
        self._say("check", "")
        if self._reload is None:
            log.warning("certificate files changed: reload the broker, or set reload_command")
        else:
            await self._reload()
            log.info("the broker has read its certificates")
        self._loaded, self._adopted = current, False
        return True

    def _check(self) -> Iterable[Problem]:
        if self._operators is None:
            return self._pki.check()
        paths = self._pki.paths
        return check_crl(paths.crl, paths.trust, utc_now())

    # ------------------------------------------------------------------ the operator's files

    def _source_stamps(self) -> Stamps:
        return {} if self._operators is None else stamp(self._operators.paths)

    def _adopt(self) -> None:
        """Copies the operator's files once they have changed and come to rest."""
        if self._operators is None:
            return
        current = self._source_stamps()
        before, self._sources_before = self._sources_before, current
        if current == self._sources:
            self._say("operator", "")
            return
        if current != before or current == self._refused:
            return
        try:
            adopt(self._operators, self._pki.paths.ca.parent, utc_now())
        except MooringError as exc:
            self._refused = current
            self._say("operator", f"the broker keeps its current certificate: {exc} {exc.hint}")
            return
        log.info("the certificate %s was replaced", self._operators.certificate)
        self._sources, self._refused, self._adopted = current, None, True

    # ------------------------------------------------------------------ sessions

    def _newly_held(self, held: Iterable[CertificateRecord]) -> list[CertificateRecord]:
        if self._held is None:  # the first round: nobody is left from before
            return []
        return [record for record in held if record.serial not in self._held]

    async def _end_sessions(self, records: Iterable[CertificateRecord]) -> set[str]:
        """Whose sessions were ended. Those of others are tried again in the next round."""
        usernames = list(dict.fromkeys(record.username for record in records))
        by_name: list[str] = []
        rest: list[str] = []
        for username in usernames:
            if self.faults.postponed(username):
                continue
            with self.faults.isolated(username):
                account = await asyncio.to_thread(self._app.devices.account, username)
                known = account is not None
                named = known and self._app.settings.authority != "password_file"
                (by_name if named else rest).append(username)
        await asyncio.to_thread(self._kick, by_name)
        ended = set(by_name)
        if rest:
            await asyncio.sleep(LOG_SECONDS)
        for username in rest:
            with self.faults.isolated(username):
                names = await asyncio.to_thread(self._connected, [username])
                await take_over(self._endpoint, names)
                ended.add(username)
        return ended

    def _kick(self, usernames: Iterable[str]) -> None:
        with self._app.database.write() as connection:
            for username in usernames:
                change_queue.enqueue(connection, "kick", username)

    def _connected(self, usernames: Iterable[str]) -> list[str]:
        with self._app.database.read() as connection:
            return [name for user in usernames for name in client_ids(connection, user)]

    # ------------------------------------------------------------------ telling

    def _tell_ends(self) -> None:
        found = self._pki.report(
            None if self._operators is None else self._pki.paths.ca.parent / COPY
        )
        self._say("ends", " ".join((*complaints(found), *reminders(found))))

    def _say(self, topic: str, text: str) -> None:
        """Logs a text when it has changed; nothing when all is well again."""
        if text and self._said.get(topic) != text:
            log.warning("%s", text)
        self._said[topic] = text


def watch_certificates(app: App, turn: asyncio.Lock) -> CertificateWatch:
    """The watch for an installation whose broker is managed, or attached.

    Args:
        turn: held while the managed broker is started, stopped or reloaded.
    """
    settings = app.settings
    files, endpoint = BrokerFiles(settings), service_endpoint(app)

    async def managed() -> None:
        async with turn:
            await reload_and_wait(files.reload(), files.log, endpoint)

    reload: Reload | None = managed
    if settings.broker == "attached":
        command = settings.reload_command
        reload = by_command(shlex.split(command)) if command else None
    return CertificateWatch(app, reload, endpoint)


def _serials(records: Iterable[CertificateRecord]) -> frozenset[str]:
    return frozenset(record.serial for record in records)
