"""What waits in a link is bounded by bytes as well as by messages, and keeps its order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import PublishPacket, QoS

from mooring.link.arrivals import BATCH_BYTES, Arrivals

READS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 3 * BATCH_BYTES)), max_size=12)


def packet(number: int, qos: QoS = QoS.AT_LEAST_ONCE) -> PublishPacket:
    identity = None if qos == QoS.AT_MOST_ONCE else number % 65_535 + 1
    return PublishPacket("t", str(number).encode(), qos=qos, packet_id=identity)


def numbers(packets: list[PublishPacket]) -> list[int]:
    return [int(one.payload) for one in packets]


@given(READS, st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_all_is_handed_over_once_in_order_and_no_batch_is_too_large(
    reads: list[tuple[int, int]], limits: list[int]
) -> None:
    arrivals, sent, got = Arrivals(), 0, list[int]()
    size_of: list[float] = []
    turn = 0

    def take() -> None:
        nonlocal turn
        limit = limits[turn % len(limits)]
        turn += 1
        batch = numbers(arrivals.take(limit))
        assert len(batch) <= limit
        size = sum(size_of[number] for number in batch)
        largest_read = max(size for _, size in reads)
        assert size <= BATCH_BYTES + 1 or size <= largest_read + 1
        assert batch or not len(arrivals)
        got.extend(batch)

    for count, size in reads:
        arrivals.add([packet(sent + place) for place in range(count)], size)
        size_of += [size / count] * count
        sent += count
        take()
    while len(arrivals):
        take()
    assert got == list(range(sent))
    assert arrivals.bytes == 0


def test_large_messages_of_one_device_are_not_all_in_one_batch() -> None:
    arrivals = Arrivals()
    for number in range(20):
        arrivals.add([packet(number)], 1_000_000)
    arrivals.add([packet(20), packet(21)], 100)
    assert numbers(arrivals.take(5000)) == [0, 1, 2, 3]
    assert arrivals.bytes == 16_000_100


def test_a_new_connection_brings_all_but_qos_0_again() -> None:
    arrivals = Arrivals()
    arrivals.add([packet(1), packet(2, QoS.AT_MOST_ONCE)], 5_000_000)
    arrivals.keep_unnumbered()
    assert arrivals.bytes == 1
    assert numbers(arrivals.take(10)) == [2]
    arrivals.keep_unnumbered()
    assert (len(arrivals), arrivals.take(10)) == (0, [])
