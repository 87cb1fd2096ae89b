"""Types that requests and answers share."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from mooring.dialects import iso

__all__ = [
    "JSON_DEPTH_MAX",
    "DeviceReference",
    "Document",
    "Json",
    "Line",
    "Name",
    "Reason",
    "Time",
    "Word",
]

JSON_DEPTH_MAX = 64  # objects and arrays in one another, in what is passed on

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"


def _written(time: int | str) -> str:
    return time if isinstance(time, str) else iso(time)


# 2026-02-13T12:00:00.000Z outside; inside epoch milliseconds, or what ``documents`` has written.
Time = Annotated[
    int | str,
    PlainSerializer(_written, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Line = Annotated[str, StringConstraints(max_length=300, pattern=_NO_CONTROLS)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROLS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROLS)]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=_NO_CONTROLS)]


def _is_json(value: Any) -> Any:
    """Rejects what Python's reader takes and JSON has not (NaN, 1e999), and what is too deep."""
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError("a number that JSON cannot hold")
        if isinstance(one, dict | list):
            if depth > JSON_DEPTH_MAX:
                raise ValueError(f"more than {JSON_DEPTH_MAX} objects and arrays in one another")
            below = one.values() if isinstance(one, dict) else one
            waiting.extend((each, depth + 1) for each in below)
    return value


Json = Annotated[Any, AfterValidator(_is_json)]
"""Any JSON value that is passed on as it is."""

DeviceReference = Annotated[
    str,
    Path(
        min_length=1,
        max_length=300,
        pattern=_NO_CONTROLS,
        description="Its name, tenant:name, username or MAC address.",
    ),
]


class Document(BaseModel):
    """The base of requests and answers; answers are filled from the services' values."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")
