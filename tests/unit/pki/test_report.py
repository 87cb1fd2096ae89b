"""What ends when, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mooring.pki.expiry import ExpiryLevel
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import CertificateInfo
from mooring.pki.report import NAMED, complaints, reminders, report
from tests.unit.pki.making import DAY, NOW, a_ca

INFO = a_ca().info


def info(ends: datetime) -> CertificateInfo:
    return replace(INFO, not_after=ends)


def record(username: str, ends: datetime, serial: str = "1") -> CertificateRecord:
    return CertificateRecord(
        serial, username, "f", "a", "ec-p256", NOW - DAY, ends, NOW - DAY, "pem"
    )


@pytest.mark.parametrize(
    ("days", "level", "bad", "soon"),
    [
        (31, ExpiryLevel.OK, False, False),
        (30, ExpiryLevel.NOTICE, False, True),
        (14, ExpiryLevel.WARNING, False, True),
        (3, ExpiryLevel.CRITICAL, True, False),
        (0, ExpiryLevel.CRITICAL, True, False),
        (-1, ExpiryLevel.EXPIRED, True, False),
    ],
)
def test_levels(days: int, level: ExpiryLevel, bad: bool, soon: bool) -> None:
    ends = NOW + days * DAY
    found = report({"ca": info(NOW + 999 * DAY), "server": info(ends)}, [record("one", ends)], NOW)
    assert [(each.name, each.level) for each in found.platform] == [
        ("ca", ExpiryLevel.OK),
        ("server", level),
    ]
    assert found.devices[level] == 1
    assert sum(found.devices.values()) == 1
    assert (len(complaints(found)), len(reminders(found))) == (2 * bad, 2 * soon)
    said = " ".join((*complaints(found), *reminders(found)))
    assert ("one" in said, "broker's certificate" in said) == (bad or soon, bad or soon)


def test_only_the_certificate_that_ends_last_counts() -> None:
    found = report(
        {},
        [record("one", NOW + 2 * DAY), record("one", NOW + 700 * DAY), record("one", NOW - DAY)],
        NOW,
    )
    assert found.devices[ExpiryLevel.OK] == 1
    assert found.soon == ()
    assert complaints(found) == reminders(found) == []


def test_many_are_counted_and_some_are_named_nearest_first() -> None:
    records = [record(f"d{n:03}", NOW + timedelta(hours=n)) for n in reversed(range(1, 51))]
    found = report({}, records, NOW)
    assert [each.name for each in found.soon] == [f"d{n:03}" for n in range(1, NAMED + 1)]
    (said,) = complaints(found)
    assert said.startswith("50 devices' certificates ended, or will within 3 days: d001, d002")
    assert ", …" in said
    assert said.endswith("Renew: mooring cert renew DEVICE.")
