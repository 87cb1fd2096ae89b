"""The dialects as they are now, for a process that runs on while they change.

``mooring dialect reload`` raises a number in the database. Everybody who follows dialects asks
here, so that they are read again in one way, and a dialect that did not change stays the same
object.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mooring.dialects.load import Catalogue, load_all
from mooring.dialects.model import Dialect

__all__ = ["LiveCatalogue"]

log = logging.getLogger(__name__)


class LiveCatalogue:
    """Safe from any thread.

    Args:
        directory: of the user's dialects.
        stored: asks the database for the number.
        catalogue: what was read at the start of the process.
        look_seconds: how often the number is asked for.
    """

    def __init__(
        self,
        directory: Path | None,
        stored: Callable[[], int],
        catalogue: Catalogue | None = None,
        *,
        look_seconds: float = 2.0,
    ) -> None:
        self._directory = directory
        self._stored = stored
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._catalogue = load_all(directory) if catalogue is None else catalogue
        self._looked_at = float("-inf")
        self.version = -1
        """Of the dialects that ``get`` returned last; -1 before the first look."""

    @property
    def held(self) -> Catalogue:
        """The dialects as they were at the last look; asks nobody."""
        return self._catalogue

    @property
    def due(self) -> bool:
        """Whether ``get`` would ask the database."""
        return time.monotonic() - self._looked_at >= self._look_seconds

    def get(self) -> Catalogue:
        """The dialects, at most ``look_seconds`` behind.

        Raises:
            DatabaseUnavailable: the number cannot be read.
        """
        if self.due:
            with self._lock:
                if self.due:
                    self._look(self._stored())
        return self._catalogue

    def at(self, version: int) -> Catalogue:
        """The dialects of a version that its caller has just read from the database."""
        if version != self.version:
            with self._lock:
                self._look(version)
        return self._catalogue

    async def changed(self) -> Catalogue:
        """Waits until there is another version; asks the database from a thread.

        Raises:
            DatabaseUnavailable: the number cannot be read.
        """
        before = self.version
        while True:
            catalogue = await asyncio.to_thread(self.get)
            if self.version != before:
                return catalogue
            await asyncio.sleep(self._look_seconds)

    def _look(self, version: int) -> None:
        # The first time, too: they may have changed since the process read them.
        if version != self.version:
            self._catalogue = _kept(load_all(self._directory), self._catalogue)
            for path in self._catalogue.broken:
                log.warning(
                    "the dialect file %s is invalid and not applied: `mooring dialect check %s`",
                    path,
                    path,
                )
            self.version = version
        self._looked_at = time.monotonic()


def _kept(new: Catalogue, before: Catalogue) -> Catalogue:
    """The new dialects, but those that are equal to an old one are that very object.

    A dialect whose file has become invalid stays as it was: a typing error must not disconnect
    its fleet.
    """
    old = {dialect.name: dialect for dialect in before.all()}
    dialects = tuple(old[one.name] if old.get(one.name) == one else one for one in new.all())
    names, broken = set(new.names()), {str(path) for path in new.broken}
    former = [d for d in before.all() if d.source in broken and d.name not in names]
    if former:
        dialects = tuple(sorted((*dialects, *former), key=_place))
    if dialects == before.dialects and not (new.broken or before.broken):
        return before
    return replace(new, dialects=dialects)


def _place(dialect: Dialect) -> tuple[bool, str]:
    """Its place in a catalogue: the built-in ones come first."""
    built_in = dialect.source.startswith("builtin:")
    return (not built_in, dialect.name if built_in else dialect.source)
