"""What every sink does: the same suite on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.ingest.ledger import pack
from mooring.ingest.plan import Plan
from mooring.ingest.sink import Committed, Sink
from mooring.store.engine import Database
from mooring.store.schema import (
    counters,
    dead_letters,
    ingest_ledger,
    latest,
    messages,
    rollup_queue,
    strangers,
    versions,
)
from tests.conformance.sink.conftest import OpenSink
from tests.conformance.sink.planning import (
    DAY,
    NOW,
    dead,
    plan,
    row,
    unknown_device,
    with_unknown,
)

WORD = (
    messages.c.device_id,
    messages.c.channel_id,
    messages.c.ts,
    messages.c.received_at,
    messages.c.seq,
    messages.c.time_source,
    messages.c.fingerprint,
    messages.c.payload,
)


def stored(database: Database) -> list[tuple[Any, ...]]:
    """The messages, in the order they were stored in."""
    with database.read() as connection:
        return [tuple(r) for r in connection.execute(sa.select(*WORD).order_by(messages.c.id))]


def all_of(database: Database, *columns: Any) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        statement = sa.select(*columns).order_by(*columns)
        return [tuple(r) for r in connection.execute(statement)]


def counted(database: Database) -> dict[str, int]:
    return dict(all_of(database, counters.c.name, counters.c.value))  # type: ignore[arg-type]


class TestMessages:
    @pytest.mark.parametrize("many", [1, 31, 32, 700], ids=lambda n: f"{n}-rows")
    def test_stored_as_planned_and_in_order(
        self, database: Database, sink: Sink, many: int
    ) -> None:
        rows = [
            row(
                n % 7,
                n % 3,
                NOW + n,
                received_at=NOW + n + 5,
                seq=n if n % 2 else None,
                source=n % 3,
                payload=json.dumps({"n": n, "word": 'Übung "\\{},NULL 温度 🌡', "none": None}),
            )
            for n in range(many)
        ]
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(many, 0)
        assert stored(database) == rows

    @pytest.mark.parametrize("many", [3, 100], ids=["few", "many"])
    def test_the_same_again_is_a_duplicate(self, database: Database, sink: Sink, many: int) -> None:
        rows = [row(ts=NOW + n, fingerprint=7) for n in range(many)]
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(many, 0)
        again = [*rows[1:], row(ts=NOW, fingerprint=8)]
        assert sink.commit(plan(again), "c", 2, 0) == Committed(1, many - 1)
        assert len(stored(database)) == many + 1
        # And the way of a batch without repetitions is found back to.
        fresh = [row(ts=NOW + DAY + n) for n in range(many)]
        assert sink.commit(plan(fresh), "c", 3, 0) == Committed(many, 0)
        assert sink.commit(plan(rows), "c", 4, 0) == Committed(0, many)
        assert len(stored(database)) == 2 * many + 1

    @pytest.mark.parametrize("many", [0, 100], ids=["few", "many"])
    def test_twice_in_one_batch(self, database: Database, sink: Sink, many: int) -> None:
        others = [row(2, ts=NOW + n) for n in range(many)]
        twice = row(fingerprint=1)
        assert sink.commit(plan([twice, *others, twice]), "c", 1, 0) == Committed(many + 1, 1)
        assert len(stored(database)) == many + 1

    def test_another_device_time_or_payload_is_another_message(
        self, database: Database, sink: Sink
    ) -> None:
        rows = [
            row(1, ts=NOW, fingerprint=1),
            row(2, ts=NOW, fingerprint=1),
            row(1, ts=NOW + 1, fingerprint=1),
            row(1, ts=NOW, fingerprint=2),
        ]
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(4, 0)

    @pytest.mark.parametrize("source", [1, 2], ids=["no-time", "implausible-time"])
    @pytest.mark.parametrize("many", [0, 100], ids=["few", "many"])
    def test_a_number_without_a_clock(
        self, database: Database, sink: Sink, source: int, many: int
    ) -> None:
        """Received again at another time: the sequence number tells that it is the same, for a
        day. After that the device means it."""
        at = NOW + DAY - 1
        first = row(seq=41, source=source, fingerprint=9, ts=NOW)
        assert sink.commit(plan([first]), "c", 1, 0) == Committed(1, 0)
        later = row(seq=41, source=source, fingerprint=9, ts=at, received_at=at)
        others = [row(2, seq=n, source=source, ts=at, received_at=at) for n in range(many)]
        assert sink.commit(plan([later, *others]), "c", 2, 0) == Committed(many, 1)
        counted_on = row(seq=42, source=source, fingerprint=9, ts=at, received_at=at)
        reset = row(seq=41, source=source, fingerprint=10, ts=at, received_at=at)
        assert sink.commit(plan([counted_on, reset]), "c", 3, 0) == Committed(2, 0)
        again = [
            row(seq=41, source=source, fingerprint=9, ts=ts, received_at=ts)
            for ts in (NOW + DAY + 1, NOW + DAY + 2)
        ]
        assert sink.commit(plan(again), "c", 4, 0) == Committed(1, 1)
        kept = [r[2] for r in stored(database) if r[0] == 1]
        assert kept == [NOW, at, at, NOW + DAY + 1]

    def test_a_number_twice_in_one_batch_without_a_clock(
        self, database: Database, sink: Sink
    ) -> None:
        rows = [row(seq=1, source=1, fingerprint=1, ts=NOW + n) for n in range(3)]
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(1, 2)
        assert stored(database) == rows[:1]

    def test_numbers_beside_a_repetition_are_kept(self, database: Database, sink: Sink) -> None:
        """Whatever way a batch takes when one of its messages is there already."""
        counting = [row(1, seq=n, source=1, fingerprint=n, ts=NOW) for n in range(40)]
        twice = row(2, fingerprint=1)
        assert sink.commit(plan([*counting, twice, twice]), "c", 1, 0) == Committed(41, 1)
        again = [row(1, seq=n, source=1, fingerprint=n, ts=NOW + 1) for n in range(40)]
        assert sink.commit(plan(again), "c", 2, 0) == Committed(0, 40)

    def test_a_number_with_a_clock_does_not_count(self, sink: Sink) -> None:
        """The device's own time tells more: a counter that started anew is no repetition."""
        rows = [row(seq=1, source=0, fingerprint=1, ts=NOW + n) for n in range(3)]
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(3, 0)

    def test_numbers_of_deleted_messages_are_free(self, database: Database, sink: Sink) -> None:
        """Retention forgets a message whole."""
        assert sink.commit(plan([row(seq=1, source=1, fingerprint=1)]), "c", 1, 0).stored == 1
        with database.write() as connection:
            connection.execute(sa.delete(messages))
            connection.execute(sa.delete(rollup_queue))
        later = row(seq=1, source=1, fingerprint=1, ts=NOW + 1)
        assert sink.commit(plan([later]), "c", 2, 0) == Committed(1, 0)

    def test_times_from_1970_to_tomorrow(self, database: Database, sink: Sink) -> None:
        """Ten years of slow clocks, and one that is fast."""
        rows = [
            row(ts=ts) for ts in (0, 1_420_070_400_000, *range(NOW - 3650 * DAY, NOW, 30 * DAY))
        ]
        rows.append(row(ts=NOW + 400 * DAY))
        assert sink.commit(plan(rows), "c", 1, 0) == Committed(len(rows), 0)
        assert stored(database) == rows

    def test_two_sinks_one_database(self, database: Database, open_sink: OpenSink) -> None:
        one, other = open_sink(), open_sink()
        rows = [row(ts=NOW + n, fingerprint=5) for n in range(50)]
        assert one.commit(plan(rows), "one", 1, 0) == Committed(50, 0)
        assert other.commit(plan(rows[25:]), "other", 1, 0) == Committed(0, 25)
        assert one.commit(plan([row()]), "one", 2, 0) == Committed(1, 0)
        assert len(stored(database)) == 51


