"""Types that requests and answers share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

from mooring.dialects import iso

__all__ = ["DeviceReference", "Document", "Line", "Name", "Reason", "Time", "Word"]

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"

# Epoch milliseconds inside, 2026-02-13T12:00:00.000Z outside.
Time = Annotated[
    int,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Line = Annotated[str, StringConstraints(max_length=300, pattern=_NO_CONTROLS)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROLS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROLS)]
Reason = Annotated[str, StringConstraints(max_length=500, pattern=_NO_CONTROLS)]

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
