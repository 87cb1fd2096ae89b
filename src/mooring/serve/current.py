"""The platform's parts with the dialects as they are now.

``mooring dialect reload`` raises a number in the database; whoever serves requests looks at
it occasionally and reads the dialects again when it has grown.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from mooring.app import App
from mooring.dialects import load_all
from mooring.store.versions import version

__all__ = ["LOOK_SECONDS", "Current"]

LOOK_SECONDS = 2.0

log = logging.getLogger(__name__)


class Current:
    """Hands out the parts; safe from any thread.

    Args:
        platform: the parts at start.
        look_seconds: how often to look for a reload.
    """

    def __init__(self, platform: App, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._platform = platform
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._version = self._stored()
        self._looked_at = time.monotonic()

    @property
    def held(self) -> App:
        """The parts as they were at the last look; asks nobody."""
        return self._platform

    @property
    def due(self) -> bool:
        """Whether ``app`` would look."""
        return time.monotonic() - self._looked_at >= self._look_seconds

    def app(self) -> App:
        """The parts; with dialects that are at most ``look_seconds`` behind.

        Raises:
            DatabaseUnavailable: the number cannot be read.
        """
        if time.monotonic() - self._looked_at < self._look_seconds:
            return self._platform
        with self._lock:
            if time.monotonic() - self._looked_at >= self._look_seconds:
                stored = self._stored()
                if stored != self._version:
                    self._platform = _reloaded(self._platform)
                    self._version = stored
                self._looked_at = time.monotonic()
            return self._platform

    def _stored(self) -> int:
        with self._platform.database.read() as connection:
            return version(connection, "dialects")


def _reloaded(platform: App) -> App:
    catalogue = load_all(platform.settings.dialects_dir)
    for path in catalogue.broken:
        log.warning("the dialect file %s is invalid: `mooring dialect check %s`", path, path)
    return replace(
        platform,
        catalogue=catalogue,
        devices=replace(platform.devices, catalogue=catalogue),
    )
