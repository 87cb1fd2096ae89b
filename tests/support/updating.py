"""Devices that take firmware: those of the SDK, and traps that speak plain MQTT.

Each has a version that runs and installs what it is offered. For a version it can have a fate, a
way in which the update goes wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from mooring.dialects.outgoing import packet_bytes
from mooring_device import Backoff, Device, Firmware, FirmwarePolicy, Offer, Options
from mooring_device.download import Fetcher
from tests.support.boards import ping, receive_packet
from tests.support.platform import Login
from tests.support.raw_mqtt import connect_packet, packet, publish_packet, subscribe_packet

__all__ = ["FATES", "SdkFleet", "SdkUnit", "Trap", "Traps"]

FATES = ("digest", "no_space", "install", "health", "old", "silent")
"""How an update of an SDK device fails: its bytes change on the way, its disk is full, its
installer fails, its new version is not healthy, its boot loader goes back, it never comes back."""

OPTIONS = Options(
    backoff=Backoff(floor=0.1, first=0.3, cap=2.0), linger=3.0, heartbeat=0.0, synchronous="NORMAL"
)
PACKET = 256  # bytes that a trap's client library accepts
AGAIN_SECONDS = 0.3


class _Spoiled(Fetcher):
    """Fetches the real file, and finds it other than it is."""

    fate = ""

    def fetch(self, offer: Offer, progress: Any, stopping: Any) -> Path:
        wrong: dict[str, dict[str, Any]] = {
            "digest": {"sha256": "0" * 64},
            "no_space": {"size": 1 << 60},
        }
        return super().fetch(replace(offer, **wrong[self.fate]), progress, stopping)


class SdkUnit:
    """One device with the SDK.

    Args:
        answer: what adding the device answered.
        keys: public keys in PEM that it trusts.
        fates: version → its fate.

    Attributes:
        version: that runs.
        offers: versions, as often as the application was asked about them.
        installed: versions, in order.
        faults: of this model, not of the update.
    """

    def __init__(
        self,
        answer: Mapping[str, Any],
        folder: Path,
        keys: Sequence[str],
        fates: Mapping[str, str],
        power: ThreadPoolExecutor,
    ) -> None:
        self.name = str(answer["device"])
        self.version = "1.0"
        self.offers: list[str] = []
        self.installed: list[str] = []
        self.faults: list[BaseException] = []
        self.device: Device | None = None
        self._answer, self._folder, self._power = answer, folder, power
        self._policy = FirmwarePolicy(keys=tuple(keys), confirm_within=600.0)
        self._fates = fates

    def start(self) -> None:
        """Switches it on."""
        device = Device(
            self._answer,
            store=self._folder,
            firmware=self.version,
            policy=self._policy,
            options=OPTIONS,
        )
        device.on_offer(self._asked)
        device.on_firmware(self._install)
        device.on_roll_back(lambda _why: None)  # ``_reboot`` does it
        plain = device._updates._fetcher

        def fetcher(offer: Offer) -> Fetcher:
            found = plain(offer)
            fate = self._fates.get(offer.version, "")
            if fate in ("digest", "no_space"):
                found.__class__ = _Spoiled
                found.fate = fate  # type: ignore[attr-defined]
            return found

        device._updates._fetcher = fetcher
        self.device = device.start()

    def stop(self) -> None:
        """Switches it off."""
        device, self.device = self.device, None
        if device is not None:
            device.close()

    def _asked(self, offer: Offer) -> None:
        self.offers.append(offer.version)

    def _install(self, update: Firmware) -> None:
        fate = self._fates.get(update.version, "")
        if fate == "install":
            raise RuntimeError("The flash has a bad block.")
        self.installed.append(update.version)
        rebooted = self._power.submit(self._reboot, update.path, update.version, fate)
        rebooted.add_done_callback(self._note)

    def _note(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self.faults.append(error)

    def _reboot(self, path: Path, version: str, fate: str) -> None:
        while path.exists():  # the SDK has not taken the handler's return yet
            time.sleep(0.02)
        self.stop()
        if fate == "silent":
            return
        if fate != "old":
            self.version = version
        self.start()
        device = self.device
        if device is None or fate == "old":
            return
        if fate == "health":  # at once: a version that stays long enough is confirmed
            device.roll_back("The sensor does not answer.")
            self.stop()
            self.version = "1.0"
            self.start()
        else:
            device.confirm()


class SdkFleet:
    """Many of them in this process; a context manager that switches them off."""

    def __init__(
        self,
        answers: Sequence[Mapping[str, Any]],
        folder: Path,
        keys: Sequence[str],
        fates: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._power = ThreadPoolExecutor(8, thread_name_prefix="power")
        self.all = [
            SdkUnit(
                one,
                folder / str(one["device"]),
                keys,
                fates.get(str(one["device"]), {}),
                self._power,
            )
            for one in answers
        ]

    @property
    def connected(self) -> int:
        return sum(one.device is not None and one.device.connected for one in self.all)

    def __getitem__(self, name: str) -> SdkUnit:
        return next(one for one in self.all if one.name == name)

    def __enter__(self) -> Self:
        for one in self.all:
            one.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._power.shutdown(cancel_futures=True)
        with ThreadPoolExecutor(8) as ends:
            list(ends.map(SdkUnit.stop, self.all))


class Trap:
    """A trap: packets of 256 bytes, no MQTT while it downloads, and reports on its own topic.

    Attributes:
        fates: version → ``reverted``: its boot loader goes back.
        large: packets it was sent that its library would have dropped.
    """

    def __init__(self, login: Login, port: int, fates: Mapping[str, str]) -> None:
        self.login, self._port, self.fates = login, port, fates
        self.version = "1.0"
        self.installed: list[str] = []
        self.large = 0
        self.sessions = 0
        self._base = f"tenant/{login.tenant}/device/{login.device}"
        self._number = 0
        self._reports: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError, TimeoutError):
                offer = await self._session()
                if offer is not None:
                    await self._update(offer)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _session(self) -> dict[str, Any] | None:
        """Until it is offered an update, or loses its connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            who = self.login
            writer.write(connect_packet(who.client_id, who.username, who.password, keep_alive=30))
            async with asyncio.timeout(30):
                _, answer = await receive_packet(reader)
            if answer[1] != 0:
                return None
            self.sessions += 1
            writer.write(subscribe_packet(f"{self._base}/ota/firmware", f"{self._base}/command/+"))
            said = {"online": True, "firmware_version": self.version, "timestamp": _seconds()}
            self._says(writer, "status", said)
            for report in self._reports:
                self._says(writer, "ota/progress", report)
            restarts = any(report["state"] == "rebooting" for report in self._reports)
            self._reports = []
            if restarts:
                await self._acknowledged(reader, writer)
                return None
            pings = asyncio.create_task(ping(writer))
            try:
                while True:
                    async with asyncio.timeout(30):
                        kind, body = await receive_packet(reader)
                    offer = self._received(writer, kind, body) if kind & 0xF0 == 0x30 else None
                    if offer is not None:
                        return offer
            finally:
                pings.cancel()
        finally:
            writer.close()

    async def _acknowledged(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until the broker has its newest report."""
        await writer.drain()
        async with asyncio.timeout(30):
            while True:
                kind, body = await receive_packet(reader)
                if kind == 0x40 and int.from_bytes(body[:2], "big") == self._number:
                    return

    def _received(
        self, writer: asyncio.StreamWriter, kind: int, body: bytes
    ) -> dict[str, Any] | None:
        after = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:after].decode(), (kind >> 1) & 3
        if qos:
            writer.write(packet(0x40, body[after : after + 2]))
            after += 2
        self.large += packet_bytes(topic, body[after:], qos) > PACKET
        offer: dict[str, Any] = json.loads(body[after:] or b"{}")
        wanted = topic.endswith("/ota/firmware") and "url" in offer
        return offer if wanted and offer["version"] != self.version else None

    async def _update(self, offer: dict[str, Any]) -> None:
        """Two TLS sessions do not fit: it has left MQTT, and comes back with its report."""
        image = await fetch(offer["url"], int(offer["size"]))
        version = str(offer["version"])
        if hashlib.sha256(image).hexdigest() != offer["sha256"]:
            self._reports = [{"version": version, "state": "failed", "code": "digest"}]
            return
        self.installed.append(version)
        said = {"version": version, "progress": 100}
        self._reports = [{**said, "state": "downloading"}, {**said, "state": "rebooting"}]
        while self._reports:  # it says so, and leaves
            with suppress(OSError, EOFError, asyncio.IncompleteReadError, TimeoutError):
                await self._session()
            await asyncio.sleep(AGAIN_SECONDS)
        if self.fates.get(version) != "reverted":
            self.version = version

    def _says(self, writer: asyncio.StreamWriter, channel: str, what: dict[str, Any]) -> None:
        self._number = self._number % 60_000 + 1
        payload = json.dumps(what).encode()
        writer.write(publish_packet(f"{self._base}/{channel}", payload, packet_id=self._number))


async def fetch(url: str, size: int) -> bytes:
    """A file in two ranges, over two connections.

    Raises:
        OSError: another answer than 206.
    """
    place = urlsplit(url)
    found = b""
    for asked in (f"0-{size // 2 - 1}", f"{size // 2}-"):
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            head = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nRange: bytes={asked}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            async with asyncio.timeout(60):
                answer = await reader.readuntil(b"\r\n\r\n")
                if not answer.startswith(b"HTTP/1.1 206"):
                    raise OSError(f"{url}: {answer[:60]!r}")
                found += await reader.read(-1)
        finally:
            writer.close()
    return found


def _seconds() -> int:
    return int(time.time())


class Traps:
    """All traps on one event loop in a thread of its own; a context manager that ends them."""

    def __init__(
        self, logins: Sequence[Login], port: int, fates: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.all = [Trap(one, port, fates.get(one.device, {})) for one in logins]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="traps")

    @property
    def connected(self) -> int:
        """How many have had a session."""
        return sum(one.sessions > 0 for one in self.all)

    def __enter__(self) -> Self:
        self._thread.start()
        for one in self.all:
            asyncio.run_coroutine_threadsafe(one.run(), self._loop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _end(self) -> None:
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
