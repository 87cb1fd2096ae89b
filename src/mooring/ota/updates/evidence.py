"""Which version of an update a device names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mooring.dialects import meaning
from mooring.dialects.model import Channel, Dialect
from mooring.dialects.payload import look_up
from mooring.ota.updates.model import Kind, Seen, Update
from mooring.store.version_key import version_key

__all__ = ["FILESYSTEM", "has_version", "key_of", "seen", "versions_of"]

FILESYSTEM = ("filesystem_version", "filesystemVersion")
"""How firmware calls the version of its file system, next to its own."""

_MAX = 128  # characters of a version; more is not one


@lru_cache(maxsize=1024)  # a fleet has few versions
def key_of(version: str) -> str:
    """By which versions compare."""
    return version_key(version)


def seen(update: Update, version: str) -> Seen:
    """What a version that the device names means for its update.

    Any earlier version than the new one is an old one, and so is the one that ran when the update
    was made. A later one says nothing: somebody else has installed it.
    """
    named, new = key_of(version), key_of(update.version)
    if named == new:
        return Seen.NEW
    former = bool(update.from_version) and named == key_of(update.from_version)
    return Seen.OLD if former or named < new else Seen.NOTHING


def versions_of(
    channel: Channel, body: Mapping[str, Any] | None
) -> tuple[tuple[Kind, str | None], tuple[Kind, str | None]]:
    """The versions that a message names, ``None`` where it names none of that kind."""
    shape = channel.payload
    filesystem = None
    if shape.metadata is not None:
        about = look_up(body, shape.metadata)
        if isinstance(about, dict):
            for name in FILESYSTEM:
                found = about.get(name)
                if found:
                    filesystem = str(found)[:_MAX]
                    break
    return (Kind.FIRMWARE, meaning.firmware(shape, body)), (Kind.FILESYSTEM, filesystem)


def has_version(kind: Kind, dialect: Dialect, metadata: Mapping[str, Any]) -> bool:
    """Whether a device can show which version of that kind runs.

    Args:
        metadata: what it last reported of itself.
    """
    if kind is Kind.FIRMWARE:
        return any(channel.payload.firmware for channel in dialect.ups())
    return kind is Kind.FILESYSTEM and any(
        name.rpartition(".")[2] in FILESYSTEM for name in metadata
    )