class TestLatest:
    COLUMNS = (latest.c.device_id, latest.c.channel_id, latest.c.ts, latest.c.payload)

    def test_never_goes_back(self, database: Database, sink: Sink) -> None:
        for number, (ts, payload) in enumerate(
            [(NOW, "a"), (NOW - 1, "late"), (NOW, "the same time, later"), (NOW - DAY, "late")]
        ):
            sink.commit(plan([row(ts=ts, payload=payload)]), "c", number, 0)
        assert all_of(database, *self.COLUMNS) == [(1, 1, NOW, "the same time, later")]
        sink.commit(plan([row(ts=NOW + 1, payload="b")]), "c", 9, 0)
        assert all_of(database, *self.COLUMNS) == [(1, 1, NOW + 1, "b")]

    def test_a_time_of_arrival_says_nothing_against_a_devices_clock(
        self, database: Database, sink: Sink
    ) -> None:
        """A Last Will has no time of its own; the device's clock is ten seconds behind."""
        for number, (ts, source, payload) in enumerate(
            [(NOW, 1, "offline"), (NOW - 8000, 0, "online"), (NOW - 9000, 0, "late")]
        ):
            one = row(ts=ts, source=source, received_at=NOW + number, payload=payload)
            sink.commit(plan([one]), "c", number, 0)
        assert all_of(database, *self.COLUMNS) == [(1, 1, NOW - 8000, "online")]
        gone = row(ts=NOW + 3, source=1, received_at=NOW + 3, payload="offline")
        sink.commit(plan([gone]), "c", 9, 0)
        assert all_of(database, *self.COLUMNS) == [(1, 1, NOW + 3, "offline")]

    def test_a_clock_that_is_ahead_does_not_keep_the_place(
        self, database: Database, sink: Sink
    ) -> None:
        """One reading dated almost a day ahead, then right ones, then a late one."""
        for number, (ts, payload) in enumerate(
            [
                (NOW + DAY - 1, "ahead"),
                (NOW + 1000, "right"),
                (NOW + DAY, "ahead again"),
                (NOW + 2000, "right again"),
                (NOW - DAY, "late"),
            ]
        ):
            one = row(ts=ts, received_at=NOW + number * 1000, payload=payload)
            sink.commit(plan([one]), "c", number, 0)
        assert all_of(database, *self.COLUMNS) == [(1, 1, NOW + 2000, "right again")]

    def test_two_topics_of_one_channel(self, database: Database, sink: Sink) -> None:
        """Routes are told apart by topic; the newest of them all counts."""
        one = plan([row(ts=NOW + 2, payload="newest")])
        one.newest |= plan([row(ts=NOW + 1, payload="older")]).newest
        one.newest |= plan([row(2, ts=NOW, payload="another")]).newest
        sink.commit(one, "c", 1, 0)
        assert all_of(database, *self.COLUMNS) == [
            (1, 1, NOW + 2, "newest"),
            (2, 1, NOW, "another"),
        ]


