"""What has arrived and was not handed over yet, bounded by messages and by bytes. Pure."""

from __future__ import annotations

from collections import deque

from mqtt5 import PublishPacket

__all__ = ["BATCH_BYTES", "WAITING_BYTES", "Arrivals"]

BATCH_BYTES = 4_194_304
"""Of packets in one batch: what arrives after large messages does not wait for all of them."""
WAITING_BYTES = 16_777_216
"""Of packets that wait; above it the socket is not read, and TCP slows the broker down."""


class Arrivals:
    """Packets in the order of arrival. Their bytes are counted by socket reads, which costs
    nothing for each message."""

    def __init__(self) -> None:
        self._packets: list[PublishPacket] = []
        self._reads: deque[tuple[int, int]] = deque()  # packets and bytes of each socket read
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, packets: list[PublishPacket], size: int) -> None:
        """What one socket read held, and how many bytes that was."""
        self._packets += packets
        self._reads.append((len(packets), size))
        self.bytes += size

    def take(self, limit: int) -> list[PublishPacket]:
        """The oldest packets: ``limit`` at most, of ``BATCH_BYTES`` together, but those of one
        read together, and one at least."""
        if len(self._packets) <= limit and self.bytes <= BATCH_BYTES:
            packets, self._packets = self._packets, []
            self._reads.clear()
            self.bytes = 0
            return packets
        number = taken = 0
        while self._reads:
            count, size = self._reads[0]
            room = limit - number
            if count > room:
                if not number:  # a part of this read
                    self._reads[0] = (count - room, size - size * room // count)
                    number, taken = room, size * room // count
                break
            if number and taken + size > BATCH_BYTES:
                break
            self._reads.popleft()
            number += count
            taken += size
        packets, self._packets = self._packets[:number], self._packets[number:]
        self.bytes -= taken
        return packets

    def keep_unnumbered(self) -> None:
        """Drops what the broker sends again on the next connection: all but QoS 0."""
        self._packets = [packet for packet in self._packets if packet.packet_id is None]
        self.bytes = sum(len(packet.payload) for packet in self._packets)
        self._reads = deque([(len(self._packets), self.bytes)] if self._packets else [])
