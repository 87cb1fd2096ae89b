"""The queue on disk: numbers, group commit, limits, damage, a second process, a full disk."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_device.errors import StoreUnavailable
from mooring_device.limits import CLOCK_FLOOR_MS, Limits
from mooring_device.outbox import now_ms
from mooring_device.store import RESERVE, Store
from mooring_device.tables import New, Tables


def new(text: str = "1", channel: str = "telemetry", stored_ms: int | None = None) -> New:
    rest = '"values":{"x":' + text + "}}"
    stored = now_ms() if stored_ms is None else stored_ms
    return New(stored, stored, channel, "", rest, len(rest))


def seqs(store: Store, *, urgent: bool = False) -> list[int]:
    return [h.seq for h in store.run(lambda t: t.read(1, 10**9, 10**6, urgent=urgent))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "queue.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    one = Store(path)
    yield one
    one.close()


def test_numbers_follow_each_other_over_restarts(path: Path) -> None:
    for start in (1, 4, 7):
        store = Store(path)
        assert [store.append(new()) for _ in range(3)] == [start, start + 1, start + 2]
        store.run(lambda t: t.delete(((1, 10**6),)))
        store.close()
    again = Store(path)
    assert again.last_seq == 9
    again.close()


def test_what_was_given_without_waiting_is_there_after_close(path: Path) -> None:
    store = Store(path)
    for i in range(5_000):
        store.append(new(str(i)), wait=False)
    store.close()
    again = Store(path)
    assert seqs(again) == list(range(1, 5_001))
    held = again.run(lambda t: t.read(1, 10**6, 10**6))
    assert [h.rest for h in held] == [new(str(i)).rest for i in range(5_000)]
    again.close()


def test_many_threads_share_commits_and_no_number_is_given_twice(store: Store) -> None:
    given_out: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(50):
            seq = store.append(new())
            with lock:
                given_out.append(seq or 0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given_out) == list(range(1, 401))


def test_a_job_that_fails_takes_nobody_with_it(store: Store) -> None:
    gate = threading.Event()
    store.post(lambda t: gate.wait(10))  # so that the next ones share a transaction

    def bad(tables: Tables) -> None:
        tables.put("half", "done")
        raise ZeroDivisionError("on purpose")

    store.append(new(), wait=False)
    store.post(bad)
    store.append(new(), wait=False)
    gate.set()
    store.flush()
    assert seqs(store) == [1, 2]
    assert store.run(lambda t: t.get("half")) is None
    assert store.run(lambda t: t.last_seq) == 2


def test_a_full_disk_is_told_and_the_number_is_not_used_up(store: Store) -> None:
    store.append(new())

    def limit(tables: Tables) -> None:
        (pages,) = tables._db.execute("PRAGMA page_count").fetchone()
        tables._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own "disk full"

    store.run(limit)
    big = new("9" * 60_000)
    with pytest.raises(StoreUnavailable, match="disk"):
        store.append(big)
    store.append(big, wait=False)
    with pytest.raises(StoreUnavailable):
        store.append(big)
    assert store.unstored == 1
    store.run(lambda t: t._db.execute("PRAGMA max_page_count=1000000"))
    assert store.append(new()) == 2


def test_the_oldest_go_when_it_is_full_and_are_counted(path: Path) -> None:
    store = Store(path, Limits(readings=10))
    for i in range(25):
        store.append(new(str(i)), wait=False)
    store.flush()
    assert seqs(store) == list(range(16, 26))
    assert store.held == 10
    store.close()
    again = Store(path, Limits(readings=4))
    again.flush()
    assert seqs(again) == [22, 23, 24, 25]
    assert again.run(lambda t: t.get("dropped_by_size")) == 21
    again.close()


def test_the_old_go_by_age_unless_the_clock_was_wrong(path: Path) -> None:
    store = Store(path, Limits(age_ms=60_000))
    store.append(new(stored_ms=now_ms() - 120_000), wait=False)
    store.append(new(), wait=False)
    store.flush()
    assert seqs(store) == [2]
    assert store.run(lambda t: t.get("dropped_by_age")) == 1
    store.append(new(stored_ms=CLOCK_FLOOR_MS - 1))
    assert seqs(store) == [2, 3]
    store.close()


def test_the_file_is_its_owners_alone(path: Path, store: Store) -> None:
    store.append(new())
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_second_opening_is_refused_with_a_reason(path: Path, store: Store) -> None:
    store.append(new())
    with pytest.raises(StoreUnavailable, match="in use by another process"):
        Store(path)
    assert store.append(new()) == 2


def test_a_damaged_file_is_kept_aside_and_no_number_comes_again(path: Path) -> None:
    store = Store(path)
    for _ in range(3):
        store.append(new())
    store.close()
    path.write_bytes(b"not a database at all" * 500)
    again = Store(path)
    seq = again.append(new())
    assert seq is not None
    assert 3 < seq <= 3 + RESERVE + 1
    again.close()
    assert [f.name for f in path.parent.glob("queue.db.damaged-*")]
    last = Store(path)
    assert seqs(last) == [seq]
    last.close()


def test_a_removed_file_repeats_no_number_either(path: Path) -> None:
    store = Store(path)
    for _ in range(RESERVE + 5):
        store.append(new(), wait=False)
    store.close()
    path.unlink()
    again = Store(path)
    assert (again.append(new()) or 0) > RESERVE + 5
    again.close()


def test_a_newer_file_is_not_touched(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(str(path)) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        Store(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        Store(tmp_path / "file" / "queue.db")


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store(path)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.append(new())


def test_urgent_and_telemetry_are_read_apart(store: Store) -> None:
    for channel in ("telemetry", "alert", "telemetry", "reply"):
        store.append(new(channel=channel))
    assert seqs(store) == [1, 3]
    assert seqs(store, urgent=True) == [2, 4]


def test_renumbering_keeps_the_order_and_goes_on_above(store: Store) -> None:
    for i in range(5):
        store.append(new(str(i)))
    store.run(lambda t: t.delete(((1, 1), (3, 3))))
    store.run(lambda t: t.renumber(100))
    held = store.run(lambda t: t.read(1, 10**6, 10))
    assert [h.seq for h in held] == [101, 103, 104]
    assert [h.rest for h in held] == [new(str(i)).rest for i in (1, 3, 4)]
    assert store.append(new()) == 105
    store.run(lambda t: t.delete(((1, 10**6),)))
    store.run(lambda t: t.renumber(7))
    assert store.append(new()) == 106


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.integers(1, 5), st.tuples(st.integers(1, 40), st.integers(0, 9)))))
def test_load_and_ranges_agree_with_the_rows(steps: list[object]) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    tables, alive = Tables(db), set()
    for step in steps:
        if isinstance(step, int):
            first = tables.append([new() for _ in range(step)])
            alive |= set(range(first, first + step))
        elif isinstance(step, tuple):
            last = step[0] + step[1]
            assert tables.delete(((step[0], last),)) == len(alive & set(range(step[0], last + 1)))
            alive -= set(range(step[0], last + 1))
    size = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM readings").fetchone()
    assert (tables.load.readings, tables.load.bytes) == size
    assert size[0] == len(alive)
    covered = tables.held(((1, 1000),))
    assert {n for a, b in covered for n in range(a, b + 1)} == alive
    db.close()
