"""The platform's parts with the dialects as they are now.

``mooring dialect reload`` raises a number in the database; every serving process looks at
it occasionally and reads the dialects again when it has grown.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from mooring.app import App
from mooring.dialects.live import LiveCatalogue
from mooring.store.versions import stored

__all__ = ["LOOK_SECONDS", "Current"]

LOOK_SECONDS = 2.0


class Current:
    """Hands out the parts; safe from any thread.

    Args:
        platform: the parts at start.
        look_seconds: how often to look for a reload.
    """

    def __init__(self, platform: App, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._live = LiveCatalogue(
            platform.settings.dialects_dir,
            stored(platform.database, "dialects"),
            platform.catalogue,
            look_seconds=look_seconds,
        )

    @property
    def held(self) -> App:
        """The parts as they were at the last look; asks nobody."""
        return self._platform

    @property
    def version(self) -> int:
        """Of the dialects at the last look; -1 before the first."""
        return self._live.version

    @property
    def due(self) -> bool:
        """Whether ``app`` would look."""
        return self._live.due

    def app(self) -> App:
        """The parts; with dialects that are at most ``look_seconds`` behind.

        Raises:
            DatabaseUnavailable: the number cannot be read.
        """
        catalogue = self._live.get()
        if catalogue is not self._platform.catalogue:
            with self._lock:
                self._platform = replace(
                    self._platform,
                    catalogue=catalogue,
                    devices=replace(self._platform.devices, catalogue=catalogue),
                )
        return self._platform
