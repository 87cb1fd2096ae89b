"""Expiry levels, file watching, rollover counts: decisions without I/O (but for one look)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Conflict
from mooring.pki.expiry import ExpiryLevel, days_left, expiry_level
from mooring.pki.ledger import CertificateRecord, Sighting
from mooring.pki.rollover import check_finish, check_start, rollover_status
from mooring.pki.watch import FileStamp, WatchDecision, changed, decide, stamp
from tests.unit.pki.making import DAY, NOW, a_ca


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (timedelta(days=31), ExpiryLevel.OK),
        (timedelta(days=30, seconds=1), ExpiryLevel.OK),
        (timedelta(days=30), ExpiryLevel.NOTICE),
        (timedelta(days=14), ExpiryLevel.WARNING),
        (timedelta(days=3), ExpiryLevel.CRITICAL),
        (timedelta(0), ExpiryLevel.CRITICAL),
        (timedelta(seconds=-1), ExpiryLevel.EXPIRED),
    ],
)
def test_expiry_levels(left: timedelta, level: ExpiryLevel) -> None:
    assert expiry_level(NOW + left, NOW) is level


@given(st.timedeltas(timedelta(days=-900), timedelta(days=900)), st.timedeltas(timedelta(0)))
def test_time_never_makes_it_better(left: timedelta, passing: timedelta) -> None:
    order = list(ExpiryLevel)
    passing = min(passing, timedelta(days=900))
    earlier, later = expiry_level(NOW + left, NOW), expiry_level(NOW + left, NOW + passing)
    assert order.index(earlier) <= order.index(later)
    assert (days_left(NOW + left, NOW) < 0) == (expiry_level(NOW + left, NOW) == "expired")


A, B = Path("a.crt"), Path("a.key")
ONE, TWO = FileStamp(1, 10, 100), FileStamp(2, 10, 100)


@pytest.mark.parametrize(
    ("loaded", "previous", "current", "decision"),
    [
        ({A: ONE}, {A: ONE}, {A: ONE}, WatchDecision.KEEP),
        ({A: ONE}, {A: ONE}, {A: TWO}, WatchDecision.WAIT),
        ({A: ONE}, {A: TWO}, {A: TWO}, WatchDecision.RELOAD),
        ({A: ONE}, {A: TWO}, {A: ONE}, WatchDecision.KEEP),
        ({A: ONE}, {A: None}, {A: None}, WatchDecision.WAIT),
        ({A: None}, {A: ONE}, {A: ONE}, WatchDecision.RELOAD),
        ({A: ONE, B: ONE}, {A: TWO, B: ONE}, {A: TWO, B: TWO}, WatchDecision.WAIT),
        ({A: ONE, B: ONE}, {A: TWO, B: None}, {A: TWO, B: None}, WatchDecision.WAIT),
    ],
)
def test_when_to_reload(
    loaded: dict[Path, FileStamp | None],
    previous: dict[Path, FileStamp | None],
    current: dict[Path, FileStamp | None],
    decision: WatchDecision,
) -> None:
    assert decide(loaded, previous, current) is decision


stamps = st.dictionaries(
    st.sampled_from([A, B]),
    st.none() | st.builds(FileStamp, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)


@given(stamps, stamps, stamps)
def test_it_reloads_only_what_is_whole_new_and_at_rest(
    loaded: dict[Path, FileStamp | None],
    previous: dict[Path, FileStamp | None],
    current: dict[Path, FileStamp | None],
) -> None:
    decision = decide(loaded, previous, current)
    assert (decision is WatchDecision.KEEP) == (changed(loaded, current) == [])
    if decision is WatchDecision.RELOAD:
        assert previous == current or changed(previous, current) == []
        assert None not in current.values()
        assert decide(current, current, current) is WatchDecision.KEEP


def test_certbots_links_are_seen_to_change(tmp_path: Path) -> None:
    for number in ("1", "2"):
        (tmp_path / f"cert{number}.pem").write_text("same size")
        os.utime(tmp_path / f"cert{number}.pem", (1000, 1000))
    link = tmp_path / "cert.pem"
    link.symlink_to("cert1.pem")
    before = stamp([link])
    assert stamp([link]) == before
    link.unlink()
    assert stamp([link]) == {link: None}
    link.symlink_to("cert2.pem")
    assert changed(before, stamp([link])) == [link]


OLD, NEW = a_ca("Old CA").info, a_ca("New CA").info


def record(
    username: str, authority: str, *, revoked: bool = False, days: int = 30
) -> CertificateRecord:
    return CertificateRecord(
        serial=f"{username}{authority}", username=username, fingerprint="", authority=authority,
        key_type="ec-p256", not_before=NOW - DAY, not_after=NOW + days * DAY, issued_at=NOW,
        pem="", revoked_at=NOW if revoked else None,
    )  # fmt: skip


def test_rollover_counts() -> None:
    on_new, on_old = NEW.fingerprint, OLD.fingerprint
    status = rollover_status(
        OLD,
        NEW,
        ["a", "b", "c", "d", "e"],
        sightings={
            "a": Sighting("a", on_new, NOW),
            "b": Sighting("b", on_old, NOW),
            "c": Sighting("c", on_new, NOW),
            "d": Sighting("d", "some other", NOW),
            "stranger": Sighting("stranger", on_new, NOW),
        },
        records=[
            record("a", on_old),
            record("a", on_new),
            record("c", on_old),
            record("c", on_new, revoked=True),
            record("e", on_old, days=-1),
            record("stranger", on_old),
        ],
        now=NOW,
    )
    assert (status.fleet, status.on_new, status.on_old, status.unseen) == (5, 2, 1, 2)
    assert status.uncertified == ("c",)
    assert status.waiting == ("b", "c", "d", "e")
    assert not status.ready
    with pytest.raises(Conflict, match="4 of 5 devices") as caught:
        check_finish(status, force=False)
    assert caught.value.context["waiting"] == ["b", "c", "d", "e"]
    assert check_finish(status, force=True) is status


names = st.sets(st.sampled_from("abcdefgh"))


@given(names, names, names, names)
def test_nobody_is_counted_twice_or_forgotten(
    fleet: set[str], new: set[str], old: set[str], held: set[str]
) -> None:
    sightings = {name: Sighting(name, OLD.fingerprint, NOW) for name in old}
    sightings |= {name: Sighting(name, NEW.fingerprint, NOW) for name in new}
    records = [record(name, OLD.fingerprint) for name in held]
    status = rollover_status(OLD, NEW, fleet, sightings=sightings, records=records, now=NOW)
    assert status.on_new + status.on_old + status.unseen == status.fleet == len(fleet)
    assert set(status.waiting) == fleet - (new - held)
    assert status.ready == (not status.waiting)


def test_rollover_states() -> None:
    check_start(False)
    with pytest.raises(Conflict, match="already in progress"):
        check_start(True)
    with pytest.raises(Conflict, match="No rollover"):
        check_finish(None, force=True)
