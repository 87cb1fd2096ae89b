"""What the command line and HTTP answer of sequence numbers. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso_or_none
from mooring.sequences.numbers import gaps
from mooring.sequences.store import DeviceNumbers

__all__ = ["numbers"]


def numbers(found: DeviceNumbers) -> dict[str, Any]:
    """A device's stored and missing numbers."""
    return {
        "device": found.name,
        "tenant": found.tenant,
        "upto": found.numbers.upto,
        "highest": found.numbers.highest,
        "missing": [list(one) for one in gaps(found.numbers)],
        "lost": found.numbers.lost,
        "gap_since": iso_or_none(found.gap_since),
        "asked_at": iso_or_none(found.asked_at),
    }
