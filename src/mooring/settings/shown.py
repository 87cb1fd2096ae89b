"""Values of settings for people: secrets are masked, also those in URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.masking import MASK, masked
from mooring.settings.field import Secret

__all__ = ["as_text", "shown_value"]


def shown_value(value: object) -> Any:
    """A setting's value for output, as JSON has it."""
    if isinstance(value, Secret):
        secret = value.get_secret_value()
        if "://" in secret:
            return masked(secret)
        return MASK if secret else ""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return masked(value)
    return list(value) if isinstance(value, tuple) else value


def as_text(value: Any) -> str:
    """What ``shown_value`` gave, in one line."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(value)
        case _:
            return str(value)
