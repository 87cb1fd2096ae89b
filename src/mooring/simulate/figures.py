"""What a simulated fleet has done: counters, and a histogram of how long acknowledgements took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figures", "Latencies"]

FIRST_MS, GROWTH, BUCKETS = 0.05, 1.05, 300  # 0.05 ms to about 110 s, 5 % apart


class Latencies:
    """A histogram with buckets 5 % apart: small, and as exact for 1 ms as for 10 s."""

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * BUCKETS

    def add(self, milliseconds: float) -> None:
        index = 0
        if milliseconds > FIRST_MS:
            index = min(BUCKETS - 1, math.ceil(math.log(milliseconds / FIRST_MS, GROWTH)))
        self._buckets[index] += 1
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """The time, in milliseconds, in which ``share`` (0 to 1) of all were done.

        ``None`` while none exist.
        """
        if not self.count:
            return None
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for index, count in enumerate(self._buckets):
            seen += count
            if seen >= wanted:
                return FIRST_MS * GROWTH**index
        raise AssertionError("the buckets hold fewer than were counted")


@dataclass(slots=True)
class Figures:
    """Counted since the start.

    Attributes:
        devices: how many there are; ``connected`` of them are, now; ``welcomed`` ever were.
        sent: messages handed to the broker, QoS 0 included.
        acknowledged: of those with QoS 1 and 2, what the broker has confirmed.
        refused: logins and subscriptions that the broker rejected.
        broken: connections that were lost or could not be made.
        commands: commands received; ``received`` counts every message from the platform.
        held_back: ticks without a message, because too many were unacknowledged.
    """

    devices: int = 0
    connected: int = 0
    welcomed: int = 0
    sent: int = 0
    confirmable: int = 0
    acknowledged: int = 0
    refused: int = 0
    broken: int = 0
    received: int = 0
    commands: int = 0
    held_back: int = 0
    seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def rate(self) -> float:
        """Messages sent a second, on average."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    def line(self) -> str:
        """One line for people."""
        parts = [
            f"{self.connected} of {self.devices} connected",
            f"{self.sent} sent ({self.rate:.0f}/s)",
            f"{self.acknowledged} acknowledged",
            f"{self.refused} rejected",
        ]
        p50, p99 = self.latencies.percentile(0.5), self.latencies.percentile(0.99)
        if p50 is not None and p99 is not None:
            parts.append(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        if self.commands:
            parts.append(f"{self.commands} commands received")
        if self.broken:
            parts.append(f"{self.broken} connections lost")
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """The same for machines; latencies in milliseconds."""
        p50, p99 = self.latencies.percentile(0.5), self.latencies.percentile(0.99)
        return {
            "devices": self.devices,
            "connected": self.welcomed,
            "sent": self.sent,
            "confirmable": self.confirmable,
            "acknowledged": self.acknowledged,
            "refused": self.refused,
            "broken": self.broken,
            "received": self.received,
            "commands": self.commands,
            "held_back": self.held_back,
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 1),
            "latency_p50_ms": None if p50 is None else round(p50, 2),
            "latency_p99_ms": None if p99 is None else round(p99, 2),
        }
