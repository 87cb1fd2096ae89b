"""What updates need of other parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy.engine import Connection

__all__ = ["LinkIssuer", "Served", "Wanted"]


class Wanted(NamedTuple):
    """A link for the device and the file of an update; their numbers."""

    update: int
    device: int
    artifact: int


class Served(NamedTuple):
    """How far the bytes of an update have gone out.

    Attributes:
        to_byte: the end of what was sent, in bytes from the beginning of the file.
        whole: the last byte of the file was sent, by a request that did not begin at the end.
    """

    artifact: int
    to_byte: int
    whole: bool


class LinkIssuer(Protocol):
    """Makes the links under which devices download."""

    def issue(self, connection: Connection, wanted: Sequence[Wanted], *, at: int) -> list[str]:
        """Makes links in the caller's transaction; their paths, in the order of ``wanted``.

        Raises:
            NotFound: ``artifact_not_found``: the tenant of a device has no such file.
        """
        ...
