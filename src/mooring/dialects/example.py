"""Writing into a dialect's example payload: the time as it is written there, a value at a path."""

from __future__ import annotations

from typing import Any

from mooring.dialects import iso
from mooring.dialects.model import Path, TimeFormat

__all__ = ["put", "time_like"]


def time_like(now_ms: int, was: object, form: TimeFormat) -> str | int:
    """Now, written as ``was`` is; as ``form`` says where the example has no time."""
    if isinstance(was, str) or (was is None and form is TimeFormat.ISO):
        return iso(now_ms)
    in_seconds = was < 1e11 if isinstance(was, int | float) else form is TimeFormat.SECONDS
    return now_ms // 1000 if in_seconds else now_ms


def put(body: dict[str, Any], path: Path, value: object) -> None:
    """Sets the value at a path, making the objects on the way."""
    *outer, last = path
    for key in outer:
        below = body.get(key)
        if not isinstance(below, dict):
            below = body[key] = {}
        body = below
    body[last] = value
