"""``path.to.key=value`` on the command line, as a JSON merge patch."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mooring.errors import Invalid

__all__ = ["patch_of", "read_object", "removal_of"]

FILE_BYTES_MAX = 1_048_576


def patch_of(assignments: Sequence[str], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The patch that sets these. A value is JSON where it can be read as JSON, otherwise text.

    Args:
        base: a patch to which they are added.

    Raises:
        Invalid: ``invalid_assignment``.
    """
    patch: dict[str, Any] = copy.deepcopy(dict(base or {}))
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals:
            raise _wrong(text)
        _put(patch, path, _value(value), text)
    return patch


def removal_of(paths: Sequence[str]) -> dict[str, Any]:
    """The patch that removes these keys.

    Raises:
        Invalid: ``invalid_assignment``.
    """
    patch: dict[str, Any] = {}
    for path in paths:
        _put(patch, path, None, path)
    return patch


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; ``-`` is standard input.

    Raises:
        Invalid: ``unreadable_file``: it cannot be read, or is not a JSON object.
    """
    try:
        if str(file) == "-":
            text = sys.stdin.read(FILE_BYTES_MAX + 1)
        else:
            with file.open("rb") as opened:
                text = opened.read(FILE_BYTES_MAX + 1).decode()
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as exc:
        raise _unreadable(file, str(exc)) from exc
    if len(text) > FILE_BYTES_MAX:
        raise _unreadable(file, f"it has more than {FILE_BYTES_MAX} bytes")
    if not isinstance(found, dict):
        raise _unreadable(file, "it is not a JSON object")
    return found


def _unreadable(file: Path, problem: str) -> Invalid:
    return Invalid(
        f"{str(file)[:200]!a} cannot be read: {problem}.",
        hint="It must hold one JSON object.",
        code="unreadable_file",
    )


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if value is None else value


def _put(patch: dict[str, Any], path: str, value: Any, text: str) -> None:
    *outer, last = path.split(".")
    if not last or not all(outer):
        raise _wrong(text)
    for key in outer:
        below = patch.setdefault(key, {})
        if not isinstance(below, dict):
            raise _wrong(text)
        patch = below
    if last in patch:
        raise _wrong(text)
    patch[last] = value


def _wrong(text: str) -> Invalid:
    return Invalid(
        f"{text[:100]!a} is not a valid setting, or contradicts another one.",
        hint="Write path.to.key=value, for example wifi.ssid=attic or interval_s=30.",
        code="invalid_assignment",
    )
