"""Recognising what the broker repeats because our acknowledgement did not reach it.

The broker repeats an unacknowledged message under its old packet id, marked DUP
[MQTT-3.3.1-1, MQTT-4.4.0-1]. Together with a batch its packet ids and a checksum of each
payload are committed; a repeated packet whose id and checksum are there is stored already.
This holds for every message, also one with neither time nor sequence number. The checksum
guards against a broker that lost its session and gives old ids to new messages.

The broker has at most ``window`` messages unacknowledged, and TCP keeps our acknowledgements
in order, so the newest batches that together hold ``window`` packets are enough.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable

__all__ = ["Ledger", "pack", "unpack"]

_ENTRY = struct.Struct("<HI")


def pack(entries: Iterable[tuple[int, int]]) -> bytes:
    """(packet id, CRC-32) pairs as bytes, six each."""
    return b"".join([_ENTRY.pack(number, checksum) for number, checksum in entries])


def unpack(packets: bytes) -> list[tuple[int, int]]:
    return list(_ENTRY.iter_unpack(packets))


class Ledger:
    """What has been committed lately, by packet id.

    Args:
        window: the receive maximum of the connection.
        stored: the batches found in the database, oldest first.
    """

    def __init__(self, window: int, stored: Iterable[tuple[int, bytes]] = ()) -> None:
        self._window = window
        self._checksums: dict[int, int] = {}
        self._batches: deque[tuple[int, int]] = deque()  # number, size
        self._held = 0
        self.next_batch = 1
        for number, packets in stored:
            self.committed(number, unpack(packets))

    def has(self, packet_id: int, checksum: int) -> bool:
        return self._checksums.get(packet_id) == checksum

    def expendable(self, adding: int) -> int:
        """The number of the newest batch that may be forgotten once ``adding`` packets more
        are committed; 0 if none."""
        held, forget = self._held + adding, 0
        for number, size in self._batches:
            if held - size < self._window:
                break
            held -= size
            forget = number
        return forget

    def committed(self, number: int, entries: list[tuple[int, int]]) -> None:
        """A batch was committed together with its entries."""
        forget = self.expendable(len(entries))
        while self._batches and self._batches[0][0] <= forget:
            self._held -= self._batches.popleft()[1]
        self._checksums.update(entries)
        self._batches.append((number, len(entries)))
        self._held += len(entries)
        self.next_batch = number + 1
