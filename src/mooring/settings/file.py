"""Settings in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mooring.errors import InvalidSetting

__all__ = ["read_toml"]


def read_toml(path: Path, known: Collection[str]) -> dict[str, Any]:
    """The settings in a TOML file.

    Raises:
        InvalidSetting: it cannot be read, is not TOML, or names something that is not ``known``.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors add a BOM
    except OSError as exc:
        raise InvalidSetting(
            f"The settings file {path} cannot be read: {exc.strerror}.",
            hint="Correct MOORING_CONFIG or the file's permissions.",
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidSetting(
            f"The settings file {path} is not TOML: {exc}.", hint="Correct the line it names."
        ) from exc
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise InvalidSetting(
            f"The settings file {path} has settings that do not exist: {', '.join(unknown)}.",
            hint="`mooring config show` lists every setting.",
        )
    return content
