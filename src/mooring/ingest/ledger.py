"""Recognising what the broker repeats because our acknowledgement did not reach it.

The broker repeats an unacknowledged message under its old packet id, marked DUP
[MQTT-3.3.1-1, MQTT-4.4.0-1]. Together with a batch its packet ids and a checksum of each
payload are committed; a repeated packet whose id and checksum are there is stored already.
This holds for every message, also one with neither time nor sequence number. The checksum
guards against a broker that lost its session and gives old ids to new messages.

Several committed messages may share a packet id: Mosquitto 2.0 sends a resumed session's whole
queue without regard to our receive maximum, and the ids run round. So pairs are kept, not ids,
and twice as many as the window is wide.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["Ledger", "pack", "unpack"]

_ENTRY = struct.Struct("<HI")


def pack(entries: Iterable[tuple[int, int]]) -> bytes:
    """(packet id, CRC-32) pairs as bytes, six each."""
    return b"".join([_ENTRY.pack(number, checksum) for number, checksum in entries])


def unpack(packets: bytes) -> list[tuple[int, int]]:
    return list(_ENTRY.iter_unpack(packets))


class Ledger:
    """What has been committed lately.

    Args:
        window: the receive maximum of the connection.
        stored: the batches found in the database, oldest first.
    """

    def __init__(self, window: int, stored: Iterable[tuple[int, bytes]] = ()) -> None:
        self._keep = 2 * window
        self._batches: deque[tuple[int, Sequence[tuple[int, int]]]] = deque()
        self._known: dict[tuple[int, int], int] = {}  # pair → newest batch that holds it
        self._held = 0
        self.next_batch = 1
        for number, packets in stored:
            self.committed(number, unpack(packets))

    def has(self, packet_id: int, checksum: int) -> bool:
        return (packet_id, checksum) in self._known

    def expendable(self, adding: int) -> int:
        """The number of the newest batch that may be forgotten once ``adding`` packets more
        are committed; 0 if none."""
        held, forget = self._held + adding, 0
        for number, entries in self._batches:
            if held - len(entries) < self._keep:
                break
            held -= len(entries)
            forget = number
        return forget

    def committed(self, number: int, entries: Sequence[tuple[int, int]]) -> None:
        """A batch was committed together with its entries."""
        forget = self.expendable(len(entries))
        while self._batches and self._batches[0][0] <= forget:
            old, gone = self._batches.popleft()
            self._held -= len(gone)
            for pair in gone:
                if self._known.get(pair) == old:
                    del self._known[pair]
        self._known.update(dict.fromkeys(entries, number))
        self._batches.append((number, entries))
        self._held += len(entries)
        self.next_batch = number + 1
