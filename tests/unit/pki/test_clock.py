"""A clock that is wrong does no harm, and what it did is put right when it is right again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
