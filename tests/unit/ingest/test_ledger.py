from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.ingest.ledger import Ledger, pack, unpack

pairs = st.tuples(st.integers(1, 65535), st.integers(0, 2**32 - 1))


@given(st.lists(pairs, max_size=50))
def test_packed_entries_come_back(entries: list[tuple[int, int]]) -> None:
    assert unpack(pack(entries)) == entries
    assert len(pack(entries)) == 6 * len(entries)


@given(st.integers(1, 30), st.lists(st.lists(pairs, max_size=12), max_size=30))
def test_the_newest_window_is_always_known(
    window: int, batches: list[list[tuple[int, int]]]
) -> None:
    ledger = Ledger(window)
    kept: list[tuple[int, bytes]] = []
    everything: list[tuple[int, int]] = []
    for entries in batches:
        forget = ledger.expendable(len(entries))
        number = ledger.next_batch
        ledger.committed(number, entries)
        kept = [(n, packed) for n, packed in kept if n > forget] + [(number, pack(entries))]
        everything += entries
        assert all(ledger.has(*pair) for pair in everything[-window:])
    # A new process that reads what the database still holds knows the same.
    again = Ledger(window, kept)
    assert all(again.has(*pair) for pair in everything[-window:])
    assert again.next_batch == ledger.next_batch


def test_an_id_with_another_content_is_another_message() -> None:
    ledger = Ledger(10)
    ledger.committed(1, [(7, 111), (7, 222)])
    assert ledger.has(7, 111)
    assert ledger.has(7, 222)
    assert not ledger.has(7, 333)
    assert not ledger.has(8, 111)


def test_what_is_forgotten_is_forgotten() -> None:
    ledger = Ledger(2)
    for number in range(1, 11):
        ledger.committed(number, [(number, number)])
    assert not ledger.has(1, 1)
    assert ledger.has(10, 10)
