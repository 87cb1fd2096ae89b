"""One connection from login to its end: subscribe, birth, drain, serve."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from mooring_device.credentials import Credentials
from mooring_device.link import Link, Waker, Will
from mooring_device.options import Options
from mooring_device.outbox import Outbox, Outgoing
from mooring_device.presence import Presence
from mooring_device.router import Router
from mooring_device.sender import Sender
from mooring_device.tables import Held
from mooring_device.tls import ResumingContext, trusted

__all__ = ["Session"]

log = logging.getLogger("mooring_device")

FAILURE = 0x80  # in a SUBACK: this filter is not granted [MQTT-3.9.3-2]


class Session:
    """Serves one link. Used once, by the network thread.

    Args:
        connected: told when the device is in service (logged in and subscribed), and when it
            is not any more.
        proved: called once, when login, subscription and ``holds`` seconds have passed.
        stopping: asked at every turn; then the device publishes its goodbye.
        leaving: asked at every turn; then the session ends and the next one begins.
        former: filters of an earlier dialect, which the broker may still know.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        options: Options,
        context: ResumingContext | None,
        waker: Waker,
        sender: Sender,
        outbox: Outbox,
        router: Router,
        presence: Presence,
        holds: float,
        proved: Callable[[], None],
        connected: Callable[[bool], None],
        stopping: Callable[[], bool],
        leaving: Callable[[float], bool],
        former: Iterable[str] = (),
    ) -> None:
        self._credentials = credentials
        self._options = options
        self._sender = sender
        self._outbox = outbox
        self._router = router
        self._presence = presence
        self._holds = holds
        self._proved = proved
        self._connected = connected
        self._stopping = stopping
        self._leaving = leaving
        self._dialect = outbox.dialect
        self._filters = outbox.dialect.filters()
        self._former = [topic for topic in former if topic not in self._filters]
        will = presence.will(outbox.dialect)
        self._link = Link(
            credentials,
            context=context,
            will=Will(*will) if will else None,
            waker=waker,
            keepalive=options.keepalive,
            timeout=options.connect_timeout,
        )
        self._subscribed = False

    def run(self) -> float:
        """Connect and serve until the end; answers with how many seconds it held.

        Raises:
            Refused, ConnectFailed: it did not come about.
        """
        link = self._link
        try:
            link.open()
        except BaseException:
            link.drop()
            raise
        began = time.monotonic()
        log.info(
            "Connected to %s:%d%s.",
            self._credentials.host,
            self._credentials.port,
            " (TLS session resumed)" if link.resumed else "",
        )
        try:
            self._greet(began)
            self._serve(began)
        finally:
            self._connected(False)
            link.drop()
        return time.monotonic() - began

    def _greet(self, now: float) -> None:
        if self._former:
            self._link.unsubscribe(self._former)
        if self._filters:
            self._link.subscribe(list(self._filters))
        else:
            self._ready()
        ca = trusted(self._credentials.tls)
        birth = self._presence.birth(self._outbox.dialect, ca=ca)
        if birth:
            self._send(birth)
        self._sender.begin()
        self._next_beat = now + self._options.heartbeat

    def _serve(self, began: float) -> None:
        link, proving = self._link, True
        while link.up:
            now = time.monotonic()
            self._take_in()
            if proving and self._subscribed and now - began >= self._holds:
                proving = False
                self._proved()
            if self._stopping():
                self._goodbye()
                return
            if self._leaving(now):
                link.close()
                return
            self._beat(now)
            self._sender.pump(now, self._put)
            link.turn(self._rest(now))
        self._take_in()  # what came with the last bytes
        log.warning(
            "The connection to %s:%d ended.", self._credentials.host, self._credentials.port
        )

    def _rest(self, now: float) -> float:
        """Seconds the link may wait for the network."""
        rest = self._sender.wait()
        if self._options.heartbeat:
            rest = min(rest, max(0.0, self._next_beat - now))
        return rest

    def _take_in(self) -> None:
        link = self._link
        arrived, link.arrived = link.arrived, []
        receipts = []
        for message in arrived:
            receipt = self._router.route(message, self._credentials, self._dialect)
            if receipt is not None:
                receipts.append(receipt)
            link.ack(message)
        self._sender.receipts(receipts)
        acked, link.acked = link.acked, []
        self._sender.acked(acked)
        for _, codes in link.granted:
            self._ready()
            names = self._filters.values()
            refused = [name for name, code in zip(names, codes) if code >= FAILURE]
            if refused:
                log.warning("The broker does not grant: %s.", ", ".join(refused))
        link.granted.clear()

    def _ready(self) -> None:
        """In service: what is sent to the device from now on reaches it."""
        self._subscribed = True
        self._connected(True)

    def _put(self, held: Held) -> int:
        return self._send(self._outbox.outgoing(held))

    def _send(self, message: Outgoing, *, qos: int = 1) -> int:
        return self._link.publish(message.topic, message.payload, qos=qos, retain=message.retain)

    def _beat(self, now: float) -> None:
        if self._options.heartbeat and now >= self._next_beat:
            self._next_beat = now + self._options.heartbeat
            beat = self._presence.beat(self._outbox.dialect)
            if beat:
                self._send(beat, qos=0)

    def _goodbye(self) -> None:
        offline = self._presence.offline(self._outbox.dialect)
        if offline and self._link.up:
            waiting = self._send(offline)
            deadline = time.monotonic() + 2.0
            while waiting not in self._link.acked and time.monotonic() < deadline:
                if not self._link.turn(0.1):
                    break
        self._take_in()
        self._link.close()
