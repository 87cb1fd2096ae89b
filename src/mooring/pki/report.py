"""The state of the certificates of an installation: which ends when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mooring.pki.expiry import ExpiryLevel, days_left, expiry_level
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import CertificateInfo

__all__ = ["Report", "Standing", "complaints", "reminders", "report"]

NAMED = 20  # devices listed by name; all are counted
_BAD = (ExpiryLevel.EXPIRED, ExpiryLevel.CRITICAL)
_WORDS = {"ca": "The CA", "old_ca": "The old CA", "server": "The broker's certificate"}
_CURES = {
    "ca": "Start a rollover: mooring cert rollover start.",
    "old_ca": "Finish the rollover: mooring cert rollover status.",
    "server": "See why it was not renewed: mooring cert show.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One certificate and its end.

    Attributes:
        name: ``ca``, ``old_ca``, ``server``, or a device's username.
        days_left: whole days, rounded down; negative when expired.
    """

    name: str
    not_after: datetime
    days_left: int
    level: ExpiryLevel


@dataclass(frozen=True, slots=True)
class Report:
    """Every certificate's standing.

    Attributes:
        platform: the CA, the CA a rollover is leaving, and what the broker shows.
        devices: how many devices' newest certificates are at each level.
        soon: the devices that are not ``ok``, nearest end first, ``NAMED`` at most.
    """

    platform: tuple[Standing, ...]
    devices: Mapping[ExpiryLevel, int]
    soon: tuple[Standing, ...]


def report(
    platform: Mapping[str, CertificateInfo], records: Iterable[CertificateRecord], now: datetime
) -> Report:
    """Where everything is.

    Args:
        platform: name → certificate, of ``ca``, ``old_ca`` and ``server`` those there are.
        records: certificates that are not revoked. Only the one of a device that ends last
            counts: a renewed one does not make its forerunner a worry.
    """
    newest: dict[str, datetime] = {}
    for record in records:
        newest[record.username] = max(
            record.not_after, newest.get(record.username, record.not_after)
        )
    devices = [_standing(name, end, now) for name, end in newest.items()]
    counts = dict.fromkeys(ExpiryLevel, 0)
    for each in devices:
        counts[each.level] += 1
    soon = sorted(
        (each for each in devices if each.level is not ExpiryLevel.OK),
        key=lambda each: (each.not_after, each.name),
    )
    return Report(
        tuple(_standing(name, info.not_after, now) for name, info in platform.items()),
        counts,
        tuple(soon[:NAMED]),
    )


def complaints(found: Report) -> list[str]:
    """What is wrong now: expired, or three days or fewer before it; a sentence each."""
    texts = [_sentence(each) for each in found.platform if each.level in _BAD]
    count = sum(found.devices[level] for level in _BAD)
    if count:
        texts.append(_devices(found, count, _BAD))
    return texts


def reminders(found: Report) -> list[str]:
    """What will be wrong: 30 or 14 days before it; a sentence each."""
    levels = (ExpiryLevel.WARNING, ExpiryLevel.NOTICE)
    texts = [_sentence(each) for each in found.platform if each.level in levels]
    count = sum(found.devices[level] for level in levels)
    if count:
        texts.append(_devices(found, count, levels))
    return texts


def _standing(name: str, not_after: datetime, now: datetime) -> Standing:
    return Standing(name, not_after, days_left(not_after, now), expiry_level(not_after, now))


def _sentence(each: Standing) -> str:
    when = f"{each.not_after:%Y-%m-%d}"
    verb = (
        f"expired on {when}."
        if each.level is ExpiryLevel.EXPIRED
        else f"ends on {when}, in {each.days_left} {'day' if each.days_left == 1 else 'days'}."
    )
    return f"{_WORDS[each.name]} {verb} {_CURES[each.name]}"


def _devices(found: Report, count: int, levels: tuple[ExpiryLevel, ...]) -> str:
    names = [each.name for each in found.soon if each.level in levels]
    listed = ", ".join(names) + (", …" if count > len(names) else "")
    what = "device's certificate" if count == 1 else "devices' certificates"
    when = (
        "ended, or will within 3 days" if ExpiryLevel.CRITICAL in levels else "will end in 30 days"
    )
    return f"{count} {what} {when}: {listed}. Renew: mooring cert renew DEVICE."
