"""Telling the broker to read its files again, and knowing when it has.

Mosquitto answers SIGHUP with nothing but a line in its log when it begins. A SIGHUP that comes
while it still reads is lost, so it is sent again when the line does not come. It reads in its
only thread: once it answers a CONNECT that was sent after the line, it is through.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from mooring.broker.connection import Endpoint, answers
from mooring.broker.log import LogKind, parse_line
from mooring.broker.reload import Reload
from mooring.broker.tail import LogTail
from mooring.errors import BrokerUnavailable

__all__ = ["reload_and_wait"]

ATTEMPTS = 6
ATTEMPT_SECONDS = 5.0
"""20,000 users and 15,000 connected clients keep a reload busy for 1.3 s."""

POLL_SECONDS = 0.02


async def reload_and_wait(signal: Reload, log: Path, endpoint: Endpoint) -> None:
    """Returns when the broker has read files that were in place at the call.

    Nobody may start or stop it meanwhile: a SIGHUP before it is ready for one ends it.

    Args:
        signal: sends the SIGHUP.
        log: where the broker writes its log.
        endpoint: where it answers.

    Raises:
        BrokerUnavailable: it does not run, or does not reload.
    """
    tail = LogTail(log)
    try:
        for _ in range(ATTEMPTS):
            await signal()
            if await _began(tail):
                break
        else:
            raise BrokerUnavailable(
                f"The broker did not reload within {ATTEMPTS * ATTEMPT_SECONDS:g} s.",
                hint=f"See its log, {log}.",
                code="broker_not_reloaded",
            )
    finally:
        tail.close()
    if not await answers(endpoint, within=ATTEMPTS * ATTEMPT_SECONDS):
        raise BrokerUnavailable(
            "The broker does not answer after a reload.",
            hint=f"See its log, {log}.",
            code="broker_not_reloaded",
        )


async def _began(tail: LogTail) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ATTEMPT_SECONDS
    while loop.time() < deadline:
        for line in await asyncio.to_thread(tail.read):
            event = parse_line(line)
            if event is not None and event.kind is LogKind.RELOADED:
                return True
        await asyncio.sleep(POLL_SECONDS)
    return False