class TestDeadLettersAndUnknownDevices:
    def test_kept_as_they_came(self, database: Database, sink: Sink) -> None:
        letters = [dead(1), dead(2, topic="a\0b", tenant="home"), dead(3, tenant="x" * 1000)]
        sink.commit(Plan(dead=letters), "c", 1, 0)
        c = dead_letters.c
        found = all_of(database, c.received_at, c.reason, c.detail, c.size, c.payload)
        assert found == [(d.received_at, d.reason, d.detail, d.size, d.payload) for d in letters]
        assert counted(database)["dead_letters"] == 3

    def test_the_oldest_go_first(self, database: Database, open_sink: OpenSink) -> None:
        sink = open_sink(dead_letters_max=5)
        for batch in range(4):
            sink.commit(Plan(dead=[dead(batch * 3 + n) for n in range(3)]), "c", batch, 0)
        kept = [r[0] - NOW for r in all_of(database, dead_letters.c.received_at)]
        assert kept == [7, 8, 9, 10, 11]

    def test_unknown_devices_are_counted(self, database: Database, sink: Sink) -> None:
        sink.commit(with_unknown(unknown_device("a", 2), unknown_device("b")), "c", 1, 0)
        sink.commit(with_unknown(unknown_device("a", 3, at=NOW + 5)), "c", 2, 0)
        c = strangers.c
        assert all_of(database, c.name, c.first_seen_at, c.last_seen_at, c.messages) == [
            ("a", NOW, NOW + 5, 5),
            ("b", NOW, NOW, 1),
        ]

    def test_only_so_many_unknown_devices(self, database: Database, open_sink: OpenSink) -> None:
        sink = open_sink(strangers_max=3)
        sink.commit(with_unknown(unknown_device("b"), unknown_device("a")), "c", 1, 0)
        sink.commit(
            with_unknown(
                unknown_device("z"), unknown_device("c"), unknown_device("a"), unknown_device("d")
            ),
            "c",
            2,
            0,
        )
        assert all_of(database, strangers.c.name, strangers.c.messages) == [
            ("a", 2),
            ("b", 1),
            ("z", 1),
        ]

    def test_a_name_that_no_device_can_have(self, database: Database, sink: Sink) -> None:
        """It must not stop the batch; whether it is listed is the engine's own affair."""
        sink.commit(with_unknown(unknown_device("x" * 60_000), unknown_device("\0")), "c", 1, 0)
        assert len(all_of(database, dead_letters.c.id)) == 2


