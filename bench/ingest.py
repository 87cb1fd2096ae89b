"""Sustained rates side by side: everybody takes the same messages from a broker of his own.

A run: a fresh broker with Mooring's configuration, the contestant subscribed, twenty devices
that publish as fast as the broker acknowledges, until everything is committed. The rate is
messages by the time from the first publish to the last commit. Every contestant gets as many
messages as it takes about the same time for. Rounds alternate the order; ratios are taken
within a round.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.arena import Template, arena, template
from bench.contestants import ALL, Contestant, Ground, NotHere, Running
from bench.figures import ratios, spreads
from bench.load import SIZE, Sent, load
from bench.processes import Usage, peak_rss, written
from tests.support.postgres import Postgres

__all__ = ["Round", "fresh_ground", "keeping_up", "measure", "run_on", "run_once", "side_by_side"]

POLL_SECONDS = 0.02
STUCK_SECONDS = 60.0  # without a further commit
KEEP_UP_RATE = 20_000
Round = dict[str, float | None]
Say = Callable[[str], None]


def side_by_side(names: Sequence[str], *, rounds: int, seconds: float, say: Say) -> dict[str, Any]:
    """Runs every contestant in every round.

    Args:
        names: of the contestants.
        rounds: how often.
        seconds: how long a run is to take, about.
        say: is told what happens.

    Returns:
        The document that ``bench.report`` shows.
    """
    absent = _absent(names)
    here = [ALL[name] for name in names if name not in absent]
    found: dict[str, list[Round]] = {one.name: [] for one in here}
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(template())
        server = None
        if any(one.postgresql for one in here):
            server = stack.enter_context(Postgres())
        for number in range(rounds):
            for one in here if number % 2 == 0 else reversed(here):
                figures = run_once(one, made, server, count=int(one.usual * seconds))
                found[one.name].append(figures)
                say(f"round {number + 1}: {one.title}: {figures['rate']:,.0f} messages/s")
    return {
        "rounds": rounds,
        "seconds": seconds,
        "size": SIZE,
        "contestants": [
            _document(ALL[name], found.get(name, []), absent.get(name)) for name in names
        ],
        "ratios": _ratios(found),
    }


def keeping_up(
    names: Sequence[str], *, seconds: float, say: Say, rate: float = KEEP_UP_RATE
) -> dict[str, Any]:
    """Whether Mooring keeps up with a steady rate: what waits at its end, and for how long."""
    found: dict[str, Round] = {}
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(template())
        server = None
        if any(ALL[name].postgresql for name in names):
            server = stack.enter_context(Postgres())
        for name in names:
            one = ALL[name]
            figures = run_once(one, made, server, seconds=seconds, rate=rate)
            found[name] = figures
            say(
                f"{one.title}: {figures['offered']:,.0f}/s for {seconds:g} s:"
                f" {figures['backlog']:,.0f} waiting at the end,"
                f" all committed {(figures['drained_ms'] or 0):,.0f} ms later"
            )
    return {"rate": rate, "seconds": seconds, "contestants": found}


def run_once(
    one: Contestant,
    made: Template,
    server: Postgres | None,
    *,
    count: int = 0,
    seconds: float = 0,
    rate: float = 0,
) -> Round:
    """One contestant, one run."""
    with fresh_ground(one, made, server, count=count) as ground:
        return run_on(one, ground, seconds=seconds, rate=rate)


@contextmanager
def fresh_ground(
    one: Contestant, made: Template, server: Postgres | None, *, count: int = 0
) -> Iterator[Ground]:
    """A fresh installation, and an empty database on the server for who wants one there."""
    with contextlib.ExitStack() as stack:
        url = ""
        if one.postgresql:
            assert server is not None
            url = server.create_database()
            stack.callback(server.drop_database, url)
        where = stack.enter_context(arena(made, database_url=url if one.is_mooring else None))
        yield Ground(where, count, server if one.postgresql else None, url)


def run_on(
    one: Contestant, ground: Ground, *, seconds: float = 0, rate: float = 0, few: bool = False
) -> Round:
    """The same on ground that is there already."""
    with one.open(ground) as running:
        usage = Usage({"broker": ground.arena.broker.pid, **running.pids})
        size = running.size()
        before = running.stored()
        disk = _written(running)
        usage.begin()
        with load(
            ground.arena, count=ground.count, seconds=seconds, rate=rate, few=few
        ) as generator:
            watched = _watch(running, generator.result, lambda: generator.running, before)
        figures = _figures(watched, usage, running, size)
        after = _written(running)
        if disk is not None and after is not None:
            figures["written"] = (after - disk) / watched.sent.acknowledged
        if running.check is not None and not ground.filled:
            there = running.check()
            if there != watched.sent.acknowledged:
                raise AssertionError(
                    f"{there} rows are stored of {watched.sent.acknowledged} messages."
                )
        return figures


def _written(running: Running) -> int | None:
    """Bytes that everybody but the broker has written to disk: the log of the database, its
    pages, and what is written twice."""
    found = [written(pid) for pid in running.pids.values()]
    return None if None in found else sum(one for one in found if one is not None)


@dataclass(slots=True)
class _Watched:
    """What was seen of a run."""

    sent: Sent
    committed_at: float
    backlog: int
    peak: int | None


def _watch(
    running: Running, result: Callable[[], Sent], sending: Callable[[], bool], before: int
) -> _Watched:
    """Until everything that was sent is committed."""
    sent: Sent | None = None
    backlog, peak, last, moved_at = 0, None, -1, time.monotonic()
    while True:
        if sent is None and not sending():
            sent = result()
            backlog = sent.acknowledged - (running.stored() - before)
        stored, now = running.stored() - before, time.monotonic()
        peak = max(peak or 0, peak_rss(running.pids["ingest"]) or 0) or None
        if sent is not None and stored >= sent.acknowledged:
            return _Watched(sent, now, backlog, peak)
        if stored != last:
            last, moved_at = stored, now
        elif now > moved_at + STUCK_SECONDS and sent is not None:
            raise AssertionError(f"{stored} of {sent.acknowledged} messages are stored; no more.")
        time.sleep(POLL_SECONDS)


def _figures(watched: _Watched, usage: Usage, running: Running, size: int | None) -> Round:
    sent = watched.sent
    used = usage.so_far()
    messages = sent.acknowledged
    took = watched.committed_at - sent.started_at
    figures: Round = {
        "rate": messages / took,
        "offered": sent.rate,
        "messages": messages,
        "seconds": took,
        "backlog": watched.backlog,
        "drained_ms": max(0.0, watched.committed_at - sent.ended_at) * 1000,
        "generator_us": sent.cpu_seconds / messages * 1e6,
        "generator_share": sent.cpu_seconds / took,
    }
    for name, seconds in used.items():
        figures[f"{name}_us"] = None if seconds is None else seconds / messages * 1e6
        figures[f"{name}_share"] = None if seconds is None else seconds / took
    figures["peak_mb"] = None if watched.peak is None else watched.peak / 1e6
    after = running.size()
    if size is not None and after is not None:
        figures["bytes"] = (after - size) / messages
    return figures


def _absent(names: Sequence[str]) -> dict[str, str]:
    """Who cannot be measured here, and why."""
    found: dict[str, str] = {}
    for name in names:
        try:
            ALL[name].prepare()
        except NotHere as exc:
            found[name] = str(exc)
    return found


def _document(one: Contestant, rounds: list[Round], absent: str | None) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "not_here": absent,
        "figures": {name: found.document() for name, found in spreads(rounds).items()},
        "rounds": rounds,
    }


def _ratios(found: dict[str, list[Round]]) -> dict[str, dict[str, float]]:
    """Rates (and ingest's CPU) of each of ours to each of theirs: ``sqlite / node``."""
    made: dict[str, dict[str, float]] = {}
    ours = [name for name in ("sqlite", "postgres", "sqlite+keeper") if name in found]
    for mine in ours:
        for other, theirs in found.items():
            if other in ours:
                continue
            ratio = ratios(_column(found[mine], "rate"), _column(theirs, "rate"))
            if ratio is not None:
                made[f"{mine} / {other}"] = ratio.document()
    if "mosquitto_sub" in found:
        limit = _column(found["mosquitto_sub"], "ingest_us")
        for mine in ours:
            cpu = ratios(_column(found[mine], "ingest_us"), limit)
            if cpu is not None:
                made[f"CPU of {mine} / mosquitto_sub"] = cpu.document()
    return made


def _column(rounds: Sequence[Round], name: str) -> list[float | None]:
    return [one.get(name) for one in rounds]


def measure(
    *, only: Sequence[str] = (), rounds: int = 3, seconds: float = 5.0, say: Say = print
) -> dict[str, Any]:
    """Everything ``python -m bench ingest`` prints."""
    names = list(only) or list(ALL)
    document = side_by_side(names, rounds=rounds, seconds=seconds, say=say)
    steady = [name for name in ("sqlite", "postgres") if name in names]
    if steady:
        document["keeping_up"] = keeping_up(steady, seconds=2 * seconds, say=say)
    return document
