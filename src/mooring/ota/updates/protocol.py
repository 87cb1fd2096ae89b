"""What updates need of other parts."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.engine import Connection

__all__ = ["LinkIssuer"]


class LinkIssuer(Protocol):
    """Makes the links under which devices download."""

    def issue(
        self, connection: Connection, update: int, device: int, artifact: int, *, at: int
    ) -> str:
        """Makes a link in the caller's transaction; its path."""
        ...
