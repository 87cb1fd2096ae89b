"""How long to wait before the next attempt to connect.

Pure: attempt number and a random number in, seconds out. Full jitter: the wait is drawn from
the whole window, so devices that lost the same broker at the same moment come back spread
out. The first window is ten seconds wide on purpose: ten thousand devices then come back at
about a thousand a second, which one broker can take, instead of all in the first second.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True)
class Backoff:
    """The windows from which waits are drawn. All times in seconds.

    Attributes:
        floor: the shortest wait.
        cap: the longest wait.
        first: the upper end of the first window; each further window is twice as wide.
        stable: a connection that held this long starts the count again. A shorter one does
            not: a device that is thrown out at once must not come back at once indefinitely.
    """

    floor: float = 1.0
    cap: float = 120.0
    first: float = 10.0
    stable: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= self.first <= self.cap:
            raise ValueError("a backoff needs 0 <= floor <= first <= cap")

    def window(self, attempt: int) -> float:
        """The upper end of the window of the given attempt, counted from 0."""
        # 2**63 is beyond any cap; without the bound a device that tried for years
        # would compute ever larger integers.
        return min(self.cap, self.first * 2.0 ** min(max(attempt, 0), 63))

    def wait(self, attempt: int, draw: float) -> float:
        """Seconds to wait before the given attempt; ``draw`` is random in [0, 1]."""
        return self.floor + draw * (self.window(attempt) - self.floor)

    def after(self, attempt: int, held: float) -> int:
        """The next attempt's number, when the last connection held for ``held`` seconds
        (0 when none existed)."""
        return 0 if held >= self.stable else attempt + 1
