"""One ingest for one session on the broker.

The session has one client id, and a second login with it would end the first: both would
connect in turns indefinitely. On one machine a locked file decides, which the kernel releases
when its holder dies; between machines a lease in the database.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mooring.app import App
from mooring.errors import Conflict, DatabaseUnavailable
from mooring.store.leases import LEASE_MS, Lease

__all__ = ["only_ingest"]

log = logging.getLogger(__name__)

FILE = "ingest.lock"
LOCK_SECONDS = 5.0  # one whose `mooring up` was killed ends itself within a moment
WAIT_SECONDS = 1.5 * LEASE_MS / 1000  # one that was killed keeps its lease so long
POLL_SECONDS = 0.1
RENEW_SECONDS = LEASE_MS / 1000 / 4


@asynccontextmanager
async def only_ingest(app: App, stop: asyncio.Event) -> AsyncIterator[None]:
    """For the time of the block no other ingest uses the session.

    Args:
        stop: set when another machine has taken the session over.

    Raises:
        Conflict: another ingest runs and does not end in time.
    """
    name = hashlib.sha256(app.ingest_client_id.encode()).hexdigest()[:32]
    lease = Lease(app.database, f"ingest:{name}")
    path = app.settings.data_dir / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise _runs(f"process {_read(path)}")
            await asyncio.sleep(POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        deadline = time.monotonic() + WAIT_SECONDS
        while not await asyncio.to_thread(lease.held, after_own_host=True):
            if time.monotonic() > deadline:
                host, _, rest = (await asyncio.to_thread(lease.holder)).partition(":")
                raise _runs(f"process {rest.partition(':')[0]} on {host}")
            await asyncio.sleep(POLL_SECONDS)
        renewing = asyncio.create_task(_renew(lease, stop), name="renew the lease of ingest")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            try:
                await asyncio.to_thread(lease.release)
            except DatabaseUnavailable as exc:
                log.warning("the lease of ingest will expire: %s", exc)
    finally:
        os.close(descriptor)


async def _renew(lease: Lease, stop: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            if not await asyncio.to_thread(lease.held):
                log.critical("another machine runs ingest with the same session: stopping")
                stop.set()
                return
        except DatabaseUnavailable as exc:  # nobody can take it over either
            log.warning("the lease of ingest was not renewed: %s", exc)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace").strip() or "?"


def _runs(who: str) -> Conflict:
    return Conflict(
        f"Ingest is already running, as {who}.",
        hint="`mooring up` includes ingest. Stop the other one first.",
        code="ingest_running",
    )
