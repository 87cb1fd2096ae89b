"""Switching the broker's most talkative log level on and off as traffic allows."""

from __future__ import annotations

import asyncio
import logging
import time

from mooring.app import App
from mooring.errors import MooringError
from mooring.presence import store
from mooring.presence.attention import Attention
from mooring.wiring.broker import reload_broker, write_config
from mooring.wiring.broker_watch import BrokerWatch
from mooring.wiring.follow import Follower

__all__ = ["attend"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
LINES_A_MESSAGE = 4


async def attend(follower: Follower, watch: BrokerWatch) -> None:
    """Runs until cancelled if ``watch_denials`` is ``auto`` and only the log shows denials.

    Args:
        follower: knows the settings in force and whose turn with the broker it is.
        watch: counts the lines of log; while every packet is named, they show the rate.
    """
    if follower.app.settings.watch_denials != "auto":
        await asyncio.Event().wait()
    attention = Attention()
    seen, lines, at = await _passed(follower.app), watch.lines, time.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if follower.app.settings.authority == "plugin":
            watch.every_packet = True  # as another authority would begin with
            continue
        try:
            now = time.monotonic()
            total = await _passed(follower.app)
            rate = max(total - seen, (watch.lines - lines) / LINES_A_MESSAGE) / (now - at)
            seen, lines, at = total, watch.lines, now
            wanted = attention.decide(rate, now)
            # A broker that is not running gets it at its start.
            if wanted != watch.every_packet and follower.broker_pid is not None:
                async with follower.turn:
                    watch.every_packet = None
                    await asyncio.to_thread(write_config, follower.app, every_packet=wanted)
                    await reload_broker(follower.app)
                watch.every_packet = wanted
                log.info("rejected messages are %s", "noticed" if wanted else "not noticed")
        except MooringError as exc:
            log.warning("the broker's log level was not changed: %s", exc)


async def _passed(app: App) -> int:
    def ask() -> int:
        with app.database.read() as connection:
            return store.passed(connection)

    return await asyncio.to_thread(ask)
