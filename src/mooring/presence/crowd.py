"""Which connections to the broker are one too many. Pure.

Two rules: a connection has to log in within some time, and a listener has at most this many.
Mosquitto 2.0 knows the first only as 90 s, and forgets the second at its first reload; for
WebSocket it never counted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from mooring.broker.sockets import Peer

__all__ = ["Crowd", "Surplus"]


class Surplus(NamedTuple):
    """What to end: those that did not log in, and those beyond a limit, the newest first."""

    silent: list[Peer]
    beyond: list[Peer]


class Crowd:
    """Remembers since when a connection has been there.

    Args:
        login_seconds: how long one may be there without a login.
        most: connections of one listener.
        together: connections of all listeners together, which the broker's descriptors allow.
    """

    def __init__(self, login_seconds: float, most: int, together: int) -> None:
        self._login_seconds = login_seconds
        self._most = most
        self._together = together
        self._since: dict[Peer, float] = {}

    def look(
        self, peers: Collection[Peer], logged_in: Collection[tuple[str, int]], now: float
    ) -> Surplus:
        """What is one too many now.

        Args:
            peers: the connections to listeners for devices.
            logged_in: address and port of those that have logged in.
            now: monotonic seconds; ``logged_in`` must be true of this moment.
        """
        self._since = {peer: self._since.get(peer, now) for peer in peers}
        known = {peer for peer in peers if (peer.address, peer.peer_port) in logged_in}
        silent = [
            peer
            for peer, since in self._since.items()
            if peer not in known and now - since >= self._login_seconds
        ]
        left = [peer for peer in peers if peer not in set(silent)]
        # Peers that have not logged in go first; among equals the newest.
        left.sort(key=lambda peer: (peer in known, -self._since[peer]))
        beyond: list[Peer] = []
        for port in {peer.port for peer in left}:
            here = [peer for peer in left if peer.port == port]
            beyond += here[: max(0, len(here) - self._most)]
        rest = [peer for peer in left if peer not in set(beyond)]
        beyond += rest[: max(0, len(rest) - self._together)]
        return Surplus(silent, beyond)