class TestBookkeeping:
    def test_ledger(self, database: Database, sink: Sink) -> None:
        entries = [(1, 0xFFFF_FFFF), (65_535, 0)]
        sink.commit(plan([row()], packets=entries), "c", 4, 0)
        sink.commit(plan([row()], packets=entries[:1]), "c", 5, 0)
        sink.commit(plan([row()], packets=entries), "another", 1, 0)
        sink.commit(plan([row()]), "c", 6, 0)  # nothing to acknowledge: no entry
        assert sink.ledger("c") == [(4, pack(entries)), (5, pack(entries[:1]))]
        sink.commit(plan([row()], packets=entries), "c", 7, 4)
        assert [batch for batch, _ in sink.ledger("c")] == [5, 7]
        assert len(all_of(database, ingest_ledger.c.batch)) == 3
        assert sink.ledger("nobody") == []

    def test_counters(self, database: Database, sink: Sink) -> None:
        first = plan([row(fingerprint=1), row(fingerprint=1)])
        first.repeated, first.not_numbers = 4, 3
        sink.commit(first, "c", 1, 0)
        sink.commit(plan([row(fingerprint=1), row()]), "c", 2, 0)
        assert counted(database) == {
            "batches": 2,
            "messages_stored": 2,
            "messages_duplicate": 4 + 1 + 1,
            "not_numbers": 3,
        }

    def test_versions(self, database: Database, sink: Sink) -> None:
        assert sink.versions() == (0, 0)
        with database.write() as connection:
            connection.execute(
                sa.insert(versions),
                [{"name": "devices", "value": 3}, {"name": "dialects", "value": 4}],
            )
        assert sink.versions() == (3, 4)

    def test_an_empty_plan(self, database: Database, sink: Sink) -> None:
        assert sink.commit(Plan(), "c", 1, 0) == Committed(0, 0)


class TestRollUpQueue:
    """Each batch says which rows it added, in ids that no other batch has."""

    @pytest.mark.parametrize("many", [3, 100], ids=["few", "many"])
    def test_spans_hold_the_rows_of_one_batch(
        self, database: Database, open_sink: OpenSink, many: int
    ) -> None:
        one, other = open_sink(), open_sink()
        batches = [
            [row(batch + 1, ts=NOW + n, fingerprint=1) for n in range(many)] for batch in range(4)
        ]
        batches[1].append(batches[0][0])  # a repetition leaves its number out
        for number, rows in enumerate(batches):
            (one, other)[number % 2].commit(plan(rows), "c", number, 0)
        one.commit(plan(batches[0]), "c", 9, 0)  # nothing new, nothing to roll up
        queue = all_of(database, *rollup_queue.c)
        assert len(queue) == 4
        found: list[int] = []
        for first, last, first_ts, last_ts, claimed in queue:
            with database.read() as connection:
                within = connection.execute(
                    sa.select(messages.c.device_id, messages.c.ts).where(
                        messages.c.id.between(first, last)
                    )
                ).all()
            assert len(within) == many
            assert (first_ts, last_ts, claimed) == (NOW, NOW + many - 1, False)
            assert {ts for _, ts in within} == set(range(NOW, NOW + many))
            found += {device for device, _ in within}
        assert sorted(found) == [1, 2, 3, 4]

    def test_numbers_of_deleted_rows_may_come_round(self, database: Database, sink: Sink) -> None:
        """SQLite gives the highest number again once its row is deleted; the roller may not
        have been there yet."""
        sink.commit(plan([row(1), row(1)]), "c", 1, 0)
        with database.write() as connection:
            connection.execute(sa.delete(messages))
        done = sink.commit(plan([row(2), row(2), row(2)]), "c", 2, 0)
        assert (done.stored, done.refused) == (3, ())
        queue = all_of(database, rollup_queue.c.first_id, rollup_queue.c.last_id)
        queued = {n for first, last in queue for n in range(first, last + 1)}
        assert {r[0] for r in all_of(database, messages.c.id)} <= queued


BAD = {
    "ts": row(3, ts=2**63),
    "text": row(3, payload="\ud800"),
    "seq": row(3, seq=2**70),
    "device": row(2**63),
}


