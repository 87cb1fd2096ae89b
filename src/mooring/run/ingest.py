"""The ingest process: messages from the broker into the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import uvloop

from mooring.app import App
from mooring.errors import MooringError
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Subscription
from mooring.run.one_ingest import only_ingest
from mooring.run.process import collect_rarely, prepare
from mooring.run.projections import projections_of
from mooring.secrets.instance import forget_former_ingest
from mooring.sequences.worker import GapRequests
from mooring.store.processes import Heartbeat
from mooring.supervisor import ending
from mooring.supervisor.state import Policy, Restart
from mooring.supervisor.worker import Worker

__all__ = ["main"]

log = logging.getLogger(__name__)

FORMER_IDLE_SECONDS = 2.0
STOP_SECONDS = 12.0  # for a database that does not answer
SESSION_SECONDS = 7 * 24 * 3600  # how long the broker queues for an absent ingest


async def _run(app: App) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending.stopping_signals():
        loop.add_signal_handler(number, _stopped, stop)
    settings = app.settings
    link = MqttLink(
        app.endpoint(app.ingest_client_id),
        session_seconds=SESSION_SECONDS,
        window=settings.ingest_in_flight,
    )
    projections = projections_of(app)
    ingest = Ingest(
        settings=settings,
        database=app.database,
        catalogue=app.catalogue,
        link=link,
        sink=open_sink(settings, projections),
        client_id=app.ingest_client_id,
        projections=projections,
    )
    gaps = GapRequests(app.database, settings.gap_seconds, ingest.down_topic, link.publish_many)
    ingest.workers.append(Worker("gaps", gaps.run, rows=(gaps.faults,)))
    heartbeat = Heartbeat(
        app.database,
        "ingest",
        lambda: {
            "connected": link.connected,
            "dialects": ingest.followed,
            "stored": ingest.figures.stored,
            "retries": ingest.figures.retries,
            "rate": round(ingest.figures.rate, 1),
            "largest_batch": ingest.figures.largest_batch,
        },
        ingest.supervisor.report,
    )
    connected = asyncio.Event()

    def changed(now: bool) -> None:
        heartbeat.nudge()
        if now:
            connected.set()

    link.on_state = changed
    ingest.on_followed = heartbeat.nudge
    async with only_ingest(app, stop):
        heartbeat.start()
        once = Policy(Restart.ON_FAILURE)
        moving = Worker("former session", lambda: _empty_former(app, connected), once)
        await ingest.supervisor.start([moving])
        try:
            await ingest.run(stop)
        finally:
            heartbeat.stop()


async def _empty_former(app: App, connected: asyncio.Event) -> None:
    """Older versions used a client id that everybody knew: what its session queued is stored,
    once the session that takes its place is subscribed."""
    former = app.instance.former_ingest_client_id
    if former is None:
        return
    await connected.wait()
    await asyncio.sleep(FORMER_IDLE_SECONDS)  # until it is subscribed, too
    projections = projections_of(app)
    ingest = Ingest(
        settings=app.settings,
        database=app.database,
        catalogue=app.catalogue,
        link=_Former(
            app.endpoint(former),
            session_seconds=SESSION_SECONDS,
            window=app.settings.ingest_in_flight,
        ),
        sink=open_sink(app.settings, projections),
        client_id=former,
        projections=projections,
    )
    try:
        moved = await ingest.empty(FORMER_IDLE_SECONDS)
    except MooringError as exc:
        log.warning("the former session of ingest was not emptied: %s", exc)
        return
    forget_former_ingest(app.settings.data_dir)
    log.info("the former session of ingest is empty: %d messages were in it", moved)


class _Former(MqttLink):
    """A session that is to be emptied: it shall get nothing new."""

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        if self._protocol is not None:
            # Not awaited: the answer comes after everything that waits.
            self._leaving = asyncio.create_task(
                self._protocol.unsubscribe([one.filter for one in subscriptions])
            )


def _stopped(stop: asyncio.Event) -> None:
    if not stop.is_set():
        stop.set()
        # A batch that was not committed is not acknowledged either: the broker has it still.
        ending.exit_within(STOP_SECONDS, 1)


def main(app: App) -> None:
    """Runs ingest until SIGTERM or SIGINT.

    Raises:
        BrokerUnavailable: the broker does not answer at the start; later it is waited for.
    """
    prepare(app.settings)
    collect_rarely()
    uvloop.run(_run(app))
