"""Documents as they are stored: sealed with the instance key, because any may hold secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.device_settings.documents import canonical, parse
from mooring.secrets.instance import Instance

__all__ = ["opened", "sealed"]


def sealed(instance: Instance, document: Mapping[str, Any]) -> str:
    """What goes into a column."""
    return instance.seal(canonical(document)).decode()


def opened(instance: Instance, text: str) -> dict[str, Any]:
    """Raises ``Internal`` when it was sealed with another installation's key."""
    return parse(instance.unseal_bytes(text.encode()))
