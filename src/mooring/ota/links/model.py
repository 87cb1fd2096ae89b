"""Values of download links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy.engine import Connection

__all__ = ["File", "Follower", "Found", "Served", "Target"]


class Found(NamedTuple):
    """What a link is for.

    Attributes:
        update: number of the update.
        device, artifact: their numbers.
        expires_at: epoch milliseconds.
    """

    update: int
    device: int
    artifact: int
    expires_at: int


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


class Served(NamedTuple):
    """How far the bytes of an update have gone out.

    Attributes:
        to_byte: the end of what was sent, in bytes from the beginning of the file.
        whole: the last byte of the file was sent, by a request that did not begin at the end.
    """

    artifact: int
    to_byte: int
    whole: bool


class Follower(Protocol):
    """What downloads notify of what they do; the updates."""

    def is_over(self, connection: Connection, number: int) -> bool:
        """Whether the update needs its file no longer."""
        ...

    def served(  # noqa: PLR0917 - the same for every caller
        self, connection: Connection, number: int, artifact: int, to_byte: int, whole: bool, at: int
    ) -> None:
        """Bytes were sent to the device of an update."""
        ...

    def link_expired(self, connection: Connection, number: int, at: int) -> None:
        """The device of an update asked with an expired link: it needs a fresh offer."""
        ...
