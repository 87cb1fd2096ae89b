"""How long a busy ingest waits for a fuller batch.

A batch is what arrived while the last one was committed. When few messages arrive, waiting only
adds delay; when much does, a few milliseconds make batches fuller and every message cheaper.
"""

from __future__ import annotations

__all__ = ["Pace"]

QUIET_RATE = 6000.0  # messages a second below which nothing is waited for
BUSY_RATE = 12000.0  # and from which on the whole linger is


class Pace:
    """Turns the rate of the last moments into a linger.

    Args:
        most: the longest linger, in seconds.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self.rate = 0.0  # messages a second, smoothed over about a quarter of a second
        self._last = 0.0

    def linger(self) -> float:
        """Seconds to wait after the first message of a batch."""
        share = (self.rate - QUIET_RATE) / (BUSY_RATE - QUIET_RATE)
        return self.most * min(1.0, max(0.0, share))

    def took(self, messages: int, at: float) -> None:
        """A batch of this many messages was taken at this monotonic time, in seconds."""
        elapsed = at - self._last
        self._last = at
        if elapsed <= 0:
            return
        weight = min(1.0, elapsed / 0.25)
        self.rate += (messages / elapsed - self.rate) * weight
