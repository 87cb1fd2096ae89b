"""Writes the built-in dialects for the device SDK, which has no TOML and not this package.

The SDK uses them for credentials that carry no shape: those of version 0.1.0. A test holds the
file to the dialects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mooring.dialects import Identity, builtin, device_shape

TARGET = Path(__file__).parents[1] / "device" / "src" / "mooring_device" / "dialects.json"
ANY = Identity("tenant", "device", "02aabbccddee", ("group",))


def text() -> str:
    """One line for each channel."""
    parts = []
    for dialect in builtin():
        channels = device_shape(dialect, ANY)["channels"]
        lines = ",\n".join(f"  {json.dumps(_without_topics(one))}" for one in channels)
        parts.append(f"{json.dumps(dialect.name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _without_topics(channel: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in channel.items() if key != "topics"}


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
