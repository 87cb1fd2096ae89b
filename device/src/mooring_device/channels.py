"""Asks the platform, while the device is connected, which channels it has now.

Only where the dialect has channels of groups: a device can come into one at any time. The answer
counts from the next session on, which then begins.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from mooring_device.credentials import Credentials
from mooring_device.errors import DeviceError
from mooring_device.http import Api

__all__ = ["LEAST", "SPREAD", "ChannelsWatch"]

log = logging.getLogger("mooring_device")

LEAST = 60.0  # seconds between two requests, however often the device connects
SPREAD = 30.0  # seconds over which devices that connect together ask


class ChannelsWatch:
    """When to ask, and what was answered. Used by the network thread; the request has its own.

    Args:
        every: seconds between two requests while the device stays connected.
        api: makes the interface to the platform.
        wake: called when there is an answer that changes something.
    """

    def __init__(
        self, every: float, api: Callable[[Credentials], Api], wake: Callable[[], None]
    ) -> None:
        self._every = every
        self._api = api
        self._wake = wake
        self._due = 0.0
        self._asked_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._answer: Credentials | None = None

    def connected(self, now: float) -> None:
        """A session is in service: ask soon."""
        soon = now + random.random() * min(SPREAD, self._every / 10)  # noqa: S311  jitter
        self._due = max(soon, self._asked_at + min(LEAST, self._every))

    def check(self, now: float, credentials: Credentials) -> bool:
        """At every turn of a session; true when there is an answer that changes something."""
        if self._answer is None and now >= self._due and self._thread is None:
            self._due, self._asked_at = now + self._every, now
            self._thread = threading.Thread(
                target=self._ask, args=(credentials,), name="mooring-channels", daemon=True
            )
            self._thread.start()
        return self._answer is not None

    def take(self) -> Credentials | None:
        """The answer, once."""
        answer, self._answer = self._answer, None
        return answer

    def _ask(self, credentials: Credentials) -> None:
        try:
            found = self._api(credentials).shape(credentials)
        except DeviceError as exc:
            log.info("The platform does not tell this device's channels: %s", exc)
        else:
            if found is not None and found.shape != credentials.shape:
                self._answer = found
                self._wake()
        finally:
            self._thread = None
