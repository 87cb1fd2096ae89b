"""Firmware updates: offer → checks → download → check → the application installs → report.

The offer and how far it has come are in the store, so an update continues after a restart, and
a device that comes back from installing says how it went.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mooring_device.backoff import Backoff
from mooring_device.commands import words_of
from mooring_device.dialect import Payload, look_up
from mooring_device.download import Fetcher, LinkExpired, ServerBusy
from mooring_device.downloaded import Firmware
from mooring_device.errors import (
    ConnectFailed,
    Defer,
    DeviceError,
    FirmwareRefused,
    InvalidReading,
    Rejected,
)
from mooring_device.link import Arrived
from mooring_device.offers import MISSED, Offer, body_of, id_of, parse_offer
from mooring_device.orders import read_json
from mooring_device.outbox import Outbox
from mooring_device.policy import FirmwarePolicy
from mooring_device.shapes import dump, put
from mooring_device.store import Store
from mooring_device.tables import Tables
from mooring_device.versions import version_key

__all__ = ["TRIES", "Updates"]

log = logging.getLogger("mooring_device")

TRIES = 20  # attempts to download; with the backoff below about half an hour
STEP = 10  # percent between two reports
PROGRESS = 65_536  # bytes: an attempt that brings as many does not count
PATIENCE = 86_400.0  # seconds without a byte, for a fresh offer or a busy server
LINK_WAIT = Backoff(floor=30.0, first=60.0, cap=600.0)  # between two looks at an expired link
WINDOW_LOOK = 60.0  # seconds between two looks at the clock, which may be set meanwhile
WINDOW_MARGIN = 300.0  # seconds
ROLL_BACKS = 3  # starts with a version that is being rolled back

# States in the store. The platform is also told "deferred" and "rebooting".
DOWNLOADING, INSTALLING, TRIAL, ROLLING_BACK = "downloading", "installing", "installed", "reverting"
OVER = ("done", "failed", "rejected", "cancelled")
SECURITY = "firmware_security"  # the highest security version that was installed, in the store


class _Stopped(Exception):
    """The device stops; the next start continues."""


class _Cancelled(Exception):
    """The platform has cancelled the update."""


class Updates:
    """The device's firmware updates. Handlers may be set until the device starts.

    Args:
        store: where offer and progress are kept.
        running: the version that runs now, or "" when the application does not say.
        fetcher: makes a ``Fetcher`` for an offer.
        backoff: between attempts to download.
        policy: what is accepted.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *,
        running: str,
        fetcher: Callable[[Offer], Fetcher],
        backoff: Backoff | None = None,
        policy: FirmwarePolicy | None = None,
        link_wait: Backoff = LINK_WAIT,
    ) -> None:
        self.handler: Callable[[Firmware], Any] | None = None
        self.on_offer: Callable[[Offer], Any] | None = None
        self.on_roll_back: Callable[[str], Any] | None = None
        self._store = store
        self._outbox = outbox
        self._running = running
        self._fetcher = fetcher
        self._backoff = backoff or Backoff(cap=120.0)
        self._link_wait = link_wait
        self._policy = policy or FirmwarePolicy()
        self._thread: threading.Thread | None = None
        self._trial: threading.Timer | None = None
        # What threads tell each other; under the lock.
        self._news = threading.Condition()
        self._stopping = False
        self._cancelling = False
        self._fresh = False  # a fresh offer of the active image has come
        self._active: Offer | None = None  # the offer that is under way
        self._interruptible = True  # not while the application installs

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Continue with an update that a restart interrupted."""
        if self.handler is None:
            return
        if not self._policy.accepts_anything:
            log.error(
                "No firmware can be accepted: give the device a FirmwarePolicy with keys, or with "
                "unsigned=True."
            )
        known = self._known()
        if known is None:
            return
        offer, state = Offer.kept(known["offer"]), known["state"]
        if state in (DOWNLOADING, "deferred"):
            self._go(offer)
        elif state == INSTALLING:
            self._came_back(offer)
        elif state == TRIAL:
            if self._runs(offer):
                self._roll_back(offer, "The program ended before it confirmed the new version.")
            else:
                self._report(
                    offer,
                    "failed",
                    code="health",
                    error=f"The device came back with {self._running} before the new version was "
                    "confirmed.",
                )
        elif state == ROLLING_BACK:
            error = known.get("error", "")
            starts = known.get("starts", 0) + 1
            if self._runs(offer) and starts < ROLL_BACKS:
                self._roll_back(offer, error, starts=starts)
            else:
                still = " The new version still runs." if self._runs(offer) else ""
                self._report(offer, "failed", code="health", error=f"{error}{still}")

    def close(self, timeout: float) -> None:
        """Stop a download; what has arrived is kept."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._trial is not None:
            self._trial.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _came_back(self, offer: Offer) -> None:
        """The device restarted while it installed."""
        if not self._runs(offer):
            now = f"came back with {self._running}" if self._running else "does not say"
            self._report(
                offer,
                "failed",
                code="install",
                error=f"The device restarted while it installed, and {now}.",
            )
        elif self._policy.confirm_within <= 0:
            self._report(offer, "done", percent=100)
        else:
            self._report(offer, TRIAL, percent=100)
            self._trial = threading.Timer(
                self._policy.confirm_within,
                self._not_confirmed,
            )
            self._trial.daemon = True
            self._trial.start()

    # ------------------------------------------------------------------ what the application says

    def confirm(self) -> bool:
        """The new version works; whether an update was waiting for that."""
        known = self._known()
        if known is None or known["state"] not in (TRIAL, INSTALLING):
            return False
        offer = Offer.kept(known["offer"])
        if known["state"] == INSTALLING and not self._runs(offer):
            return False
        if self._trial is not None:
            self._trial.cancel()
        self._report(offer, "done", percent=100)
        return True

    def roll_back(self, why: str) -> bool:
        """The new version does not work; whether an update was waiting for a confirmation."""
        known = self._known()
        if known is None or known["state"] != TRIAL:
            return False
        if self._trial is not None:
            self._trial.cancel()
        self._roll_back(Offer.kept(known["offer"]), why)
        return True

    def _not_confirmed(self) -> None:
        within = self._policy.confirm_within
        try:
            self.roll_back(f"The new version was not confirmed within {within:.0f} seconds.")
        except DeviceError:
            log.exception("The update could not be rolled back.")

    def _roll_back(self, offer: Offer, why: str, *, starts: int = 0) -> None:
        log.error("The version %s is rolled back: %s", offer.version, why)
        handler = self.on_roll_back
        if handler is None:
            self._report(offer, "failed", code="health", error=why)
            return
        # To disk first: the handler may restart the machine.
        keep = {"offer": offer.to_keep(), "state": ROLLING_BACK, "error": why, "starts": starts}
        self._store.run(lambda tables: tables.put("firmware", dump(keep)))
        try:
            handler(why)
        except BaseException as exc:  # SystemExit would end the thread without a report
            log.exception("The version %s could not be rolled back.", offer.version)
            self._report(offer, "failed", code="health", error=f"{why} {words_of(exc)}")

    # ------------------------------------------------------------------ what the platform says

    def arrived(self, message: Arrived, shape: Payload) -> None:
        """Take in an offer; durable on return."""
        if self.handler is None or not message.payload or self._cancels(message.payload, shape):
            return
        try:
            offer = parse_offer(message.payload, shape)
        except FirmwareRefused as exc:
            log.warning("%s", exc)
            self._refuse(message.payload, shape, exc)
            return
        if self._renews(offer) or self._has_had(offer, retained=message.retained):
            return
        if self._busy:
            log.warning("Another update is under way; the offer of %s is rejected.", offer.version)
            error = "Another update is under way."
            self._report(offer, "failed", code="refused", error=error, keep=False)
            return
        self._go(offer)

    def _has_had(self, offer: Offer, *, retained: bool) -> bool:
        """Whether an offer asks for nothing new; what runs already is reported again."""
        known = self._known()
        state = known["state"] if known else ""
        if self._runs(offer):
            if state not in (TRIAL, ROLLING_BACK):  # then it is not proved yet
                # It is not checked, so nothing that it says of itself is kept.
                self._report(
                    replace(offer, security_version=0), "done", percent=100, keep=not self._busy
                )
            return True
        if known is None or Offer.kept(known["offer"]).key != offer.key:
            return False
        if state in (DOWNLOADING, "deferred", INSTALLING) and self._busy:
            return True
        return state == "done" or (state in OVER and retained)

    def cancel(self, name: str) -> bool:
        """The platform takes an offer back; whether it is the one under way. An update that is
        being installed is not stopped."""
        with self._news:
            active = self._active
            if active is None or not name or active.id != name:
                return False
            if self._interruptible:
                self._cancelling = True
                self._news.notify_all()
            return True

    def _cancels(self, payload: bytes, shape: Payload) -> bool:
        """Whether a message on the offers' channel takes one back: ``{"id", "cancel": true}``."""
        try:
            whole = read_json(payload)
        except ValueError:
            return False  # reported as an offer that cannot be read
        places = [whole, look_up(whole, shape.values)]
        if not any(isinstance(one, dict) and one.get("cancel") is True for one in places):
            return False
        self.cancel(id_of(whole, shape))
        return True

    def _renews(self, offer: Offer) -> bool:
        """Whether it is a fresh offer of the image that is being downloaded."""
        with self._news:
            active = self._active
            if active is None or not self._interruptible or active.sha256 != offer.sha256:
                return False
            if active.version != offer.version or active.size != offer.size:
                return False
            # A renewal is not checked: nothing but where the image is and when it may be installed
            # comes from it.
            offer = self._active = replace(
                active,
                url=offer.url,
                id=offer.id,
                install_after=offer.install_after,
                install_before=offer.install_before,
            )
            self._fresh = True
            self._news.notify_all()

        def write(tables: Tables) -> None:
            known = json.loads(tables.get("firmware", "{}"))
            if known.get("state") in (DOWNLOADING, "deferred"):  # not when it is being installed
                tables.put("firmware", dump({**known, "offer": offer.to_keep()}))

        self._store.run(write)
        return True

    # ------------------------------------------------------------------ the update's thread

    def _go(self, offer: Offer) -> None:
        try:
            security_version = self._policy.check(
                offer,
                running=self._running,
                security_version=self._store.run(lambda tables: int(tables.get(SECURITY, 0))),
            )
        except FirmwareRefused as exc:
            log.warning("%s", exc)
            self._report(offer, "failed", code=exc.code, error=words_of(exc))
            return
        offer = replace(offer, security_version=security_version)
        if self.on_offer is None:
            self._report(offer, DOWNLOADING)
        else:
            self._keep(offer, DOWNLOADING)
        with self._news:
            self._active = offer
            self._cancelling = self._fresh = False
            self._interruptible = True
        self._thread = threading.Thread(
            target=self._update, args=(offer,), name="mooring-firmware", daemon=True
        )
        self._thread.start()

    @property
    def _busy(self) -> bool:
        return self._active is not None

    @property
    def _offer(self) -> Offer:
        """The offer under way, with its newest link."""
        active = self._active
        if active is None:
            raise _Stopped
        return active

    def _end(self, offer: Offer) -> None:
        with self._news:
            if self._active is not None and self._active.key == offer.key:
                self._active = None

    def _update(self, offer: Offer) -> None:
        try:
            if self.on_offer is not None:
                self._ask(self.on_offer)
                self._report(self._offer, DOWNLOADING)
            path = self._download()
            self._install(path)
        except _Stopped:
            pass  # the next start continues
        except _Cancelled:
            offer = self._active or offer
            self._fetcher(offer).drop(offer)
            self._report(offer, "cancelled")
        except Rejected as exc:
            self._report(self._active or offer, "rejected", code="refused", error=words_of(exc))
        except FirmwareRefused as exc:
            log.warning("%s", exc)
            self._report(self._active or offer, "failed", code=exc.code, error=words_of(exc))
        except DeviceError:
            log.exception("The update to %s stopped.", offer.version)
        except Exception as exc:
            log.exception("The update to %s stopped.", offer.version)
            self._report(self._active or offer, "failed", code="unknown", error=words_of(exc))
        finally:
            self._end(self._active or offer)

    def _pause(self, seconds: float) -> bool:
        """Wait; whether a fresh offer has come.

        Raises:
            _Stopped, _Cancelled.
        """
        until = time.monotonic() + seconds
        with self._news:
            while not (self._stopping or self._cancelling or self._fresh):
                left = until - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    break
            self._stop_if_told()
            fresh, self._fresh = self._fresh, False
            return fresh

    def _stop_if_told(self) -> None:
        if self._stopping:
            raise _Stopped
        if self._cancelling:
            raise _Cancelled

    def _ask(self, handler: Callable[[Offer], Any]) -> None:
        """The application may reject or defer an offer."""
        while True:
            try:
                handler(self._offer)
            except Defer as later:  # noqa: PERF203  it is asked again
                self._deferred(later.seconds)
            else:
                return

    def _deferred(self, seconds: float) -> None:
        self._report(self._offer, "deferred", seconds=seconds)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._pause(until - time.monotonic())

    def _download(self) -> Path:
        reported = 0

        def progress(percent: int) -> None:
            nonlocal reported
            if percent >= reported + STEP and percent < 100:
                reported = percent - percent % STEP
                self._report(self._offer, DOWNLOADING, percent=reported)

        def stopping() -> bool:
            return self._stopping or self._cancelling

        offer = self._offer
        self._fetcher(offer).tidy(offer)
        attempt = looks = 0
        patient_until = time.monotonic() + PATIENCE
        while True:
            offer = self._offer
            fetcher = self._fetcher(offer)
            before = fetcher.have(offer)
            try:
                return fetcher.fetch(offer, progress, stopping)
            except ConnectFailed as exc:
                with self._news:
                    self._stop_if_told()
                log.info("%s", exc)
                if fetcher.have(offer) - before >= PROGRESS:
                    attempt = looks = 0
                    patient_until = time.monotonic() + PATIENCE
                if isinstance(exc, LinkExpired):
                    code, wait, looks = "link", self._drawn(self._link_wait, looks), looks + 1
                elif isinstance(exc, ServerBusy):
                    code, wait = "network", exc.seconds * random.uniform(1.0, 1.5)  # noqa: S311
                else:
                    code, wait = "network", self._drawn(self._backoff, attempt)
                    attempt += 1
                if attempt >= TRIES:
                    raise FirmwareRefused(
                        f"The image could not be fetched in {TRIES} attempts: {exc}", code=code
                    ) from exc
                if time.monotonic() > patient_until:
                    raise FirmwareRefused(f"Nothing arrived for a day: {exc}", code=code) from exc
            if self._pause(wait):
                looks = 0

    @staticmethod
    def _drawn(backoff: Backoff, attempt: int) -> float:
        return backoff.wait(attempt, random.random())  # noqa: S311  jitter

    def _wait_for_window(self) -> None:
        """The image is on disk, and its offer says when it may be installed."""
        report_at = 0.0
        while (seconds := self._offer.seconds_to_wait(time.time())) > 0:
            if time.monotonic() >= report_at:
                # Before the window the platform offers it again only where it did not begin; after
                # it, an offer with the next window is wanted.
                later = seconds if seconds == MISSED else seconds + WINDOW_MARGIN
                report_at = time.monotonic() + later
                self._report(
                    self._offer,
                    "deferred",
                    seconds=later,
                    detail="The image is on disk and waits for its window.",
                )
            if self._pause(min(seconds, WINDOW_LOOK)):
                report_at = 0.0  # a fresh offer, which wants an answer

    def _install(self, path: Path) -> None:
        handler = self.handler
        if handler is None:
            return
        while True:
            self._wait_for_window()
            with self._news:
                self._stop_if_told()
                if self._offer.seconds_to_wait(time.time()) > 0:
                    continue  # a fresh offer has moved it
                self._interruptible = False
            # The window is over for this version: the next one may not know what it is.
            offer = replace(self._offer, install_after=0.0, install_before=0.0)
            self._report(offer, INSTALLING, percent=100)
            update = Firmware(
                offer.version, path, offer.sha256, offer.size, offer.signature, offer.kind
            )
            try:
                handler(update)
            except Defer as later:
                with self._news:
                    self._interruptible = True
                self._deferred(later.seconds)
                continue
            except Rejected:
                path.unlink(missing_ok=True)
                raise
            except BaseException as exc:  # SystemExit would end the thread without a report
                log.exception("The firmware %s could not be installed.", offer.version)
                path.unlink(missing_ok=True)
                self._report(offer, "failed", code="install", error=words_of(exc))
                return
            path.unlink(missing_ok=True)
            proves = bool(self._running) and offer.kind == "firmware"
            if self._policy.confirm_within > 0 and proves:
                self._report(offer, "rebooting", percent=100)
            else:
                self._report(offer, "done", percent=100)
            return

    # ------------------------------------------------------------------ the store and reports

    def _known(self) -> dict[str, Any] | None:
        kept = self._store.run(lambda tables: tables.get("firmware"))
        return json.loads(kept) if kept else None

    def _runs(self, offer: Offer) -> bool:
        """Whether the offered version is the one that runs."""
        return (
            bool(self._running)
            and offer.kind == "firmware"
            and version_key(self._running) == version_key(offer.version)
        )

    def _keep(self, offer: Offer, state: str) -> None:
        kept = dump({"offer": offer.to_keep(), "state": state})
        self._store.run(lambda tables: tables.put("firmware", kept))

    def _report(
        self,
        offer: Offer,
        state: str,
        *,
        percent: int = 0,
        code: str = "",
        error: str = "",
        seconds: float | None = None,
        detail: str = "",
        keep: bool = True,
    ) -> None:
        report: dict[str, Any] = {"version": offer.version, "state": state, "percent": percent}
        if code:
            report["code"] = code
        if error:
            report["error"] = error
        if seconds is not None:
            report["seconds"] = int(seconds)
        if detail:
            report["detail"] = detail
        kept = INSTALLING if state == "rebooting" else state  # the next start says how it went

        def write(tables: Tables) -> None:
            if keep:
                tables.put("firmware", dump({"offer": offer.to_keep(), "state": kept}))
                if state == "done":
                    least = max(int(tables.get(SECURITY, 0)), offer.security_version)
                    tables.put(SECURITY, least)
                if state in OVER:
                    # With the report: after "failed" the same offer may arrive again.
                    self._end(offer)
            self._queue(tables, report, offer.id)

        self._store.run(write)

    def _refuse(self, payload: bytes, shape: Payload, error: FirmwareRefused) -> None:
        try:
            whole = read_json(payload)
        except ValueError:
            return  # nothing to name in a report; the log has it
        version = body_of(whole, shape).get("version")
        report = {
            "version": version,
            "state": "failed",
            "percent": 0,
            "code": error.code,
            "error": words_of(error),
        }
        if version is None:
            del report["version"]
        try:
            self._store.run(lambda tables: self._queue(tables, report, id_of(whole, shape)))
        except InvalidReading as exc:  # an id or a version that cannot be written
            log.warning("The firmware offer cannot be answered: %s", exc)

    def _queue(self, tables: Tables, report: dict[str, Any], offer_id: str) -> None:
        channel = self._outbox.dialect.up("firmware_progress")
        if channel is None:
            return
        body: dict[str, Any] = {}
        if channel.payload.values:
            put(body, channel.payload.values, report)
        else:
            body.update(report)
        if offer_id:
            put(body, channel.payload.reply_to or ("id",), offer_id)
        self._outbox.queue(tables, "firmware_progress", body)
