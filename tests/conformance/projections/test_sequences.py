"""The gap ledger: what a receipt may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.sequences.numbers import Numbers, unpack_ranges
from mooring.store.engine import Database
from mooring.store.schema import sequences
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import Desk, packet, registered

READING, EVENT, RECEIPT = (f"mooring/acme/a/{word}" for word in ("telemetry", "event", "receipt"))


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk(*registered())


def numbers(database: Database, device: int = 1) -> Numbers:
    c = sequences.c
    with database.read() as connection:
        row = connection.execute(
            sa.select(c.upto, c.above, c.lost).where(c.device_id == device)
        ).one()
    return Numbers(row.upto, unpack_ranges(row.above), row.lost)


def reading(*seqs: int) -> list[Any]:
    return [packet(READING, {"seq": n, "values": {}}) for n in seqs]


def receipts(done: Any) -> dict[str, Any]:
    return {effect.topic: json.loads(effect.payload) for effect in done.effects}


def test_grows_with_each_batch(database: Database, desk: Desk) -> None:
    assert receipts(desk.batch(reading(1, 2, 5))) == {RECEIPT: {"upto": 2, "also": [[5, 5]]}}
    other = packet("mooring/rival/b/telemetry", {"seq": 7, "values": {}})
    assert receipts(desk.batch([*reading(4, 3), other])) == {
        RECEIPT: {"upto": 5},
        "mooring/rival/b/receipt": {"upto": 0, "also": [[7, 7]]},
    }
    assert numbers(database) == Numbers(5)
    assert numbers(database, 2) == Numbers(0, ((7, 7),))


def test_a_repetition_is_answered_again(desk: Desk) -> None:
    for _ in range(2):
        assert receipts(desk.batch(reading(1))) == {RECEIPT: {"upto": 1}}


def test_what_cannot_be_stored_need_not_come_again(database: Database, desk: Desk) -> None:
    desk.batch([packet(READING, b'{"seq":1,"values":{"a":1e999}}'), *reading(2)])
    assert numbers(database) == Numbers(2)


def test_what_a_device_gave_up_closes_the_gap(database: Database, desk: Desk) -> None:
    desk.batch(reading(1, 9))
    lost = packet(EVENT, {"event": "lost", "lost": [[2, 8], "x", [9, 2]]})
    assert receipts(desk.batch([lost])) == {RECEIPT: {"upto": 9}}
    assert numbers(database) == Numbers(9, (), 7)


def test_a_device_that_does_not_count_gets_no_receipt(desk: Desk) -> None:
    assert desk.batch([packet(READING, {"values": {}}), packet(EVENT, {"lost": "x"})]).effects == ()
