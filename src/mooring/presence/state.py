"""What devices report of themselves, one message after the other. Pure.

A message that the device made before one that is known already is late: what it says of presence,
firmware or metadata does not count. The device's own times decide that, where both messages have
one; otherwise the order of arrival does. "Offline" is never late: a Last Will is written when the
device connects, or once when its program starts, and arrives when it is gone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

__all__ = ["METADATA_MAX", "Known", "Said", "advance", "unpack_metadata"]

# Characters of what a device reports of itself, gathered over time. A device that makes up new
# names begins again with its newest message.
METADATA_MAX = 65_536


class Said(NamedTuple):
    """What one message says; ``None``: nothing.

    ``ts`` is the device's own time, epoch milliseconds, or ``None`` where it gave none.
    """

    device: int
    received_at: int
    ts: int | None
    online: bool | None
    firmware: str | None
    metadata: dict[str, Any] | None


class Known(NamedTuple):
    """What is known of one device. Times are epoch milliseconds; ``…_ts`` the device's own."""

    online: bool | None = None
    online_at: int | None = None  # since when that is so
    online_ts: int | None = None
    firmware: str | None = None
    firmware_ts: int | None = None
    metadata: str | None = None  # JSON
    metadata_at: int | None = None
    metadata_ts: int | None = None


def advance(known: Known, said: Said) -> Known:
    """What is known once a device has reported something more."""
    online, online_at, online_ts, firmware, firmware_ts, about, about_at, about_ts = known
    ts = said.ts
    late = _late(ts, online_ts)
    if said.online is not None and not (said.online and late):
        if online is not said.online:
            online, online_at = said.online, said.received_at
        if not late:
            online_ts = ts
    if said.firmware is not None and not _late(ts, firmware_ts):
        firmware, firmware_ts = said.firmware, ts
    if said.metadata is not None and not _late(ts, about_ts):
        about = _merged(about, said.metadata)
        about_at, about_ts = said.received_at, ts
    return Known(online, online_at, online_ts, firmware, firmware_ts, about, about_at, about_ts)


def _late(ts: int | None, known: int | None) -> bool:
    return ts is not None and known is not None and ts < known


def _merged(before: str | None, new: dict[str, Any]) -> str:
    text = msgspec.json.encode({**unpack_metadata(before), **new}).decode()
    return text if len(text) <= METADATA_MAX else msgspec.json.encode(new).decode()


def unpack_metadata(text: str | None) -> dict[str, Any]:
    """Stored metadata; empty where none exists."""
    found = msgspec.json.decode(text) if text else None
    return found if isinstance(found, dict) else {}
