"""Firmware updates: offer → download → check → the application installs → report.

The offer and how far it has come are in the store, so an update continues after a restart, and
a device that comes back from installing says how it went.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mooring_device.backoff import Backoff
from mooring_device.commands import words_of
from mooring_device.dialect import Payload, look_up
from mooring_device.download import Fetcher
from mooring_device.errors import ConnectFailed, DeviceError, FirmwareRefused, InvalidReading
from mooring_device.link import Arrived
from mooring_device.offers import Offer, id_of, parse_offer
from mooring_device.orders import read_json
from mooring_device.outbox import Outbox
from mooring_device.shapes import dump, put
from mooring_device.store import Store
from mooring_device.tables import Tables

__all__ = ["TRIES", "Firmware", "Updates"]

log = logging.getLogger("mooring_device")

TRIES = 20  # attempts to download; with the backoff below about half an hour
STEP = 10  # percent between two reports


@dataclass(frozen=True)
class Firmware:
    """A downloaded, checked update, for the application to install.

    Attributes:
        version, sha256, size, signature: as offered; the signature is not checked by the SDK.
        path: the image.
    """

    version: str
    path: Path
    sha256: str
    size: int
    signature: str


class Updates:
    """The device's firmware updates. ``handler`` may be set until the device starts.

    Args:
        store: where offer and progress are kept.
        running: the version that runs now, or "" when the application does not say.
        fetcher: makes a ``Fetcher`` for an offer.
        backoff: between attempts to download.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *,
        running: str,
        fetcher: Callable[[Offer], Fetcher],
        backoff: Backoff | None = None,
    ) -> None:
        self.handler: Callable[[Firmware], Any] | None = None
        self._store = store
        self._outbox = outbox
        self._running = running
        self._fetcher = fetcher
        self._backoff = backoff or Backoff(cap=120.0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._active: Offer | None = None  # the offer that is under way

    def start(self) -> None:
        """Continue with an update that a restart interrupted."""
        kept = self._store.run(lambda tables: tables.get("firmware"))
        if kept is None or self.handler is None:
            return
        known = json.loads(kept)
        offer = Offer(**known["offer"])
        if known["state"] == "downloading":
            self._go(offer)
        elif known["state"] == "installing":
            if self._running == offer.version:
                self._report(offer, "done", percent=100)
            else:
                now = f"came back with {self._running}" if self._running else "does not say"
                self._report(
                    offer,
                    "failed",
                    error=f"The device restarted while it installed, and {now}.",
                )

    def arrived(self, message: Arrived, shape: Payload) -> None:
        """Take in an offer; durable on return."""
        if self.handler is None or not message.payload:
            return
        try:
            offer = parse_offer(message.payload, shape)
        except FirmwareRefused as exc:
            log.warning("%s", exc)
            self._refuse(message.payload, shape, exc)
            return
        kept = self._store.run(lambda tables: tables.get("firmware"))
        known = json.loads(kept) if kept else None
        if self._running == offer.version:
            self._report(offer, "done", percent=100)
            return
        if known and Offer(**known["offer"]).key == offer.key:
            if known["state"] in ("downloading", "installing") and self._busy:
                return
            if known["state"] == "done" or (known["state"] == "failed" and message.retained):
                return
        if self._busy:
            log.warning("Another update is under way; the offer of %s is rejected.", offer.version)
            self._report(offer, "failed", error="Another update is under way.", keep=False)
            return
        self._go(offer)

    def close(self, timeout: float) -> None:
        """Stop a download; what has arrived is kept."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _go(self, offer: Offer) -> None:
        self._report(offer, "downloading", percent=0)
        self._active = offer
        self._thread = threading.Thread(
            target=self._update, args=(offer,), name="mooring-firmware", daemon=True
        )
        self._thread.start()

    @property
    def _busy(self) -> bool:
        return self._active is not None

    def _end(self, offer: Offer) -> None:
        if self._active is offer:
            self._active = None

    def _update(self, offer: Offer) -> None:
        try:
            path = self._download(offer)
            if path is None:  # the device stops; the next start continues
                return
            self._report(offer, "installing", percent=100)
            self._install(offer, path)
        except FirmwareRefused as exc:
            log.warning("%s", exc)
            self._report(offer, "failed", error=str(exc))
        except DeviceError:
            log.exception("The update to %s stopped.", offer.version)
        finally:
            self._end(offer)

    def _download(self, offer: Offer) -> Path | None:
        fetcher = self._fetcher(offer)
        reported = 0

        def progress(percent: int) -> None:
            nonlocal reported
            if percent >= reported + STEP and percent < 100:
                reported = percent - percent % STEP
                self._report(offer, "downloading", percent=reported)

        for attempt in range(TRIES):
            try:
                return fetcher.fetch(offer, progress, self._stop.is_set)
            except ConnectFailed as exc:  # noqa: PERF203  a retry has its try in the loop
                log.info("%s Attempt %d of %d.", exc, attempt + 1, TRIES)
                if self._stop.wait(self._backoff.wait(attempt, random.random())):  # noqa: S311  jitter
                    return None
        raise FirmwareRefused(f"The image could not be fetched in {TRIES} attempts.")

    def _install(self, offer: Offer, path: Path) -> None:
        handler = self.handler
        if handler is None:
            return
        update = Firmware(offer.version, path, offer.sha256, offer.size, offer.signature)
        error = ""
        try:
            handler(update)
        except BaseException as exc:  # SystemExit would end the thread without a report
            log.exception("The firmware %s could not be installed.", offer.version)
            error = words_of(exc)
        path.unlink(missing_ok=True)
        if error:
            self._report(offer, "failed", error=error)
        else:
            self._report(offer, "done", percent=100)

    # ------------------------------------------------------------------ reports

    def _report(
        self, offer: Offer, state: str, *, percent: int = 0, error: str = "", keep: bool = True
    ) -> None:
        report: dict[str, Any] = {"version": offer.version, "state": state, "percent": percent}
        if error:
            report["error"] = error

        def write(tables: Tables) -> None:
            if keep:
                tables.put("firmware", dump({"offer": asdict(offer), "state": state}))
                if state in ("done", "failed"):
                    # With the report: after "failed" the same offer may arrive again.
                    self._end(offer)
            self._queue(tables, report, offer.id)

        self._store.run(write)

    def _refuse(self, payload: bytes, shape: Payload, error: FirmwareRefused) -> None:
        try:
            whole = read_json(payload)
        except ValueError:
            return  # nothing to name in a report; the log has it
        body = look_up(whole, shape.values)
        version = body.get("version") if isinstance(body, dict) else None
        report = {"version": version, "state": "failed", "percent": 0, "error": words_of(error)}
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
