"""The serving process's own connection to the broker, for what people send.

It lives in the event loop; endpoints run in threads and hand their messages over. It keeps
no session: what cannot be sent now is rejected, not queued, so that nobody believes a command
went out which did not. A connection that was lost a moment ago usually comes back in a tenth of a
second, so a request waits for it, a few seconds after the loss at most. A message that was sent
and not confirmed is not sent again: the caller decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress

from mooring.errors import BrokerUnavailable
from mooring.link.connection import NeverSent
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.supervisor.state import Policy, Restart
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Worker

__all__ = ["Publisher"]

log = logging.getLogger(__name__)

PAUSE_FIRST, PAUSE_MOST = 0.5, 5.0
PUBLISH_SECONDS = 10.0
RECONNECT_SECONDS = 3.0
"""How long after a loss a request waits for the next connection."""


class Publisher:
    """Connects in the background, again and again.

    Args:
        endpoint: where the broker is and who we are there.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.error = "Not connected yet."  # why there is no connection; empty while there is
        self._loop: asyncio.AbstractEventLoop | None = None
        self.supervisor = Supervisor("serve")
        self._link: MqttLink | None = None
        self._up = asyncio.Event()
        self._lost_at: float | None = None  # of the event loop's clock

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.connected

    async def start(self) -> None:
        """Begins to connect and returns immediately."""
        self._loop = asyncio.get_running_loop()
        once = Policy(Restart.ON_FAILURE)  # the link it makes reconnects by itself
        await self.supervisor.start([Worker("publisher", self._connect, once)])

    async def close(self) -> None:
        await self.supervisor.stop()
        if self._link is not None:
            await self._link.close()

    async def settle(self) -> None:
        """Waits for a connection that was lost a moment ago. Returns also when it is not back
        ``RECONNECT_SECONDS`` after the loss; with a broker that is gone for longer, immediately."""
        if self.connected or self._lost_at is None:
            return
        left = self._lost_at + RECONNECT_SECONDS - asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await self._up.wait()

    def require_connection(self) -> None:
        """Raises ``BrokerUnavailable`` while there is no connection."""
        if not self.connected:
            raise self._not_sent()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Sends from a thread; for QoS 1 and 2 returns when the broker has it.

        Raises:
            BrokerUnavailable: it could not be sent now.
        """
        self.publish_all(topic, [payload], qos, retain)

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int, retain: bool) -> None:
        """``send``, from a thread."""
        if self._loop is None:
            raise self._not_sent()
        sending = asyncio.run_coroutine_threadsafe(
            self.send(topic, payloads, qos, retain), self._loop
        )
        try:
            sending.result(RECONNECT_SECONDS + PUBLISH_SECONDS + 1)
        except (NotInTime, CancelledError) as exc:
            sending.cancel()
            raise _slow() from exc

    async def send(self, topic: str, payloads: Sequence[bytes], qos: int, retain: bool) -> None:
        """Sends several to one topic, in order; returns when the broker has all of them.

        Raises:
            BrokerUnavailable: they could not be sent now; some may have been.
        """
        await self.settle()
        every = (self._send(topic, payload, qos, retain) for payload in payloads)
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await asyncio.gather(*every)
        except TimeoutError as exc:
            raise _slow() from exc

    async def _send(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        while True:
            link = self._link
            if link is None or not link.connected:
                raise self._not_sent()
            try:
                await link.publish(topic, payload, qos=qos, retain=retain)
            except NeverSent:  # the connection ended before it was this message's turn
                await asyncio.sleep(0.02)
                await self.settle()
            else:
                return

    def nudge(self, topic: str, payload: bytes = b"") -> None:
        """Tells other processes to look now; does nothing while there is no connection. Used from
        the event loop."""
        if self._link is not None:
            self._link.publish_many([(topic, payload)])

    def _not_sent(self) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"The message was not sent: {self.error or 'The broker does not answer.'}",
            hint="Check that the broker runs (`mooring status`), then send it again.",
        )

    async def _connect(self) -> None:
        """Until the first success; after that the link reconnects by itself."""
        pause = PAUSE_FIRST
        while True:
            link = MqttLink(self.endpoint, session_seconds=0, on_state=self._changed)
            try:
                await link.start(timeout=10)
            except BrokerUnavailable as exc:
                if str(exc) != self.error:
                    log.warning("cannot publish: %s", exc)
                self.error = str(exc)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MOST)
            except BaseException:
                await link.close()
                raise
            else:
                self._link = link
                return

    def _changed(self, connected: bool) -> None:
        self.error = "" if connected else "The connection to the broker was lost."
        if connected:
            self._up.set()
        else:
            self._up.clear()
            self._lost_at = asyncio.get_running_loop().time()


def _slow() -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The broker did not confirm the message within {PUBLISH_SECONDS:g} s.",
        hint="It may still arrive; look before sending it again.",
        code="broker_slow",
    )
