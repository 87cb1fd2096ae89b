"""What to do about the documents that a broker holds. Pure.

A document of ours carries a user property, so that it is recognised on a broker whose state is
older than the database's, and what others have retained is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["MARK", "Difference", "Held", "difference", "digest"]

MARK = "mooring-version"
"""The user property of our documents; its value is their version."""


class Held(NamedTuple):
    """A retained message that the broker has."""

    digest: bytes
    ours: bool


class Difference(NamedTuple):
    """Topics, in order."""

    publish: list[str]
    """Missing on the broker, or other than wanted."""

    clear: list[str]
    """Ours, and wanted no more."""


def digest(payload: bytes) -> bytes:
    """Stands for a payload in a comparison."""
    return hashlib.blake2b(payload, digest_size=16).digest()


def difference(wanted: Mapping[str, bytes | None], held: Mapping[str, Held]) -> Difference:
    """What to send so that the broker has what is wanted.

    Args:
        wanted: topic → digest; ``None`` for a document that is to be cleared.
        held: topic → what the broker has.
    """
    publish = [
        topic
        for topic, content in wanted.items()
        if content is not None and (topic not in held or held[topic].digest != content)
    ]
    clear = [
        topic
        for topic, found in held.items()
        if wanted.get(topic) is None and (found.ours or topic in wanted)
    ]
    return Difference(sorted(publish), sorted(clear))
