"""Values of download links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy.engine import Connection

from mooring.ota.updates.protocol import Served

__all__ = ["File", "Follower", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A link of an update with everything that an answer needs. Times are epoch milliseconds.

    Attributes:
        device: its reference, for people.
        username: with which the device logs in.
        open: the release is offered to devices, and the device is enabled.
        asked_at: when a fresh offer was asked for last.
        misused_at: when another device used the link last.
    """

    link: int
    update: int
    device_id: int
    device: str
    tenant: str
    username: str
    artifact: int
    name: str
    size: int
    sha256: str
    expires_at: int
    open: bool
    asked_at: int | None
    misused_at: int | None

    def file(self, most: int) -> File:
        """What is sent, at most ``most`` times to the device at the same time."""
        return File(
            self.artifact,
            self.name,
            self.size,
            self.sha256,
            self.tenant,
            self.device_id,
            most,
            self.update,
        )


class File(NamedTuple):
    """A file that is sent, and on whose account.

    Attributes:
        account: whose downloads are limited together; empty: those of announcements.
        client: whose downloads are limited to ``most``: the number of a device, or an address.
        update: to note progress for; ``None``: nothing is noted.
    """

    artifact: int
    name: str
    size: int
    sha256: str
    account: str
    client: int | str
    most: int
    update: int | None


class Follower(Protocol):
    """What downloads notify of what they do; the updates."""

    def is_over(self, connection: Connection, number: int) -> bool:
        """Whether the update needs its file no longer."""
        ...

    def served(self, connection: Connection, sent: Mapping[int, Served], at: int) -> None:
        """Bytes were sent to the devices of these updates."""
        ...

    def link_expired(self, connection: Connection, number: int, at: int) -> None:
        """The device of an update asked with an expired link: it needs a fresh offer."""
        ...
