"""What tells this machine from every other: the hardware id for claims."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

__all__ = ["hardware_id"]

_SOURCES = (
    "/sys/firmware/devicetree/base/serial-number",  # Raspberry Pi and other boards
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
)


def hardware_id(sources: tuple[str, ...] = _SOURCES) -> str:
    """A stable id of this machine, 32 hexadecimal digits.

    A digest, because the machine id itself is not to leave the machine (machine-id(5)).
    """
    for source in sources:
        try:
            found = Path(source).read_text("ascii").strip("\0 \n")
        except (OSError, ValueError):
            continue
        if found:
            return _digest(found)
    return _digest(f"{uuid.getnode():012x}")


def _digest(text: str) -> str:
    return hashlib.sha256(b"mooring-device\0" + text.encode()).hexdigest()[:32]
