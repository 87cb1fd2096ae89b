"""When the broker's log names every packet: pure.

Mosquitto says which messages it rejected for lack of rights only at its most talkative log
level, where it also writes four lines for every message it passes on. A fleet that sends
little can have that always; at thousands of messages a second it would cost the broker half
as much again. So it is on while little is sent, and off while much is.
"""

from __future__ import annotations

__all__ = ["Attention"]


class Attention:
    """Decides, from how many messages a second pass, whether to listen to every packet.

    Args:
        off_above: messages a second from which on it is switched off at once.
        on_below: and below which it is switched on again, after a while.
        calm_seconds: that while; the broker must not be reloaded every few seconds.
    """

    def __init__(
        self, *, off_above: float = 300.0, on_below: float = 100.0, calm_seconds: float = 30.0
    ) -> None:
        self._off_above = off_above
        self._on_below = on_below
        self._calm_seconds = calm_seconds
        self._calm_since: float | None = None
        self.on = True

    def decide(self, rate: float, at: float) -> bool:
        """Whether it should be on now.

        Args:
            rate: messages a second of the last moments.
            at: monotonic seconds.
        """
        if rate > self._off_above:
            self.on, self._calm_since = False, None
        elif rate > self._on_below:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = at
        elif not self.on and at - self._calm_since >= self._calm_seconds:
            self.on = True
        return self.on
