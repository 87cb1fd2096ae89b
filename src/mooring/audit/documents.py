"""What the command line and HTTP answer of the audit. Times are text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.dialects.times import iso

__all__ = ["entry"]


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A change: who, what and why."""
    return {**row, "at": iso(row["at"])}
