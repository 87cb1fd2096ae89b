"""A clock that is wrong does no harm, and what it did is put right when it is right again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from mooring.errors import Gone, Unavailable
from mooring.pki.crl import read_crls
from mooring.pki.service import PkiService
from tests.unit.pki.ledger import MemoryLedger
from tests.unit.pki.making import NOW

EPOCH = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)


class Installation:
    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.directory = directory
        self.pki = PkiService(
            directory, MemoryLedger(), hosts=["box"], machine=[], clock=lambda: self.now
        )
        self.pki.init()

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.directory / "pki").iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_clock_at_1970_changes_nothing_and_issues_nothing(place: Installation) -> None:
    bundle = place.pki.device("pump")
    place.pki.revoke(serial=bundle.info.serial)
    before = place.content()
    place.now = EPOCH
    assert place.pki.init().changed == ()
    assert place.content() == before
    with pytest.raises(Unavailable) as caught:
        place.pki.device("pump")
    assert caught.value.slug == "clock_behind"
    place.now = NOW
    assert place.pki.init().changed == ()


@pytest.mark.parametrize("days", [1, 380, 5000])
def test_a_clock_that_was_ahead_for_a_while(place: Installation, days: int) -> None:
    gone = place.pki.device("pump")
    place.pki.revoke(serial=gone.info.serial)
    place.now = NOW + timedelta(days=days)
    try:
        place.pki.init()
    except Gone as exc:  # so far ahead that the CA has ended
        assert exc.slug == "ca_expired"
    place.now = NOW + timedelta(minutes=1)
    place.pki.init()
    assert place.pki.check() == []  # what was made in the future was made again
    assert _serials(place.pki) == {gone.info.serial}


def test_a_ca_made_with_a_clock_ahead_gets_its_dates_right(tmp_path: Path) -> None:
    """Name and key stay; what is revoked stays revoked, also after a crash in the middle."""
    ledger, at = MemoryLedger(), NOW + timedelta(days=3650)
    pki = PkiService(tmp_path, ledger, hosts=["box"], machine=[], clock=lambda: at)
    pki.init()
    bundle = pki.device("pump")
    pki.revoke(serial=bundle.info.serial)
    pki.seen("pump", pki.authorities()[0])
    held = load_pem_x509_certificate(pki.paths.ca.read_bytes())  # by devices

    at = EPOCH  # never set: nothing is known
    assert pki.init().changed == ()
    at = NOW

    class Crashes(MemoryLedger):
        def same_authority(self, former: str, now: str) -> None:
            raise OSError("killed here")

    broken = Crashes()
    broken.records, broken.seen_on = ledger.records, ledger.seen_on
    with pytest.raises(OSError, match="killed here"):
        PkiService(tmp_path, broken, hosts=["box"], machine=[], clock=lambda: at).init()
    assert set(pki.init().changed) == {"ca.crt", "trust.crt", "server.crt", "crl.pem"}
    assert pki.check() == []
    now = load_pem_x509_certificate(pki.paths.ca.read_bytes())
    assert now.not_valid_before_utc <= NOW < now.not_valid_after_utc
    assert (now.subject, now.public_key()) == (held.subject, held.public_key())
    assert _serials(pki) == {bundle.info.serial}
    assert pki.sightings()["pump"].authority == pki.authorities()[0]
    # Whoever holds the former certificate still finds that it signed what the broker shows.
    server = load_pem_x509_certificate(pki.paths.server_cert.read_bytes())
    server.verify_directly_issued_by(held)
    assert pki.device("pump").info.not_before <= NOW
    assert pki.init().changed == ()
    assert not (tmp_path / "pki" / "ca-ahead.crt").exists()


def test_a_hold_is_on_the_list_only_while_it_lasts(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    held: list[str] = []
    pki = PkiService(
        tmp_path,
        ledger,
        hosts=["box"],
        machine=[],
        held=lambda: [r for r in ledger.list() if r.username in held],
        clock=lambda: NOW,
    )
    pki.init()
    bundle = pki.device("pump")
    held.append("pump")
    assert pki.init().changed == ("crl.pem",)
    assert _serials(pki) == {bundle.info.serial}
    held.clear()
    assert pki.init().changed == ("crl.pem",)
    assert _serials(pki) == set()


def _serials(pki: PkiService) -> set[str]:
    return {
        f"{line.serial_number:x}" for one in read_crls(pki.paths.crl.read_bytes()) for line in one
    }
