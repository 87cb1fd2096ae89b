"""A firmware update as the application gets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mooring_device.errors import Defer

__all__ = ["Firmware"]


@dataclass(frozen=True)
class Firmware:
    """A downloaded, checked update, for the application to install.

    Attributes:
        version, sha256, size, kind: as offered.
        signature: of the image, if the offer has one; the SDK does not look at it.
        path: the image.
    """

    version: str
    path: Path
    sha256: str
    size: int
    signature: str
    kind: str = "firmware"

    def defer(self, seconds: float) -> NoReturn:
        """For handlers: not now. The handler is called again after that time, in seconds, with the
        image that has arrived.

        Raises:
            Defer: always.
        """
        raise Defer(seconds)
