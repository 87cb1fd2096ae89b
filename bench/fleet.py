"""A fleet: thousands of devices that send in turn, into an empty store and into a filled one.

The same alternating rounds hold ``mosquitto_sub``, which stores nothing, and Mooring on each of
its databases. Each run says how much of a core the broker, ingest, the database and the
generator used, and how many bytes were written to disk for a message. See ``bench.filling``
for the rows of a filled store.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench.arena import Template, template
from bench.bottleneck import bottleneck
from bench.contestants import ALL, Contestant, Ground
from bench.contestants.mosquitto_sub import MOSQUITTO_SUB
from bench.figures import ratios, spreads
from bench.filling import fill
from bench.ingest import Round, fresh_ground, run_on
from tests.support.postgres import Postgres

__all__ = ["STORES", "measure"]

Say = Callable[[str], None]

STORES = ("sqlite", "postgres")
USUAL = {"mosquitto_sub": 60_000, "sqlite": 20_000, "postgres": 20_000}  # messages/s, about
WHO = ("broker", "ingest", "database", "generator")


@dataclass(frozen=True, slots=True)
class _Case:
    """Who takes the messages, and on what ground.

    Attributes:
        one: who.
        rows: that are stored before.
        ground: a ground for one run, with as many messages as are to come.
    """

    one: Contestant
    rows: int
    ground: Callable[[int], AbstractContextManager[Ground]]


def measure(
    *,
    devices: int = 10_000,
    rows: int = 2_000_000,
    rounds: int = 3,
    seconds: float = 5.0,
    stores: Sequence[str] = STORES,
    shuffled: bool = False,
    say: Say = print,
) -> dict[str, Any]:
    """Everything ``python -m bench fleet`` prints.

    Args:
        devices: that send in turn.
        rows: messages stored before, in the filled stores; 0: only empty ones.
        rounds: how often; each round holds every case.
        seconds: how long a run takes, about.
        stores: which of ``STORES``.
        shuffled: whether devices send in another order than that of their numbers.
        say: is told what happens.
    """
    MOSQUITTO_SUB.prepare()
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(template(devices=devices, shuffled=shuffled))
        server = stack.enter_context(Postgres()) if "postgres" in stores else None
        cases = [_Case(MOSQUITTO_SUB, 0, partial(_fresh, MOSQUITTO_SUB, made, None, say=None))]
        for name in stores:
            one = ALL[name]
            cases.append(_Case(one, 0, partial(_fresh, one, made, server, say=say)))
            if rows:
                ground = stack.enter_context(fresh_ground(one, made, server))
                fill(ground.arena, devices=devices, rows=rows, say=say)
                cases.append(_Case(one, rows, partial(_same, ground)))
        found: list[list[Round]] = [[] for _ in cases]
        for number in range(rounds):
            order = list(zip(cases, found, strict=True))
            for case, runs in order if number % 2 == 0 else reversed(order):
                with case.ground(int(USUAL[case.one.name] * seconds)) as ground:
                    runs.append(run_on(case.one, ground))
                say(f"round {number + 1}: {_line(case, runs[-1])}")
    cores = os.cpu_count() or 1
    return {
        "devices": devices,
        "rows": rows,
        "rounds": rounds,
        "seconds": seconds,
        "shuffled": shuffled,
        "cores": cores,
        "cases": [
            _document(case, runs, found[0], cores) for case, runs in zip(cases, found, strict=True)
        ],
    }


@contextlib.contextmanager
def _fresh(
    one: Contestant, made: Template, server: Postgres | None, count: int, *, say: Say | None
) -> Iterator[Ground]:
    """An installation of its own, with a newest reading and a state of each device."""
    with fresh_ground(one, made, server, count=count) as ground:
        if say is not None:
            fill(ground.arena, devices=made.devices, rows=0, say=say)
        yield ground


@contextlib.contextmanager
def _same(ground: Ground, count: int) -> Iterator[Ground]:
    """The filled installation again; it grows a little with each round."""
    yield replace(ground, count=count, filled=True)


def _line(case: _Case, run: Mapping[str, float | None]) -> str:
    text = f"{case.one.title}, {case.rows:,} rows: {run['rate']:,.0f} messages/s"
    if run.get("written") is not None:
        text += f", {run['written']:,.0f} B written a message"
    return text


def _document(
    case: _Case, runs: Sequence[Round], limit: Sequence[Round], cores: int
) -> dict[str, Any]:
    found = spreads(runs)
    ratio = ratios([run["rate"] for run in runs], [run["rate"] for run in limit])
    shares = {who: found[f"{who}_share"].median for who in WHO if f"{who}_share" in found}
    return {
        "name": case.one.name,
        "title": case.one.title,
        "rows": case.rows,
        "figures": {name: one.document() for name, one in found.items()},
        "ratio": None if ratio is None else ratio.document(),
        "bottleneck": bottleneck(shares, cores) if shares else "not visible here",
        "rounds": list(runs),
    }
