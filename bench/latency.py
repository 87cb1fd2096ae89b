"""From publish to committed: how long until a message cannot be lost any more.

Ingest runs in this process, as ``mooring ingest`` runs it, on a real broker and the real
database; its sink is wrapped so that the moment after each commit is noted. A message begins
when the generator makes it (a microsecond written into the payload): its own send buffer and
the broker count.
"""

from __future__ import annotations

import asyncio
import os
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import uvloop

from bench.arena import Template, arena, template
from bench.disk import sync_delays
from bench.figures import shares
from bench.generator import STAMP
from bench.load import load
from mooring.app import App, open_app
from mooring.ingest.plan import Plan
from mooring.ingest.service import Ingest
from mooring.ingest.sink import Committed, Sink
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.run.ingest import SESSION_SECONDS
from mooring.run.projections import projections_of
from tests.support.postgres import Postgres

__all__ = ["Noting", "delays", "measure"]

RATES = (400, 5000)
BLOCK = 0.001  # seconds between two writes of the generator: devices do not speak in chorus
START_SECONDS, END_SECONDS = 2.0, 60.0  # to subscribe, and to commit what is left
WARM_SECONDS = 1.0  # at the beginning, not counted
Say = Callable[[str], None]


class Noting:
    """A sink that notes for each message when its commit was over."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.waits = sink.waits
        self.taken = array("q")  # microseconds since 1970 at which a message was made
        self.delays = array("q")  # microseconds from there to its commit

    def versions(self) -> tuple[int, int]:
        return self._sink.versions()

    def ledger(self, client_id: str) -> list[tuple[int, bytes]]:
        return self._sink.ledger(client_id)

    def expect(self, devices: int) -> None:
        self._sink.expect(devices)

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        done = self._sink.commit(plan, client_id, batch, forget)
        now = time.time_ns() // 1000
        made = [int(row[7][STAMP]) for row in plan.messages]
        self.taken.extend(made)
        self.delays.extend([now - at for at in made])
        return done

    def close(self) -> None:
        self._sink.close()


def measure(*, seconds: float = 10.0, say: Say = print, postgres: bool = True) -> dict[str, Any]:
    """Every rate on every database."""
    found = []
    os.sync()
    disk = sync_delays(seconds)
    say(f"the disk alone: p50 {disk['p50']:.2f} ms, p99 {disk['p99']:.2f} ms")
    with template() as made:
        found += [_one(made, "", rate, seconds, say) for rate in RATES]
        if postgres:
            with Postgres() as server:
                for rate in RATES:
                    url = server.create_database()
                    found.append(_one(made, url, rate, seconds, say))
    return {"seconds": seconds, "disk": disk, "runs": found}


def delays(taken: Sequence[int], waited: Sequence[int], *, skip_us: int) -> dict[str, float]:
    """Milliseconds: p50, p90, p99, most; without what was made in the first ``skip_us``.

    Raises:
        ValueError: nothing is left.
    """
    begin = min(taken, default=0) + skip_us
    return shares(delay / 1000 for at, delay in zip(taken, waited, strict=True) if at >= begin)


def _one(made: Template, url: str, rate: float, seconds: float, say: Say) -> dict[str, Any]:
    store = "postgres" if url else "sqlite"
    with arena(made, database_url=url or None) as where, open_app(where.settings) as app:
        sink = Noting(open_sink(app.settings, projections_of(app)))
        os.sync()  # what earlier runs have left to be written is not part of this one

        def generate() -> tuple[int, float]:
            total = WARM_SECONDS + seconds
            with load(where, seconds=total, rate=rate, block=BLOCK) as generator:
                sent = generator.result()
            return sent.acknowledged, sent.rate

        messages, offered = uvloop.run(_run(app, sink, generate))
    figures = delays(sink.taken, sink.delays, skip_us=int(WARM_SECONDS * 1e6))
    say(
        f"{store} at {offered:,.0f}/s: p50 {figures['p50']:.2f} ms, p99 {figures['p99']:.2f} ms,"
        f" most {figures['most']:.1f} ms"
    )
    return {"store": store, "rate": rate, "offered": offered, "messages": messages, **figures}


async def _run(
    app: App, sink: Noting, generate: Callable[[], tuple[int, float]]
) -> tuple[int, float]:
    """Ingest until everything that the generator sent is committed."""
    stop = asyncio.Event()
    settings = app.settings
    link = MqttLink(
        app.endpoint(app.ingest_client_id),
        session_seconds=SESSION_SECONDS,
        window=settings.ingest_in_flight,
    )
    ingest = Ingest(
        settings=settings,
        database=app.database,
        catalogue=app.catalogue,
        link=link,
        sink=sink,
        client_id=app.ingest_client_id,
        projections=projections_of(app),
    )
    running = asyncio.create_task(ingest.run(stop))
    await asyncio.wait({running}, timeout=START_SECONDS)
    if running.done():
        await running
    assert link.connected
    sent, offered = await asyncio.to_thread(generate)
    for _ in range(int(END_SECONDS / 0.02)):
        if len(sink.taken) >= sent:
            break
        await asyncio.sleep(0.02)
    stop.set()
    await running
    if len(sink.taken) < sent:
        raise AssertionError(f"{len(sink.taken)} of {sent} messages were committed.")
    return sent, offered
