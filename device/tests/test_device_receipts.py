"""Receipts and re-requests: what may leave the queue, what goes again, what is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_device import ranges as r
from mooring_device.receipts import (
    MAX_SEQ,
    Answer,
    Receipt,
    Release,
    Skip,
    answer_rerequest,
    parse_receipt,
    parse_rerequest,
    settle,
)

numbers = st.sets(st.integers(1, 50))


def of(chosen: set[int]) -> r.Ranges:
    return r.compress(sorted(chosen))


def members(ranges: r.Ranges) -> set[int]:
    return {n for first, last in ranges for n in range(first, last + 1)}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"upto": 0}', Receipt(0)),
        ('{"upto": 7, "ts": 1}', Receipt(7)),
        ('{"upto": 7, "also": [[9, 9], [11, 20]]}', Receipt(7, ((9, 9), (11, 20)))),
        ('{"upto": 7, "also": null}', Receipt(7)),
    ],
)
def test_a_receipt_is_read(payload: str, expected: Receipt) -> None:
    assert parse_receipt(payload.encode()) == expected


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "7",
        "{}",
        '{"upto": -1}',
        '{"upto": true}',
        '{"upto": 1.5}',
        '{"upto": "7"}',
        '{"upto": 1, "also": [[5, 4]]}',
        '{"upto": 1, "also": [[5]]}',
        '{"upto": 1, "also": [["a", 6]]}',
        '{"upto": 1, "also": {"a": 1}}',
    ],
)
def test_what_is_no_receipt_releases_nothing(payload: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_receipt(payload.encode())


@pytest.mark.parametrize("payload", ["[]", "{}", '{"missing": 3}', '{"missing": [[2, 1]]}'])
def test_what_is_no_rerequest(payload: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rerequest(payload.encode())


def test_a_rerequest_is_read() -> None:
    body: Any = {"missing": [[19, 19], [12, 15], [14, 16]]}
    assert parse_rerequest(json.dumps(body).encode()) == ((12, 16), (19, 19))


@given(st.integers(0, 50), numbers, numbers)
def test_only_what_was_sent_and_is_covered_leaves(
    upto: int, also: set[int], sent: set[int]
) -> None:
    decision = settle(Receipt(upto, of(also)), sent=of(sent), last_seq=50)
    assert isinstance(decision, Release)
    assert members(decision.ranges) == sent & (set(range(1, upto + 1)) | also)


def test_a_wiped_device_loses_nothing_to_an_old_receipt() -> None:
    # It counted to 5000 in an earlier life, and now has 1 to 6000, of which 1 to 500 were sent.
    decision = settle(Receipt(5000), sent=((1, 500),), last_seq=6000)
    assert decision == Release(((1, 500),))


def test_a_receipt_for_numbers_to_come_makes_it_skip_them() -> None:
    assert settle(Receipt(5000), sent=((1, 3),), last_seq=10) == Skip(((1, 3),), 5000)
    assert settle(Receipt(2, ((700, 800),)), sent=(), last_seq=10) == Skip((), 800)


@given(numbers, numbers, numbers)
def test_a_rerequest_divides_what_is_missing(
    missing: set[int], held: set[int], unsent: set[int]
) -> None:
    unsent &= held
    answer = answer_rerequest(of(missing), held=of(held), unsent=of(unsent), last_seq=50)
    again, lost = members(answer.resend), members(answer.lost)
    assert again == (missing & held) - unsent
    assert lost == missing - held
    assert answer.skip_beyond == 0


def test_a_number_that_no_device_has_blocks_nothing() -> None:
    """As somebody else sent it under this device's name."""
    for wrong in (MAX_SEQ, MAX_SEQ + 1, 2**60, 2**63 - 1):
        body: Any = {"upto": 2, "also": [[5, 6], [wrong, wrong]]}
        receipt = parse_receipt(json.dumps(body).encode())
        assert settle(receipt, sent=((1, 9),), last_seq=9) == Release(((1, 2), (5, 6)))
        asked: Any = {"missing": [[3, 4], [7, wrong - 1]]}
        missing = parse_rerequest(json.dumps(asked).encode())
        answer = answer_rerequest(missing, held=((4, 4),), unsent=(), last_seq=9)
        assert answer == Answer(resend=((4, 4),), lost=((3, 3), (7, 9)), skip_beyond=0)


def test_a_rerequest_beyond_what_was_counted_is_told_as_lost_and_skipped() -> None:
    answer = answer_rerequest(((8, 20),), held=((8, 9),), unsent=(), last_seq=9)
    assert (answer.resend, answer.lost, answer.skip_beyond) == (((8, 9),), ((10, 20),), 20)
