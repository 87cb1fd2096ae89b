"""Documents of settings: JSON objects, merged by RFC 7396 (JSON Merge Patch). Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from mooring.errors import Invalid

__all__ = [
    "DEPTH_MAX",
    "KEY_MAX",
    "MASK",
    "Secrets",
    "canonical",
    "check_document",
    "difference",
    "keep_masked",
    "masked",
    "merge_all",
    "merge_patch",
    "parse",
    "path_text",
    "without_nulls",
]

DEPTH_MAX = 16
"""Objects and arrays in one another."""
KEY_MAX = 128
"""Characters of a key."""
MASK = "********"
"""Stands for the value of a secret field wherever a document is shown."""

INTEGER_MAX = 2**63 - 1

Secrets = frozenset[tuple[str, ...]]
"""Paths of secret fields; ``*`` stands for any key and any item of an array."""


def merge_patch(target: Any, patch: Any) -> Any:
    """``MergePatch(Target, Patch)`` of RFC 7396, section 2. Neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def merge_all(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One document from those of all levels, the most general one first. A null removes what a
    more general level has set."""
    merged: dict[str, Any] = {}
    for document in documents:
        merged = merge_patch(merged, document)
    return merged


def difference(source: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest patch that makes ``target`` of ``source``; ``target`` has no nulls."""
    patch: dict[str, Any] = {key: None for key in source if key not in target}
    for key, value in target.items():
        before = source.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            below = difference(before, value)
            if below:
                patch[key] = below
        elif key not in source or canonical(before) != canonical(value):
            patch[key] = value
    return patch


def without_nulls(value: Any) -> Any:
    """A value without the members of objects that are null: no document can hold them."""
    if not isinstance(value, Mapping):
        return value
    return {key: without_nulls(one) for key, one in value.items() if one is not None}


def canonical(document: Any) -> bytes:
    """JSON that is equal for equal documents, whatever the order of their keys."""
    return msgspec.json.encode(document, order="sorted")


def parse(text: str | bytes) -> dict[str, Any]:
    """A document as ``canonical`` wrote it."""
    found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    return found


def check_document(document: Mapping[str, Any], most: int) -> None:
    """What every reader accepts.

    Args:
        most: bytes of the document as JSON.

    Raises:
        Invalid: ``invalid_settings``: a value that JSON cannot hold, or too deep;
            ``settings_too_large``.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping | list | tuple) and len(path) >= DEPTH_MAX:
            raise _wrong(path, f"more than {DEPTH_MAX} objects and arrays are in one another")
        if isinstance(value, Mapping):
            for key in value:
                _check_key(path, key)
            waiting.extend(((*path, key), below) for key, below in value.items())
        elif isinstance(value, list | tuple):
            waiting.extend(((*path, str(at)), below) for at, below in enumerate(value))
        elif isinstance(value, str):
            _check_text(path, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _wrong(path, "JSON cannot hold this number")
        elif isinstance(value, int) and not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
            raise _wrong(path, "a whole number does not fit in 64 signed bits")
    size = len(canonical(document))
    if size > most:
        raise Invalid(
            f"The settings have {size} bytes; at most {most} are allowed.",
            hint="Use fewer or shorter settings, or raise device_settings_max_bytes.",
            code="settings_too_large",
            size=size,
            most=most,
        )


def _check_key(path: tuple[str, ...], key: object) -> None:
    if not isinstance(key, str) or not key:
        raise _wrong(path, "a key is empty")
    if len(key) > KEY_MAX:
        raise _wrong(path, f"a key has more than {KEY_MAX} characters")
    _check_text((*path, key), key)


def _check_text(path: tuple[str, ...], text: str) -> None:
    if "\0" in text:
        raise _wrong(path, "a text holds the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise _wrong(path, "a text holds half a surrogate pair") from exc


def _wrong(path: Sequence[str], problem: str) -> Invalid:
    where = path_text(path)
    return Invalid(
        f"The settings are not valid at {where!a}: {problem}.",
        hint="Settings are one JSON object.",
        code="invalid_settings",
        path=where,
    )


def path_text(path: Iterable[str | int]) -> str:
    """Keys joined with dots, at most 300 characters; ``.`` for the whole document."""
    text = ".".join(str(key).encode(errors="replace").decode() for key in path)[:300]
    return text.replace("\0", "\ufffd") or "."


# ---------------------------------------------------------------------- secret fields


def masked(document: Any, secrets: Secrets) -> Any:
    """A copy with ``MASK`` instead of every secret value that is not null."""
    if () in secrets:
        return None if document is None else MASK
    if not secrets:
        return document
    if isinstance(document, Mapping):
        return {key: masked(value, _below(secrets, key)) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [masked(value, _below(secrets, str(at))) for at, value in enumerate(document)]
    return document


def keep_masked(document: Any, current: Any, secrets: Secrets) -> Any:
    """A document that came from outside, with the current value wherever a secret field holds
    ``MASK``: somebody has sent back what was shown. A field that has no value is left out."""
    if not secrets or not isinstance(document, Mapping):
        return document
    known = current if isinstance(current, Mapping) else {}
    kept: dict[str, Any] = {}
    for key, value in document.items():
        below = _below(secrets, key)
        if () in below and value == MASK:
            if key in known:
                kept[key] = known[key]
        else:
            kept[key] = keep_masked(value, known.get(key), below)
    return kept


def _below(secrets: Secrets, key: str) -> Secrets:
    return frozenset(path[1:] for path in secrets if path and path[0] in (key, "*"))