class TestRefused:
    """A value that the database refuses costs that value alone."""

    @pytest.mark.parametrize("many", [0, 100], ids=["few", "many"])
    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_a_message_costs_that_message(
        self, database: Database, sink: Sink, bad: Any, many: int
    ) -> None:
        good = [row(2, ts=NOW + n) for n in range(many + 1)]
        rows = [*good[: many // 2], bad, *good[many // 2 :]]
        done = sink.commit(plan(rows, packets=[(1, 1)]), "c", 1, 0)
        assert (done.stored, done.duplicates, len(done.refused)) == (many + 1, 0, 1)
        assert stored(database) == good
        c = dead_letters.c
        [(reason, topic, tenant, payload)] = all_of(
            database, c.reason, c.topic, c.tenant, c.payload
        )
        assert (reason, topic, tenant) == ("not_storable", f"own/{bad[0]}/1", "default")
        assert payload in (bad[7].encode("utf-8", "surrogatepass"), b"")
        assert sink.ledger("c") == [(1, pack([(1, 1)]))]
        assert counted(database) == {
            "messages_stored": many + 1,
            "dead_letters": 1,
            "batches": 1,
        }
        # The roll-ups learn of every row.
        queue = all_of(database, rollup_queue.c.first_id, rollup_queue.c.last_id)
        ids = {n for first, last in queue for n in range(first, last + 1)}
        assert {r[0] for r in all_of(database, messages.c.id)} <= ids
        newest = all_of(database, latest.c.device_id, latest.c.ts)
        assert newest == [(2, NOW + many)]

    def test_the_next_to_newest_is_the_latest(self, database: Database, sink: Sink) -> None:
        sink.commit(plan([row(payload="good"), row(ts=NOW + 1, payload="\ud800")]), "c", 1, 0)
        assert all_of(database, latest.c.payload) == [("good",)]

    def test_repetitions_are_told_from_new_ones(self, database: Database, sink: Sink) -> None:
        rows = [row(fingerprint=1), row(seq=1, source=1, fingerprint=2), BAD["text"]]
        assert sink.commit(plan(rows), "c", 1, 0).stored == 2
        again = sink.commit(plan(rows), "c", 2, 0)
        assert (again.stored, again.duplicates, len(again.refused)) == (0, 2, 1)
        assert len(stored(database)) == 2

    def test_a_dead_letter_costs_no_message(self, database: Database, sink: Sink) -> None:
        made = plan([row(1), row(2)], packets=[(1, 1)])
        made.dead = [dead(1), dead(2, topic="\ud800"), dead(2**63)]
        assert sink.commit(made, "c", 1, 0).stored == 2
        assert [r[0] for r in all_of(database, dead_letters.c.reason)] == ["not_json"] * 3
        assert sink.ledger("c") == [(1, pack([(1, 1)]))]

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(batch=st.lists(st.sampled_from([*BAD.values(), None, None, None]), max_size=60))
    def test_wherever_they_stand(self, database: Database, sink: Sink, batch: list[Any]) -> None:
        with database.write() as connection:
            for table in (messages, latest, dead_letters):
                connection.execute(sa.delete(table))
        rows = [row(n, ts=NOW + n) if one is None else one for n, one in enumerate(batch)]
        good = [one for one in rows if one not in BAD.values()]
        done = sink.commit(plan(rows), "c", 1, 0)
        assert (done.stored, len(done.refused)) == (len(good), len(rows) - len(good))
        assert stored(database) == good
        assert len(all_of(database, dead_letters.c.id)) == len(rows) - len(good)


# What a payload decides: its sequence number and whether it has a time.
PAYLOADS = {1: (None, 0), 2: (0, 0), 3: (0, 1), 4: (0, 2), 5: (1, 1)}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.integers(1, 2), st.integers(0, 2), st.sampled_from(sorted(PAYLOADS))),
            max_size=45,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_like_a_set(
    database: Database, sink: Sink, batches: list[list[tuple[int, int, int]]]
) -> None:
    """Whatever repeats, in a batch or between batches: as if kept in two sets."""
    with database.write() as connection:
        for table in (messages, latest, rollup_queue):
            connection.execute(sa.delete(table))
    by_time: set[tuple[int, int, int]] = set()
    by_number: set[tuple[int, int, int]] = set()
    for number, batch in enumerate(batches):
        rows, new = [], 0
        for device, time, mark in batch:
            seq, source = PAYLOADS[mark]
            rows.append(row(device, ts=NOW + time, seq=seq, source=source, fingerprint=mark))
            counts = source != 0 and seq is not None
            if (device, time, mark) in by_time or (counts and (device, seq, mark) in by_number):
                continue
            new += 1
            by_time.add((device, time, mark))
            if counts and seq is not None:
                by_number.add((device, seq, mark))
        assert sink.commit(plan(rows), "c", number, 0) == Committed(new, len(rows) - new)
    assert {(r[0], r[2] - NOW, r[6]) for r in stored(database)} == by_time
