"""Making download links, and what a request with one gets."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.errors import Forbidden, Gone, NotFound
from mooring.ota.latest import store as latest
from mooring.ota.links import store
from mooring.ota.links.downloads import ANNOUNCED_MAX_PER_ADDRESS, DOWNLOADS_MAX_PER_DEVICE
from mooring.ota.links.model import File, Follower, Target
from mooring.ota.updates.protocol import Wanted
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally

__all__ = ["LINKS_MAX", "PREFIX", "Links", "Opening"]

PREFIX = "/f/"
LINKS_MAX = 3
"""Links of one update: a device may still download with an earlier one when it is offered again."""
KEPT_MS = 30 * 86_400_000
"""How long an expired link is still known as one."""
FRESH_MS = 30_000
"""The least time between two fresh offers of one link."""
MISUSE_MS = 60_000
"""The least time between two notes that another device used a link."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Links:
    """The links of an installation. Only their SHA-256 is stored: a copy of the database opens
    none of them."""

    settings: Settings

    def issue(self, connection: Connection, wanted: Sequence[Wanted], *, at: int) -> list[str]:
        """Makes links within the caller's transaction, with the same few statements however many
        there are.

        Of the earlier links of an update the newest two stay valid until they expire.

        Args:
            wanted: each update once.
            at: epoch milliseconds.

        Returns:
            Their paths, in the order of ``wanted``: ``/f/`` and 22 characters.

        Raises:
            NotFound: ``artifact_not_found``: the tenant of a device has no such file.
        """
        if not wanted:
            return []
        tokens = [secrets.token_urlsafe(16) for _ in wanted]
        made = [
            store.Wanted(*one, _verifier(token)) for one, token in zip(wanted, tokens, strict=True)
        ]
        if not store.fit(connection, made):
            raise NotFound(
                "The device's tenant has no such file.",
                hint="A device gets files of its own tenant only.",
                code="artifact_not_found",
            )
        expires_at = at + self.settings.firmware_link_seconds * 1000
        store.insert(connection, made, at, expires_at)
        store.trim(connection, {one.update for one in wanted}, LINKS_MAX)
        store.forget(connection, at - KEPT_MS)
        return [f"{PREFIX}{token}" for token in tokens]


@dataclass(frozen=True, slots=True)
class Opening:
    """Decides what a request with a link gets.

    Args:
        follower: is asked whether updates are over, and notified of expired links.
    """

    database: Database
    tally: Tally
    follower: Follower | None = None

    def file(
        self, token: str, usernames: list[str], login: Callable[[], Device | None], address: str
    ) -> File:
        """The file of a link: of a device's own, as ``open`` says, or of an announcement, which
        every device reads and nobody has to prove anything for.

        Args:
            address: of the client.

        Raises:
            as ``open``.
        """
        with self.database.read() as connection:
            shared = latest.found(connection, _verifier(token))
        if shared is None:
            return self.open(token, usernames, login).file(DOWNLOADS_MAX_PER_DEVICE)
        if not shared.open:
            raise _over()
        self.tally.count("firmware_announced_downloads")
        return File(
            shared.artifact,
            shared.name,
            shared.size,
            shared.sha256,
            "",
            address,
            ANNOUNCED_MAX_PER_ADDRESS,
            None,
        )

    def open(self, token: str, usernames: list[str], login: Callable[[], Device | None]) -> Target:
        """What a link leads to.

        A link needs no password. Whose request it is is known only where the request itself
        proves it, with a device's credentials. Addresses prove nothing: devices share them and
        change them.

        Args:
            token: what follows ``/f/``.
            usernames: that the request names; with the device's own, nothing else is looked at.
            login: the device whose credentials the request has; ``None``: not known.

        Raises:
            NotFound: ``link_not_found``.
            Gone: ``link_expired``: a fresh offer is on its way; ``update_over``: none will come.
            Forbidden: ``link_of_another_device``.
        """
        at = now_ms()
        with self.database.read() as connection:
            found = store.target(connection, _verifier(token)) if _TOKEN.fullmatch(token) else None
            over = found is not None and (
                not found.open
                or (self.follower is not None and self.follower.is_over(connection, found.update))
            )
        if found is None:
            self.tally.count("firmware_links_unknown")
            raise NotFound(
                "This link does not exist.",
                hint="Use the link of the newest offer.",
                code="link_not_found",
            )
        if usernames and found.username not in usernames:
            self._check(found, login(), at)
        if over:
            raise _over()
        if found.expires_at <= at:
            self._expired(found, at)
        return found

    def _check(self, found: Target, device: Device | None, at: int) -> None:
        if device is None or device.id == found.device_id:
            return
        if found.misused_at is None or found.misused_at < at - MISUSE_MS:
            with self.database.write() as connection:
                store.note(connection, found.link, misused_at=at, misused_by=device.id)
        raise Forbidden(
            "This link is of another device.",
            hint="A device uses the links of its own offers.",
            code="link_of_another_device",
        )

    def _expired(self, found: Target, at: int) -> None:
        if self.follower is not None and (found.asked_at is None or found.asked_at < at - FRESH_MS):
            with self.database.write() as connection:
                store.note(connection, found.link, asked_at=at)
                self.follower.link_expired(connection, found.update, at)
        raise Gone(
            "This link has expired.",
            hint="Keep what has arrived. A fresh offer with a new link follows.",
            code="link_expired",
        )


def _over() -> Gone:
    return Gone("The update is over.", hint="Delete the download.", code="update_over")


def _verifier(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
