"""Leaving one CA for another without a device left behind.

Pure. While a rollover is under way both CAs are trusted: the broker takes device certificates of
either, and shows a certificate of the new CA together with a cross certificate by the old one, so
devices that know only the old CA still accept it. Device certificates are issued by the new CA
from the first moment. ``finish`` gives the old CA up; devices that still rely on it are then
locked out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mooring.errors import Conflict
from mooring.pki.ledger import CertificateRecord, Sighting
from mooring.pki.model import CertificateInfo

__all__ = ["RolloverStatus", "check_finish", "check_start", "rollover_status"]

_NAMED = 20  # usernames listed in a message; the whole list is in the status


@dataclass(frozen=True, slots=True)
class RolloverStatus:
    """How far the fleet has come.

    Attributes:
        old, new: the two CAs.
        fleet: how many devices are counted.
        on_new: seen relying on the new CA (it reported so, or came with a certificate of it).
        on_old: last seen relying on the old one.
        unseen: seen on neither since sightings are kept.
        uncertified: devices whose only live certificates are the old CA's, sorted.
        waiting: who would be locked out by finishing now, sorted: all but ``on_new``, and the
            uncertified.
    """

    old: CertificateInfo
    new: CertificateInfo
    fleet: int
    on_new: int
    on_old: int
    unseen: int
    uncertified: tuple[str, ...]
    waiting: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Nobody would be locked out."""
        return not self.waiting


def rollover_status(
    old: CertificateInfo,
    new: CertificateInfo,
    fleet: Collection[str],
    *,
    sightings: Mapping[str, Sighting],
    records: Iterable[CertificateRecord],
    now: datetime,
) -> RolloverStatus:
    """Count the fleet.

    Args:
        fleet: usernames of the devices that come over TLS.
        records: the ledger's certificates; those of names outside the fleet are left out.
    """
    names = set(fleet)
    seen = {name: sightings[name].authority for name in names if name in sightings}
    on_new = {name for name, authority in seen.items() if authority == new.fingerprint}
    on_old = {name for name, authority in seen.items() if authority == old.fingerprint}
    issued: dict[str, set[str]] = {}
    for record in records:
        if record.username in names and record.is_live(now):
            issued.setdefault(record.username, set()).add(record.authority)
    uncertified = {name for name, authorities in issued.items() if authorities == {old.fingerprint}}
    return RolloverStatus(
        old=old,
        new=new,
        fleet=len(names),
        on_new=len(on_new),
        on_old=len(on_old),
        unseen=len(names - on_new - on_old),
        uncertified=tuple(sorted(uncertified)),
        waiting=tuple(sorted((names - on_new) | uncertified)),
    )


def check_start(under_way: bool) -> None:
    """Raises ``Conflict`` when a rollover is under way already."""
    if under_way:
        raise Conflict(
            "A rollover is already in progress.",
            hint="See its state with `mooring cert rollover status`.",
            code="rollover_under_way",
        )


def check_finish(status: RolloverStatus | None, *, force: bool) -> RolloverStatus:
    """The status itself when the old CA may be given up.

    Args:
        status: ``None`` when no rollover is under way.
        force: give it up although devices would be locked out.

    Raises:
        Conflict: there is no rollover, or devices still rely on the old CA.
    """
    if status is None:
        raise Conflict(
            "No rollover is in progress.",
            hint="Start one with `mooring cert rollover start`.",
            code="no_rollover",
        )
    if status.waiting and not force:
        names = ", ".join(status.waiting[:_NAMED]) + (", …" if len(status.waiting) > _NAMED else "")
        raise Conflict(
            f"{len(status.waiting)} of {status.fleet} devices have not been seen on the new CA: "
            f"{names}.",
            hint="Give them the new CA and new certificates first, or use --force to finish and "
            "lock them out.",
            code="rollover_not_ready",
            waiting=list(status.waiting),
        )
    return status
