"""The ingest process: messages from the broker into the database."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from mooring.app import App
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.run.process import collect_rarely, prepare
from mooring.store.processes import Heartbeat

__all__ = ["main"]

SESSION_SECONDS = 7 * 24 * 3600  # how long the broker queues for an absent ingest


async def _run(app: App) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = app.settings
    link = MqttLink(
        app.endpoint(settings.ingest_client_id),
        session_seconds=SESSION_SECONDS,
        window=settings.ingest_in_flight,
    )
    ingest = Ingest(
        settings=settings,
        database=app.database,
        devices=app.devices,
        catalogue=app.catalogue,
        link=link,
        sink=open_sink(settings),
    )
    heartbeat = Heartbeat(
        app.database,
        "ingest",
        lambda: {
            "connected": link.connected,
            "stored": ingest.figures.stored,
            "retries": ingest.figures.retries,
            "rate": round(ingest.figures.rate, 1),
            "largest_batch": ingest.figures.largest_batch,
        },
    )
    link.on_state = lambda _connected: heartbeat.nudge()
    heartbeat.start()
    try:
        await ingest.run(stop)
    finally:
        heartbeat.stop()


def main(app: App) -> None:
    """Runs ingest until SIGTERM or SIGINT.

    Raises:
        BrokerUnavailable: the broker does not answer at the start; later it is waited for.
    """
    prepare(app.settings)
    collect_rarely()
    uvloop.run(_run(app))
