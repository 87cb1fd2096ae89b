"""The table of an update's states, its deadlines, and what counts as a proof."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.ota.updates import rules, table
from mooring.ota.updates.evidence import seen
from mooring.ota.updates.model import FINAL, INSTALL_BEGUN, OPEN, Code, Kind, Seen, State, Update
from mooring.ota.updates.rules import Event, Present, Said
from mooring.ota.updates.table import TABLE
from mooring.ota.updates.waits import DEFER_MAX_MS, INSTALLS_MAX, OFFERS_MAX, Waits, deadline

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "firmware.md"
T0 = 1_771_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WAITS = Waits()
HERE = Present(heard_at=T0 + 10 * DAY)


def update(state: State = State.WAITING, **more: object) -> Update:
    """One to 1.5.0 on a device that ran 1.4.0 and was connected before."""
    values: dict[str, object] = {
        "id": 7,
        "tenant": "home",
        "device_id": 1,
        "device": "trap",
        "release_id": 3,
        "artifact_id": 4,
        "kind": Kind.FIRMWARE,
        "version": "1.5.0",
        "from_version": "1.4.0",
        "size": 1000,
        "created_at": T0,
        "expires_at": T0 + 7 * DAY,
        "state": state,
        "state_at": T0,
        "due_at": None,
        "offer_at": T0,
        "downlink_id": 11,
        "linked": True,
        "linked_at": T0 - HOUR,
    }
    if state in INSTALL_BEGUN:
        values |= {"install_at": T0, "download_at": T0, "installs": 1}
    if state is State.DOWNLOADING:
        values |= {"download_at": T0, "attempts": 1, "progress_at": T0}
    made = Update(**(values | more))  # type: ignore[arg-type]
    return replace(made, due_at=deadline(made, WAITS))


def said(event: Event, **more: object) -> Said:
    return Said(event, **more)  # type: ignore[arg-type]


def reported(found: Update | None, event: Event, at: int, **more: object) -> Update:
    assert found is not None
    after = rules.report(found, said(event, **more), at, WAITS)
    assert after is not None, (found.state, event)
    return after


def links(found: Update | None, *changes: tuple[bool, int]) -> Update:
    assert found is not None
    for connected, since in changes:
        found = rules.linked(found, since, WAITS, connected=connected) or found
    return found


def names(found: Update | None, which: Seen, ts: int, at: int | None = None) -> Update:
    assert found is not None
    return rules.named(found, which, ts, ts if at is None else at, WAITS) or found


def passes(found: Update | None, at: int | None = None, present: Present = HERE) -> Update:
    """The deadline."""
    assert found is not None and found.due_at is not None
    after = rules.time(found, max(found.due_at, at or 0), WAITS, present)
    assert after is not None
    return after


# ---------------------------------------------------------------------- the table


def test_the_page_shows_the_table() -> None:
    row = re.compile(r"^\| `(\w+)` \| ([^|]+) \| `(\w+)` \|$", re.MULTILINE)
    text = PAGE.read_text(encoding="utf-8")
    part = text.partition("## Updates")[2].partition("\n## ")[0]
    shown = [
        (state, tuple(one.strip() for one in events.split(";")), to)
        for state, events, to in row.findall(part)
    ]
    assert shown == [
        (str(state), tuple(map(str, events)), str(to)) for state, events, to in table.rows()
    ]


def test_every_state_is_reached_and_every_open_one_ends() -> None:
    assert {to for _, to in TABLE.items()} | {State.WAITING} == set(State)
    for state in OPEN:
        reached, before = {state}, set[State]()
        while reached != before:
            before = set(reached)
            reached |= {to for (one, _), to in TABLE.items() if one in before}
        assert reached & FINAL


@pytest.mark.parametrize("state", sorted(FINAL - {State.CONFIRMED}))
def test_nothing_follows_on_an_end(state: State) -> None:
    assert not [event for one, event in TABLE if one is state]
    assert deadline(update(state), WAITS) is None


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_state_has_a_deadline(state: State) -> None:
    for linked in (None, False, True):
        assert deadline(update(state, linked=linked), WAITS) is not None


# ---------------------------------------------------------------------- a whole life


def test_from_the_offer_to_the_proof() -> None:
    found = rules.taken(update(), T0 + 1, WAITS)
    assert found is not None and (found.state, found.offers) == (State.OFFERED, 1)
    found = reported(found, Event.DOWNLOADING, T0 + MINUTE, percent=0)
    found = rules.served(found, 400, T0 + 2 * MINUTE, WAITS, whole=False)
    assert found is not None and (found.percent, found.served) == (40, 400)
    found = reported(found, Event.INSTALLING, T0 + 3 * MINUTE)
    found = links(found, (False, T0 + 4 * MINUTE))
    assert found.state is State.REBOOTING
    found = links(found, (True, T0 + 5 * MINUTE))
    assert (found.state, found.session_at) == (State.REBOOTING, T0 + 5 * MINUTE)
    found = names(found, Seen.NEW, T0 + 5 * MINUTE + 500)
    assert found.state is State.INSTALLED
    assert rules.time(found, T0 + 9 * MINUTE, WAITS, HERE) is None, "it is not shown long enough"
    assert found.due_at == T0 + 10 * MINUTE + 500
    found = passes(found)
    assert (found.state, found.over) == (State.CONFIRMED, True)
    assert [step.state for step in found.history] == [
        *("offered", "downloading", "installing", "rebooting", "installed", "confirmed")
    ]


def test_a_claim_proves_nothing() -> None:
    found = reported(update(State.DOWNLOADING), Event.INSTALLED, T0 + MINUTE)
    found = names(found, Seen.NEW, T0 + 2 * MINUTE)
    assert found.session_at is None, "the session is the one in which it was downloaded"
    end = passes(found)
    assert end.state is State.UNPROVED
    assert end.state_at == T0 + MINUTE + DAY


def test_a_queue_flushed_after_the_reboot_is_no_evidence() -> None:
    found = links(update(State.REBOOTING), (False, T0 + 1), (True, T0 + MINUTE))
    found = names(found, Seen.OLD, T0 - MINUTE, at=T0 + MINUTE + 1)
    assert found.seen is Seen.NOTHING
    found = names(found, Seen.NEW, T0 + MINUTE + 100)
    found = names(found, Seen.OLD, T0 + 30_000, at=T0 + MINUTE + 200)
    assert (found.state, found.seen) == (State.INSTALLED, Seen.NEW)
    assert passes(found).state is State.CONFIRMED


def test_a_message_may_come_before_its_session_is_known() -> None:
    found = names(update(State.REBOOTING), Seen.NEW, T0 + MINUTE + 100)
    assert (found.state, found.session_at) == (State.INSTALLED, None)
    found = links(found, (True, T0 + MINUTE))
    assert (found.session_at, found.seen) == (T0 + MINUTE, Seen.NEW)
    assert passes(found).state is State.CONFIRMED


def test_the_old_version_by_the_same_rule() -> None:
    found = links(update(State.REBOOTING), (False, T0 + 1), (True, T0 + MINUTE))
    found = names(found, Seen.OLD, T0 + MINUTE + 100)
    assert found.state is State.REBOOTING
    found = passes(found)
    assert found.state is State.REVERTED
    assert found.due_at is None


def test_a_device_that_is_gone_again_is_not_confirmed() -> None:
    found = links(update(State.REBOOTING), (False, T0 + 1), (True, T0 + MINUTE))
    found = names(found, Seen.NEW, T0 + MINUTE + 100)
    found = links(found, (False, T0 + 3 * MINUTE))
    assert found.due_at is not None and found.due_at > T0 + HOUR
    found = links(found, (True, T0 + 4 * MINUTE))
    assert found.seen is Seen.NOTHING, "it has not said so in this session"
    found = names(found, Seen.NEW, T0 + 4 * MINUTE + 100)
    found = passes(found)
    assert (found.state, found.finished_at) == (State.CONFIRMED, T0 + 9 * MINUTE + 100)


def test_a_critical_alert_delays_the_confirmation() -> None:
    found = links(update(State.INSTALLED), (False, T0 + 1), (True, T0 + MINUTE))
    found = names(found, Seen.NEW, T0 + MINUTE + 100)
    alarmed = replace(HERE, critical=True)
    later = passes(found, present=alarmed)
    assert (later.state, later.due_at) == (State.INSTALLED, T0 + 7 * MINUTE + 100)
    assert passes(later).state is State.CONFIRMED
    assert passes(later, T0 + 2 * DAY, alarmed).state is State.UNPROVED


def test_a_device_that_sleeps_is_proved_by_two_intervals() -> None:
    found = update(State.INSTALLED, interval_ms=HOUR)
    found = links(found, (False, T0 + 1), (True, T0 + HOUR))
    found = names(found, Seen.NEW, T0 + HOUR + 100)
    found = links(found, (False, T0 + HOUR + MINUTE), (True, T0 + 2 * HOUR))
    assert found.seen is Seen.NEW
    assert found.due_at == T0 + 3 * HOUR + 100
    silent = Present(heard_at=T0 + HOUR + 100)
    assert passes(found, present=silent).state is State.INSTALLED
    assert passes(found, present=Present(T0 + 2 * HOUR + 200)).state is State.CONFIRMED


def test_regressed_within_thirty_days() -> None:
    found = update(State.CONFIRMED, finished_at=T0)
    assert names(found, Seen.OLD, T0 - 1).state is State.CONFIRMED, "it was made before"
    assert names(found, Seen.NEW, T0 + DAY) is found
    assert names(found, Seen.OLD, T0 + DAY).state is State.REGRESSED
    watched = passes(found)
    assert (watched.state, watched.due_at) == (State.CONFIRMED, None)
    assert found.due_at == T0 + 30 * DAY


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("1.5", Seen.NEW),
        ("v1.5.0", Seen.NEW),
        ("1.4", Seen.OLD),
        ("1.3.9", Seen.OLD),
        ("1.10", Seen.NOTHING),
        ("2", Seen.NOTHING),
    ],
)
def test_versions_of_different_spelling(named: str, expected: Seen) -> None:
    assert seen(update(), named) is expected


def test_the_version_from_before_a_downgrade_is_the_old_one() -> None:
    down = update(version="1.4.0", from_version="1.5.0")
    assert (seen(down, "1.5"), seen(down, "1.4")) == (Seen.OLD, Seen.NEW)


# ---------------------------------------------------------------------- deadlines


def test_five_offers_to_a_device_that_does_not_answer() -> None:
    found, at = update(), T0
    for number in range(1, OFFERS_MAX + 1):
        offered = rules.taken(found, at, WAITS)
        assert offered is not None and offered.offers == number
        assert offered.due_at == at + 10 * MINUTE
        at = offered.due_at
        found = passes(offered)
        if number < OFFERS_MAX:
            assert (found.state, found.downlink_id) == (State.WAITING, None)
            found = replace(found, downlink_id=11 + number)
    assert found.state is State.TIMED_OUT


def test_the_ten_minutes_are_minutes_in_session() -> None:
    offered = rules.taken(update(), T0, WAITS)
    away = links(offered, (False, T0 + MINUTE))
    assert away.due_at == away.expires_at
    back = links(away, (True, T0 + HOUR))
    assert back.due_at == T0 + HOUR + 10 * MINUTE


def test_three_downloads() -> None:
    found = update(State.DOWNLOADING)
    for attempt in (1, 2):
        assert found.due_at == found.state_at + 30 * MINUTE
        found = passes(found)
        assert (found.state, found.attempts) == (State.WAITING, attempt + 1)
        assert found.due_at is not None
        found = replace(found, downlink_id=12)
        found = rules.served(found, 10, found.due_at or 0, WAITS, whole=False) or found
        assert (found.state, found.attempts) == (State.DOWNLOADING, attempt + 1)
    end = passes(found)
    assert (end.state, end.code) == (State.FAILED, Code.NETWORK)


def test_a_small_board_is_away_while_it_downloads() -> None:
    found = links(update(State.DOWNLOADING), (False, T0 + MINUTE))
    assert found.due_at == T0 + DAY, "without MQTT nobody knows whether it is there"
    found = rules.served(found, 1000, T0 + HOUR, WAITS, whole=True)
    assert found is not None and found.state is State.INSTALLING


def test_a_device_without_progress_installs_when_it_leaves_with_the_image() -> None:
    found = rules.taken(update(), T0, WAITS)
    assert found is not None
    found = rules.served(found, 1000, T0 + MINUTE, WAITS, whole=True)
    assert found is not None and found.state is State.DOWNLOADING
    found = links(found, (False, T0 + 2 * MINUTE))
    assert found.state is State.INSTALLING
    found = links(found, (True, T0 + 3 * MINUTE))
    assert (found.state, found.session_at) == (State.REBOOTING, T0 + 3 * MINUTE)


def test_later_at_most_seven_days() -> None:
    found = reported(update(State.OFFERED), Event.DEFERRED, T0, later_ms=30 * DAY)
    assert (found.state, found.due_at) == (State.DEFERRED, T0 + DEFER_MAX_MS)
    again = passes(found)
    assert again.state is State.WAITING
    at = T0 + DEFER_MAX_MS
    for _ in range(10):
        again = reported(replace(again, downlink_id=12), Event.DEFERRED, at, later_ms=30 * DAY)
        at = again.due_at or 0
        again = passes(again)
        if again.over:
            break
    assert again.state is State.TIMED_OUT, "it does not put it off for ever"


def test_bytes_that_are_noted_late_do_not_end_the_wait_for_a_window() -> None:
    """Downloads are noted every few seconds; the device says at once that it waits."""
    begun = reported(update(State.OFFERED), Event.DOWNLOADING, T0)
    waits = reported(begun, Event.DEFERRED, T0 + 1_000, later_ms=HOUR)
    noted = rules.served(waits, 1000, T0 + 2_000, WAITS, whole=True)
    assert noted is not None
    assert (noted.state, noted.served, noted.due_at) == (State.DEFERRED, 1000, waits.due_at)
    assert rules.served(noted, 1000, T0 + 3_000, WAITS, whole=True) is None
    # One that put off the offer itself, and downloads all the same, has begun.
    off = reported(update(State.OFFERED), Event.DEFERRED, T0, later_ms=HOUR)
    came = rules.served(off, 1000, T0 + 2_000, WAITS, whole=True)
    assert came is not None and came.state is not State.DEFERRED


def test_fresh_offers_end_with_the_time_for_downloading() -> None:
    """A device that says again and again that it begins, and that its link has expired."""
    found = update(State.DOWNLOADING, download_at=T0)
    assert rules.renew(found, T0 + WAITS.download - 1, WAITS) is not None
    assert rules.renew(found, T0 + WAITS.download, WAITS) is None


def test_an_expired_link_uses_no_attempt() -> None:
    found = update(State.DOWNLOADING, served=600)
    fresh = rules.renew(found, T0 + MINUTE, WAITS)
    assert fresh is not None
    assert (fresh.state, fresh.attempts, fresh.downlink_id) == (State.WAITING, 1, None)
    written = replace(fresh, downlink_id=12)
    assert rules.renew(written, T0 + MINUTE + 29_999, WAITS) is None, "one in 30 s"
    assert rules.renew(written, T0 + MINUTE + 30_000, WAITS) is not None
    back = rules.served(written, 700, T0 + 2 * MINUTE, WAITS, whole=False)
    assert back is not None and (back.state, back.attempts, back.served) == (
        *(State.DOWNLOADING, 1, 700),
    )
    reports_it = reported(found, Event.FAILED, T0 + MINUTE, code=Code.LINK)
    assert reports_it.state is State.WAITING, "firmware that takes 410 for an end gets a new link"


def test_two_installs_without_confirmation() -> None:
    found = update(State.REBOOTING)
    found = reported(found, Event.DOWNLOADING, T0 + HOUR)
    found = reported(found, Event.INSTALLING, T0 + 2 * HOUR)
    assert found.installs == INSTALLS_MAX
    for end in (
        passes(found),
        reported(found, Event.DOWNLOADING, T0 + 3 * HOUR),
        reported(found, Event.FAILED, T0 + 3 * HOUR, code=Code.HEALTH),
        passes(
            names(
                links(found, (False, T0 + 3 * HOUR), (True, T0 + 4 * HOUR)),
                Seen.OLD,
                T0 + 4 * HOUR + 1,
            )
        ),
    ):
        assert (end.state, end.code) == (State.FAILED, Code.LOOP)


def test_a_report_that_waited_in_the_devices_queue() -> None:
    found = reported(update(State.DOWNLOADING), Event.DOWNLOADING, T0 + 1, ts=T0 + 100, percent=50)
    assert rules.report(found, said(Event.DOWNLOADING, ts=T0 + 50, percent=20), T0, WAITS) is None
    rebooting = links(reported(found, Event.INSTALLING, T0 + MINUTE), (False, T0 + 2 * MINUTE))
    late = said(Event.DOWNLOADING, ts=T0 + 30_000, percent=90)
    assert rules.report(rebooting, late, T0 + 3 * MINUTE, WAITS) is None


def test_cancelling_a_download_takes_ten_minutes() -> None:
    found = update(State.DOWNLOADING, asked_at=T0 + MINUTE)
    assert found.due_at == T0 + 11 * MINUTE
    assert passes(found).state is State.CANCELLED
    assert reported(found, Event.CANCELLED, T0 + 2 * MINUTE).state is State.CANCELLED
    assert rules.renew(found, T0 + 2 * MINUTE, WAITS) is None


def test_a_dialect_that_can_say_nothing() -> None:
    found = update(State.INSTALLING, provable=False, reports=False)
    found = links(found, (False, T0 + MINUTE), (True, T0 + 2 * MINUTE))
    assert found.state is State.INSTALLED
    found = passes(found)
    assert (found.state, found.state_at) == (State.UNPROVED, T0 + 7 * MINUTE)
