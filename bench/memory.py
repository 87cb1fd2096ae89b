"""Whether ingest's memory stays flat: full load for minutes, looked at every few seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.arena import template
from bench.contestants import ALL
from bench.contestants.mooring import SQLITE
from bench.figures import spread
from bench.ingest import fresh_ground
from bench.load import load
from bench.processes import peak_rss, rss
from tests.support.postgres import Postgres

__all__ = ["measure", "summary"]

RATE = 20_000
SAMPLE_SECONDS = 5.0
Say = Callable[[str], None]


def measure(
    *,
    minutes: float = 10.0,
    rate: float = RATE,
    every: float = SAMPLE_SECONDS,
    name: str = SQLITE.name,
    say: Say = print,
) -> dict[str, Any]:
    """Runs ingest at a steady rate and samples its resident memory.

    Args:
        minutes: how long.
        rate: messages a second.
        every: seconds between two samples.
        name: which of the contestants.
    """
    one = ALL[name]
    samples: list[float] = []
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(template())
        server = stack.enter_context(Postgres()) if one.postgresql else None
        ground = stack.enter_context(fresh_ground(one, made, server))
        running = stack.enter_context(one.open(ground))
        pid = running.pids["ingest"]
        generator = stack.enter_context(load(ground.arena, seconds=minutes * 60, rate=rate))
        begun = told = time.monotonic()
        while generator.running:
            time.sleep(min(every, 1.0) if time.monotonic() - begun < every else every)
            now = rss(pid)
            if now is not None:
                samples.append(now / 1e6)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(f"{(told - begun) / 60:.0f} min: {samples[-1]:.0f} MB")
        sent = generator.result()
        deadline = time.monotonic() + 60
        while running.stored() < sent.acknowledged and time.monotonic() < deadline:
            time.sleep(0.05)
        stored = running.stored()
        if stored != sent.acknowledged:
            raise AssertionError(f"{stored} of {sent.acknowledged} messages were stored.")
        top = peak_rss(pid)
        figures = summary(samples)
        document = {
            "contestant": one.name,
            "title": one.title,
            "minutes": minutes,
            "offered": sent.rate,
            "messages": stored,
            **figures,
            "peak_mb": None if top is None else round(top / 1e6, 1),
            "samples_mb": [round(sample, 1) for sample in samples],
        }
    say(
        f"{one.title}: {stored:,} messages, resident first {figures['first_mb']} MB, median"
        f" {figures['median_mb']} MB, last {figures['last_mb']} MB, most {figures['most_mb']} MB"
    )
    return document


def summary(samples: Sequence[float]) -> dict[str, float | None]:
    """First, median, last and largest sample; ``None`` where memory cannot be seen."""
    found = spread(samples)
    if found is None:
        return dict.fromkeys(("first_mb", "median_mb", "last_mb", "most_mb"))
    return {
        "first_mb": round(samples[0], 1),
        "median_mb": round(found.median, 1),
        "last_mb": round(samples[-1], 1),
        "most_mb": round(found.most, 1),
    }
