"""Ends passwords that devices got for tokens."""

from __future__ import annotations

import asyncio

from mooring.clock import now_ms
from mooring.credentials.tokens.service import AT_ONCE, end_expired
from mooring.store.engine import Database

__all__ = ["LOOK_SECONDS", "run"]

LOOK_SECONDS = 10.0


async def run(database: Database) -> None:
    """Until it is cancelled. Several may run: a password ends once."""
    while True:
        while await asyncio.to_thread(end_expired, database, now_ms()) == AT_ONCE:
            pass
        await asyncio.sleep(LOOK_SECONDS)
