from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.sockets import Peer
from mooring.presence.crowd import Crowd


def peers(count: int, *, port: int = 8883, first: int = 1) -> list[Peer]:
    return [Peer(port, "10.0.0.1", number, number) for number in range(first, first + count)]


def logged_in(some: list[Peer]) -> set[tuple[str, int]]:
    return {(peer.address, peer.peer_port) for peer in some}


def test_who_does_not_log_in_in_time_is_ended() -> None:
    crowd = Crowd(30, 100, 100)
    three = peers(3)
    assert crowd.look(three, set(), 0) == ([], [])
    assert crowd.look(three, set(), 29) == ([], [])
    assert crowd.look(three, logged_in(three[:1]), 30) == (three[1:], [])


def test_a_new_connection_with_the_same_address_has_its_own_time() -> None:
    crowd = Crowd(30, 100, 100)
    crowd.look(peers(1), set(), 0)
    crowd.look([], set(), 10)
    assert crowd.look(peers(1), set(), 31).silent == []


def test_beyond_the_limit_the_newest_without_a_login_go_first() -> None:
    crowd = Crowd(30, 2, 100)
    old, quiet, new = peers(1), peers(1, first=2), peers(1, first=3)
    crowd.look(old, logged_in(old), 0)
    crowd.look(old + quiet, logged_in(old), 1)
    everyone = old + quiet + new
    assert crowd.look(everyone, logged_in(old + new), 2).beyond == quiet
    assert crowd.look(everyone, logged_in(everyone), 2).beyond == new


def test_all_listeners_together_leave_the_reserve() -> None:
    crowd = Crowd(30, 5, 7)
    both = peers(5) + peers(5, port=9001, first=100)
    assert len(crowd.look(both, logged_in(both), 0).beyond) == 3


@given(
    count=st.integers(0, 30),
    known=st.integers(0, 30),
    most=st.integers(1, 20),
    together=st.integers(1, 20),
    now=st.floats(0, 100),
)
def test_what_stays_is_within_both_limits_and_nobody_goes_needlessly(
    count: int, known: int, most: int, together: int, now: float
) -> None:
    crowd = Crowd(30, most, together)
    everyone = peers(count) + peers(count // 2, port=9001, first=1000)
    crowd.look(everyone, logged_in(everyone[:known]), 0)
    silent, beyond = crowd.look(everyone, logged_in(everyone[:known]), now)
    assert not set(silent) & set(beyond)
    left = [peer for peer in everyone if peer not in {*silent, *beyond}]
    assert len(left) <= together
    for port in (8883, 9001):
        here = [peer for peer in left if peer.port == port]
        assert len(here) <= most
        if len(here) < most and len(left) < together:
            assert not [peer for peer in beyond if peer.port == port]
    assert not set(silent) & set(everyone[:known])
