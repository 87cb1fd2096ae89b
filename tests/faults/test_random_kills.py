"""Ingest, broker and PostgreSQL killed with SIGKILL at random under load: what the broker
acknowledged to a publisher is stored exactly once.

A broker that is killed takes with it what it alone held since its queues were last saved. That
is counted and printed, and must be nothing else: see ``docs/explanation/how-ingest-works.md``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.steady import Numbers, Steady, Told, mixed_fleet, received, stored
from tests.support.waiting import wait_until

AWAY_SECONDS = 0.2, 4.0  # how long PostgreSQL stays away
# Queues are saved every second or two. A broker on a busy machine is given some more.
UNSAVED_MS = 10_000
SAVED_EVERY_MS = 4_000
READ_LATE_MS = 2_000  # what a dead broker has written is still read from the socket

# How long, how many messages a second, and the seconds between two kills.
LENGTHS = [
    pytest.param(6.0, 500.0, (0.5, 2.0), id="6s"),
    pytest.param(
        300.0, 5000.0, (2.0, 8.0), id="5min", marks=[pytest.mark.soak, pytest.mark.timeout(1200)]
    ),
]


@dataclass(slots=True)
class Kills:
    """What was killed, and when the broker was (milliseconds since 1970)."""

    counts: Counter[str] = field(default_factory=Counter)
    broker_at: list[int] = field(default_factory=list)


@contextmanager
def platform_on(store: str, where: Path) -> Iterator[tuple[Platform, Postgres | None]]:
    if store == "sqlite":
        with running_platform(where / "data") as running:
            yield running, None
        return
    with Postgres() as server:
        env = {"MOORING_DATABASE_URL": server.create_database()}
        with running_platform(where / "data", env=env) as running:
            yield running, server


def kill_at_random(
    platform: Platform,
    server: Postgres | None,
    seconds: float,
    pause: tuple[float, float],
    dice: random.Random,
) -> Kills:
    done = Kills()

    def ingest() -> None:
        os.kill(platform.pid("ingest"), signal.SIGKILL)

    def broker_pid() -> int:
        return int((platform.data_dir / "broker" / "mosquitto.pid").read_text())

    def broker_is_back() -> bool:
        with suppress(FileNotFoundError, ValueError):
            return broker_pid() not in killed
        return False

    killed: list[int] = []

    def broker() -> None:
        pid = broker_pid()
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        done.broker_at.append(time.time_ns() // 1_000_000)

    def database() -> None:
        assert server is not None
        server.crash()
        time.sleep(dice.uniform(*AWAY_SECONDS))
        server.restart()

    kinds: list[Callable[[], None]] = [ingest, broker]
    if server is not None:
        kinds.append(database)
    turns: list[Callable[[], None]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(done.counts) < len(kinds):
        time.sleep(dice.uniform(*pause))
        if not turns:  # each its turn, in an order of its own
            turns = dice.sample(kinds, len(kinds))
        kind = turns.pop()
        # It may be dead still from the last time, or its pid file not written yet.
        with suppress(ProcessLookupError, FileNotFoundError, ValueError):
            kind()
            done.counts[kind.__name__] += 1
    # The devices go on until it is there again, so that each of them has to come back.
    wait_until(broker_is_back, "a new broker", timeout=60)
    return done


def sent_once_more(kills: Kills, received: list[int]) -> int:
    """How often a new broker sent a message once more, as if for the first time: what ingest
    received between its predecessor's last save and end is not known as delivered to it.

    Args:
        received: when ingest received each copy, in order; milliseconds since 1970.
    """
    return sum(
        any(
            kill <= again and kill - SAVED_EVERY_MS <= first <= kill + READ_LATE_MS
            for kill in kills.broker_at
        )
        for first, again in pairwise(received)
    )


def queue_is_empty(platform: Platform) -> bool:
    """Whether an ingest that is connected has had nothing to store for a while."""

    def working() -> int:
        """Its process id; 0 when there is none, or it has no connection."""
        found = platform.rows(
            "SELECT pid, detail FROM processes WHERE role = 'ingest' ORDER BY started_at DESC"
            " LIMIT 1"
        )
        if not found or not json.loads(found[0][1]).get("connected"):
            return 0
        with suppress(ProcessLookupError):
            os.kill(found[0][0], 0)
            return int(found[0][0])
        return 0

    pid, before = working(), platform.counted("messages_stored")
    time.sleep(5)
    return pid != 0 and working() == pid and platform.counted("messages_stored") == before


def awaited(platform: Platform, told: list[Told], kills: Kills) -> bool:
    """Whether a message is missing that no killed broker held: an ingest that looks for the broker
    has nothing to store meanwhile, and is not done."""
    last = max(kills.broker_at, default=0)
    return any(
        at > last and number not in kept
        for one in told
        for kept in (stored(platform, one),)
        for number, at in enumerate(one.acknowledged_at)
    )


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
@pytest.mark.parametrize(("seconds", "rate", "pause"), LENGTHS)
def test_random_kills(
    tmp_path: Path, store: str, seconds: float, rate: float, pause: tuple[float, float]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with platform_on(store, tmp_path) as (platform, server):
        fleet, port = mixed_fleet(platform), platform.ports["mqtt_port"]
        how = {login.device: numbers for login, numbers in fleet}
        with Steady(fleet, port, rate=rate, output=tmp_path / "acknowledged") as steady:
            kills = kill_at_random(platform, server, seconds, pause, dice)
            told = steady.finish()
        wait_until(lambda: queue_is_empty(platform), "the queue to be stored", timeout=300)
        wait_until(lambda: not awaited(platform, told, kills), "all to be stored", timeout=60)
        acknowledged = missing = twice = oldest = 0
        for one in told:
            kept = received(platform, one)
            again = sum(len(times) - 1 for times in kept.values())
            if how[one.login.device] is Numbers.COUNT:
                twice += again
            else:  # nothing tells what it sends again from what it says again
                known = one.repeated + sum(sent_once_more(kills, times) for times in kept.values())
                assert again <= known, f"{one.login.device}: {again} stored twice"
            for number, at in enumerate(one.acknowledged_at):
                assert at, f"{one.login.device} never got an answer to {number}"
                acknowledged += 1
                if number in kept:
                    continue
                missing += 1
                ages = [kill - at for kill in kills.broker_at if kill >= at]
                assert ages, "a message is missing that no killed broker held"
                oldest = max(oldest, min(ages))
    killed = ", ".join(f"{name} {count}" for name, count in sorted(kills.counts.items()))
    print(
        f"{store}, {seconds:.0f} s, killed: {killed}; acknowledged {acknowledged:,}, sent again"
        f" {sum(one.repeated for one in told):,}, stored twice {twice}, lost with a killed broker"
        f" {missing:,} (acknowledged up to {oldest / 1000:.1f} s before its end)"
    )
    assert not twice
    assert oldest <= UNSAVED_MS
    assert {"ingest", "broker"} <= set(kills.counts)
    assert min(one.connects for one in told) > 1
