"""Writes offers: a link, and a message that is handed over while the device listens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.dialects import Catalogue
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import MooringError
from mooring.ota.releases.model import Artifact, Release
from mooring.ota.rollouts.windows import span_of, unpacked
from mooring.ota.updates.model import Update, Way
from mooring.ota.updates.offers import (
    LINK_CHARACTERS,
    Message,
    Offer,
    TooLarge,
    reach_of,
    reaches,
    shaped,
)
from mooring.ota.updates.protocol import LinkIssuer
from mooring.ota.updates.protocol import Wanted as LinkOf
from mooring.ota.updates.waits import Waits, deadline
from mooring.settings import Settings
from mooring.web.address import http_url

__all__ = ["ORIGIN", "Handing", "Wanted", "install_span"]

ORIGIN = "firmware"


class Wanted(NamedTuple):
    """An update whose offer is to be written.

    Attributes:
        most: bytes of the largest packet that the device accepts; 0: not known.
        not_before: when it is handed over at the earliest, epoch milliseconds; ``None``: now.
    """

    update: Update
    device: Device
    release: Release
    artifact: Artifact
    most: int
    not_before: int | None = None


@dataclass(frozen=True, slots=True)
class Handing:
    """What writing an offer needs."""

    catalogue: Catalogue
    downlinks: Downlinks
    settings: Settings
    links: LinkIssuer
    waits: Waits

    @property
    def address(self) -> str | None:
        """Where devices reach the platform; ``None``: nowhere."""
        return http_url(self.settings)

    def most(self, device: Device, max_packet: int) -> int:
        """Bytes of the largest packet that a device accepts; 0: not known.

        Args:
            max_packet: its attribute, which counts more than its dialect; 0: it has none.
        """
        return max_packet or self.catalogue.get(device.dialect).max_packet

    def fits(
        self,
        device: Device,
        release: Release,
        artifact: Artifact,
        *,
        uid: str,
        at: int,
        most: int,
        install: tuple[int, int] | None = None,
    ) -> TooLarge | bool:
        """Whether an offer with an id of that length can be written; ``False``: the device lacks
        what its dialect's topics need."""
        dialect = self.catalogue.get(device.dialect)
        if not most:  # its size says nothing
            return reaches(reach_of(dialect, release.kind), device.identity)
        path = "x" * LINK_CHARACTERS
        offer = Offer(uid, f"{self.address or ''}{path}", release, artifact, install)
        found = shaped(dialect, device.identity, offer, at=at, most=most)
        return found if isinstance(found, TooLarge) else found is not None

    def write(
        self, connection: Connection, wanted: Sequence[Wanted], at: int
    ) -> list[Update | MooringError]:
        """Writes the offers of updates that wait for one, in the caller's transaction.

        Returns:
            In the order of ``wanted``, the update with its message, or why none was written.
        """
        base = self.address or ""
        sent = [one for one in wanted if one.update.way is not Way.DDI]  # the others ask
        links = (LinkOf(one.update.id, one.device.id, one.artifact.id) for one in sent)
        paths = iter(self.links.issue(connection, list(links), at=at))
        carriers: list[NewDownlink] = []
        ends: list[int] = []  # where the messages of each one end
        for one in wanted:
            if one.update.way is not Way.DDI:
                carriers += self._carriers(one, f"{base}{next(paths)}", at)
            ends.append(len(carriers))
        written = self.downlinks.put_many(connection, carriers)
        answers: list[Update | MooringError] = []
        begin = 0
        for one, end in zip(wanted, ends, strict=True):
            some, begin = written[begin:end], end
            if one.update.way is Way.DDI:
                asked = replace(one.update, offer_at=at)
                answers.append(replace(asked, due_at=deadline(asked, self.waits)))
                continue
            error = next((each for each in some if isinstance(each, MooringError)), None)
            last = next(
                (each for each in reversed(some) if not isinstance(each, MooringError)), None
            )
            if error is not None or last is None:
                answers.append(error or MooringError("The offer cannot be written."))
                continue
            offered = replace(one.update, downlink_id=last.id, offer_at=at)
            answers.append(replace(offered, due_at=deadline(offered, self.waits)))
        return answers

    def _carriers(self, one: Wanted, url: str, at: int) -> list[NewDownlink]:
        """The messages of an offer; none: its dialect has no way to offer it."""
        install = install_span(one.update.install_in, at)
        offer = Offer(one.update.uid, url, one.release, one.artifact, install)
        dialect = self.catalogue.get(one.device.dialect)
        found = shaped(dialect, one.device.identity, offer, at=at, most=one.most)
        if found is None or isinstance(found, TooLarge):
            return []
        return [self._carrier(one, message) for message in found]

    @staticmethod
    def _carrier(wanted: Wanted, message: Message) -> NewDownlink:
        update = wanted.update
        return NewDownlink(
            topic=message.topic,
            payload=message.payload,
            tenant=update.tenant,
            origin=ORIGIN,
            expires_at=update.expires_at,
            device_id=update.device_id,
            qos=max(1, message.channel.qos),
            secret=True,  # the link needs no password
            until=Until.LIVE,
            not_before=wanted.not_before,
            reason=update.reason,
        )


@lru_cache(maxsize=64)  # most devices of a rollout have the same ones
def install_span(windows: str, at: int) -> tuple[int, int] | None:
    """The window in which a device may install, or the next one; ``None``: always.

    Args:
        windows: as ``windows.packed`` wrote them; empty: none.
        at: epoch milliseconds.
    """
    return span_of(*unpacked(windows), at) if windows else None
