"""Many simulated devices in one process, each with its own connection and pace."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mooring.errors import BrokerUnavailable
from mooring.simulate.client import Client, Login, Refused
from mooring.simulate.figures import Figures
from mooring.simulate.packets import Will
from mooring.simulate.voice import Message, Voice

__all__ = ["Member", "Plan", "run_fleet"]

AT_ONCE = 50  # connections being opened at the same time
RETRY_FIRST, RETRY_MOST = 0.5, 15.0  # seconds between attempts to connect
IN_FLIGHT = 50  # unacknowledged messages of one device before it waits
FAREWELL_SECONDS = 5.0
REPORT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Member:
    """One device of the fleet: what it says and how it logs in."""

    voice: Voice
    login: Login


@dataclass(frozen=True, slots=True)
class Plan:
    """What the fleet does.

    Attributes:
        members: its devices.
        rate: messages a second, of each device.
        duration: seconds; ``None`` runs until it is stopped.
    """

    members: Sequence[Member]
    rate: float
    duration: float | None = None


async def run_fleet(
    plan: Plan,
    on_progress: Callable[[Figures], None],
    stop: asyncio.Event | None = None,
) -> Figures:
    """Connects every device, lets them speak, and says goodbye at the end.

    Nothing here raises for a broker that rejects or vanishes: it is counted, and tried again.

    Args:
        on_progress: called about twice a second and once at the end.
        stop: set it to end the run early.
    """
    stop = stop or asyncio.Event()
    figures = Figures(devices=len(plan.members))
    gate = asyncio.Semaphore(AT_ONCE)
    # Phases are spread over one interval, so that devices do not all speak at once.
    interval = 1 / plan.rate
    devices = [
        _Device(member, figures, gate, interval, phase=interval * index / len(plan.members))
        for index, member in enumerate(plan.members)
    ]
    started = time.monotonic()
    tasks = [asyncio.create_task(device.run()) for device in devices]
    until = None if plan.duration is None else started + plan.duration
    try:
        while not stop.is_set():
            figures.seconds = time.monotonic() - started
            on_progress(figures)
            left = (
                REPORT_SECONDS if until is None else min(REPORT_SECONDS, until - time.monotonic())
            )
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await stop.wait()
        for task in tasks:
            task.cancel()
        await _ended(tasks)
        figures.seconds = time.monotonic() - started
        await asyncio.gather(*(device.farewell() for device in devices))
    finally:
        for task in tasks:
            task.cancel()
        for device in devices:
            device.close()
    result = replace(figures, connected=figures.welcomed)  # for the last line: all have left by now
    on_progress(result)
    return result


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found  # a fault of ours; everything a broker can do is handled in the task


class _Device:
    """One device's life: connect, speak, connect again."""

    def __init__(
        self,
        member: Member,
        figures: Figures,
        gate: asyncio.Semaphore,
        interval: float,
        *,
        phase: float,
    ) -> None:
        self._voice = member.voice
        self._client = Client(member.login, on_message=self._heard, on_lost=self._lost)
        self._figures = figures
        self._gate = gate
        self._interval = interval
        self._phase = phase
        self._up = False
        self._known = False
        self._tick: asyncio.Future[None] | None = None

    async def run(self) -> None:
        wait = RETRY_FIRST
        while True:
            try:
                await self._open()
            except BrokerUnavailable as exc:
                self._down()
                if isinstance(exc, Refused):
                    self._figures.refused += 1
                else:
                    self._figures.broken += 1
                await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter
                wait = min(2 * wait, RETRY_MOST)
                continue
            wait = RETRY_FIRST
            try:
                await self._speak()
            except BrokerUnavailable:
                self._figures.broken += 1
                self._down()

    async def _open(self) -> None:
        now = _now_ms()
        will = self._voice.will(now)
        async with self._gate:
            await self._client.connect(
                Will(will.topic, will.payload, will.qos, will.retain) if will else None
            )
            self._up = True
            self._figures.connected += 1
            if not self._known:
                self._known = True
                self._figures.welcomed += 1
            wanted = self._voice.subscriptions()
            if wanted:
                granted = await self._client.subscribe(wanted)
                self._figures.refused += granted.count(False)
        for message in self._voice.birth(now):
            self._send(message)

    async def _speak(self) -> None:
        """One message a tick, until the connection is gone.

        A tick that was missed because the machine was busy is not made up for in a burst.
        """
        loop = asyncio.get_running_loop()
        at = loop.time() + self._phase
        while True:
            await self._sleep(max(0.0, at - loop.time()))
            if self._client.unacknowledged >= IN_FLIGHT:
                self._figures.held_back += 1
            else:
                message = self._voice.next(_now_ms())
                if message is not None:
                    self._send(message)
            at = max(at + self._interval, loop.time() - self._interval)

    async def _sleep(self, seconds: float) -> None:
        """Until the next tick. Raises ``BrokerUnavailable`` when the connection breaks."""
        if not self._client.connected:
            raise BrokerUnavailable("The connection to the broker was lost.")
        loop = asyncio.get_running_loop()
        self._tick = tick = loop.create_future()
        timer = loop.call_later(seconds, _wake, tick)
        try:
            await tick
        finally:
            timer.cancel()

    def _lost(self, why: str) -> None:
        if self._tick is not None and not self._tick.done():
            self._tick.set_exception(BrokerUnavailable(f"The connection was lost: {why}."))

    def _send(self, message: Message) -> None:
        started = time.perf_counter()
        done = self._client.publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        )
        figures = self._figures
        figures.sent += 1
        if message.qos:
            figures.confirmable += 1

            def acknowledged(future: asyncio.Future[None]) -> None:
                if not future.cancelled():
                    figures.acknowledged += 1
                    figures.latencies.add((time.perf_counter() - started) * 1000)

            done.add_done_callback(acknowledged)

    def _heard(self, topic: str, payload: bytes) -> None:
        self._figures.received += 1
        if self._voice.is_command(topic):
            self._figures.commands += 1
        answer = self._voice.answer(topic, payload, _now_ms())
        if answer is not None and self._client.connected:
            self._send(answer)

    async def farewell(self) -> None:
        """Waits for what is on its way, tells that it goes, and disconnects."""
        if not self._client.connected:
            return
        will = self._voice.will(_now_ms())
        if will is not None:
            self._send(will)
        await self._client.drain(FAREWELL_SECONDS)
        self._down()

    def close(self) -> None:
        self._down()

    def _down(self) -> None:
        if self._up:
            self._up = False
            self._figures.connected -= 1
        self._client.close()


def _wake(tick: asyncio.Future[None]) -> None:
    if not tick.done():
        tick.set_result(None)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
