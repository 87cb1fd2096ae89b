"""One suite for every ledger: in memory, on SQLite, on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mooring.errors import Conflict
from mooring.pki.ledger import CertificateLedger, CertificateRecord, Sighting
from mooring.pki.model import Reason
from mooring.pki.store import SqlLedger
from mooring.store.engine import open_database
from tests.support.postgres import Postgres
from tests.unit.pki.ledger import MemoryLedger

NOW = datetime(2026, 2, 13, 12, 0, 0, 125000, tzinfo=UTC)


def record(serial: str, username: str = "acme/pump-1", **options: object) -> CertificateRecord:
    values = {
        "serial": serial,
        "username": username,
        "fingerprint": serial.rjust(64, "0"),
        "authority": "a" * 64,
        "key_type": "ec-p256",
        "not_before": NOW - timedelta(hours=1),
        "not_after": NOW + timedelta(days=730),
        "issued_at": NOW,
        "pem": f"-----BEGIN CERTIFICATE-----\n{serial}\n-----END CERTIFICATE-----\n",
        "own_key": True,
    }
    return CertificateRecord(**(values | options))  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CertificateLedger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "ledger.db")
        url = f"sqlite:///{path}"
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        url = request.getfixturevalue("migrated_postgres")
        server.empty_tables(url)
    database = open_database(url)
    yield SqlLedger(database)
    database.close()


def test_a_record_comes_back_as_it_was(ledger: CertificateLedger) -> None:
    widest = "f" * 40
    ledger.add(record(widest))
    assert ledger.get(widest) == record(widest)
    assert ledger.get("abc") is None


def test_a_record_may_be_revoked_from_the_start(ledger: CertificateLedger) -> None:
    gone = record("b1", revoked_at=NOW, reason=Reason.KEY_COMPROMISE)
    ledger.add(gone)
    assert ledger.get("b1") == gone


def test_no_two_records_share_a_serial(ledger: CertificateLedger) -> None:
    ledger.add(record("ab"))
    with pytest.raises(Conflict):
        ledger.add(record("ab", "acme/pump-2"))
    assert [each.username for each in ledger.list()] == ["acme/pump-1"]


def test_lists_are_newest_first_and_narrowed(ledger: CertificateLedger) -> None:
    for serial, username in (("a1", "one"), ("a2", "two"), ("a3", "one")):
        ledger.add(record(serial, username))
    ledger.revoke("a1", NOW, Reason.SUPERSEDED)
    assert [r.serial for r in ledger.list()] == ["a3", "a2", "a1"]
    assert [r.serial for r in ledger.list(username="one")] == ["a3", "a1"]
    assert [r.serial for r in ledger.list(revoked=True)] == ["a1"]
    assert [r.serial for r in ledger.list(username="one", revoked=False)] == ["a3"]
    assert ledger.list(username="three") == []


def test_revoking_is_for_good(ledger: CertificateLedger) -> None:
    ledger.add(record("a1"))
    ledger.revoke("a1", NOW, Reason.KEY_COMPROMISE)
    ledger.revoke("a1", NOW + timedelta(days=1), Reason.SUPERSEDED)
    ledger.revoke("unknown", NOW, Reason.SUPERSEDED)
    found = ledger.get("a1")
    assert found is not None
    assert (found.revoked_at, found.reason) == (NOW, Reason.KEY_COMPROMISE)


def test_only_the_latest_sighting_is_kept(ledger: CertificateLedger) -> None:
    later = NOW + timedelta(seconds=5)
    ledger.seen("one", "a" * 64, NOW)
    ledger.seen("two", "a" * 64, NOW)
    ledger.seen("one", "b" * 64, later)
    assert ledger.sightings() == {
        "one": Sighting("one", "b" * 64, later),
        "two": Sighting("two", "a" * 64, NOW),
    }
