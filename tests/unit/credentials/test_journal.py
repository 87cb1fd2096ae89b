"""Who is in session, from the events of a log."""

from __future__ import annotations

from mooring.credentials.journal import MARK, Event, Journal

SERVICE = "service"


def journal(*events: Event) -> Journal:
    made = Journal(SERVICE)
    made.fold(events)
    return made


def test_in_session_from_connect_to_disconnect() -> None:
    events = [Event(3, "connected", "lamp", "c1"), Event(5, "disconnected", "lamp", "c1")]
    assert journal(events[0]).in_session("lamp", 2)
    assert not journal(events[0]).in_session("lamp", 3)  # it was there before
    assert not journal(*events).in_session("lamp", 2)
    assert journal(*events).went_after("lamp", 4)


def test_a_disconnect_without_a_name_is_nobodys() -> None:
    """A client id is a claim: whoever is refused may have come with any."""
    found = journal(Event(1, "connected", "lamp", "c1"), Event(2, "disconnected", None, "c1"))
    assert found.in_session("lamp", 0)
    assert not found.went_after("lamp", 0)


def test_taken_over_and_back() -> None:
    found = journal(
        Event(1, "connected", "lamp", "c1"),
        Event(2, "taken_over", "lamp", "c1"),
        Event(3, "connected", "lamp", "c1"),
    )
    assert found.in_session("lamp", 0)
    assert found.came_after("lamp", 2)


def test_a_new_broker_has_nobody() -> None:
    found = journal(Event(1, "connected", "lamp", "c1"), Event(2, "running"))
    assert not found.in_session("lamp", 0)
    assert found.went_after("lamp", 1)


def test_only_our_own_account_makes_marks() -> None:
    found = journal(
        Event(1, "connected", "lamp", f"{MARK}forged"),
        Event(2, "connected", SERVICE, f"{MARK}true"),
    )
    assert found.mark("forged") is None
    assert found.mark("true") == 2


def test_refusals_by_place_and_by_address() -> None:
    found = journal(
        Event(1, "refused", address="10.0.0.1"),
        Event(2, "refused", address="10.0.0.2"),
        Event(3, "refused", address="10.0.0.1"),
    )
    assert found.refusals(0) == 3
    assert found.refusals(1, "10.0.0.1") == 1
    assert found.refusals(3) == 0


def test_memory_is_bounded() -> None:
    found = Journal(SERVICE)
    found.fold(Event(n, "refused", address="10.0.0.1") for n in range(1, 50_000))
    assert found.refusals(49_990) == 9
    assert found.refusals(0) <= 20_000
