"""How a setting is declared."""

from __future__ import annotations

from typing import Any

from pydantic import Field

__all__ = ["setting"]


def setting(default: Any, description: str, *aliases: str, **limits: Any) -> Any:
    """A field of ``Settings``.

    Args:
        description: one sentence, for ``mooring config show``.
        aliases: other variables it is read from.
        limits: bounds of its value, as pydantic names them.
    """
    return Field(
        default=default,
        description=description,
        json_schema_extra={"aliases": list(aliases)},
        **limits,
    )
