"""Watching how many connections the managed broker has, and ending those that are too many."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from mooring.app import App
from mooring.broker import sockets
from mooring.broker.process import BrokerProcess
from mooring.broker.sockets import Peer
from mooring.errors import MooringError
from mooring.presence import store
from mooring.presence.crowd import Crowd
from mooring.wiring.broker_watch import BrokerWatch
from mooring.wiring.descriptors import RESERVE, available, device_ports, per_listener

__all__ = ["ConnectionWatch"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ANYWAY_SECONDS = 10.0  # connections are listed also when nothing says that one has come or gone
FRESH_SECONDS = 2.0
"""The log has to be read up to so lately; else nobody is known to have logged in."""

SILENT, BEYOND = "connections_without_login", "connections_beyond_limit"
"""Counters of connections that were ended."""


class ConnectionWatch:
    """Counts connections, and ends what does not log in or is beyond ``max_connections``.

    Args:
        app: whose settings and database.
        broker: whose connections; it is a child of this process.
        watch: knows from the log who has logged in.
    """

    def __init__(self, app: App, broker: BrokerProcess, watch: BrokerWatch) -> None:
        settings = app.settings
        self._app = app
        self._broker = broker
        self._watch = watch
        self._ports = device_ports(settings)
        self._most = per_listener(settings)
        room = available(settings) - RESERVE
        self._crowd = Crowd(settings.broker_login_seconds, self._most, room)
        self._fullest = 0
        self._settled: tuple[int, int] | None = None
        """The broker's process and descriptors when each of its connections had logged in."""
        self._look_at = 0.0  # monotonic: then they are listed anyway
        self._can_end = True

    def detail(self) -> dict[str, object]:
        """Figures for ``status``: of the listener that has the most connections."""
        return {"connections": self._fullest, "connections_most": self._most}

    async def run(self) -> None:
        if not sockets.supported():
            log.info("connections to the broker cannot be counted on this system")
            await asyncio.Event().wait()
        while True:
            try:
                logged_in, read_at = self._watch.logged_in(), self._watch.read_at
                await asyncio.to_thread(self._look, logged_in, read_at)
            except (OSError, MooringError) as exc:
                log.warning("connections to the broker were not counted: %s", exc)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, logged_in: set[tuple[str, int]], read_at: float) -> None:
        pid = self._broker.pid
        if pid is None:
            return
        now = time.monotonic()
        here = (pid, sockets.count(pid))
        if here == self._settled and now < self._look_at:
            return
        self._settled, self._look_at = None, now + ANYWAY_SECONDS
        peers = sockets.connections(self._ports)
        counts = Counter(peer.port for peer in peers)
        self._fullest = max(counts.values(), default=0)
        # Without the log nobody can be distinguished from somebody who has not logged in.
        if time.monotonic() - read_at > FRESH_SECONDS:
            return
        surplus = self._crowd.look(peers, logged_in, read_at)
        if not (surplus.silent or surplus.beyond) and all(
            (peer.address, peer.peer_port) in logged_in for peer in peers
        ):
            self._settled = here
        for counter, found in ((SILENT, surplus.silent), (BEYOND, surplus.beyond)):
            ended = self._end(pid, found)
            if ended:
                with self._app.database.write() as connection:
                    store.count(connection, counter, ended)

    def _end(self, pid: int, peers: list[Peer]) -> int:
        if not peers or not self._can_end:
            return 0
        try:
            return sockets.end(pid, {peer.inode for peer in peers})
        except PermissionError as exc:
            self._can_end = False  # a container's rules; Mosquitto ends silent ones after 90 s
            log.warning("connections that do not log in cannot be ended here: %s", exc)
            return 0
