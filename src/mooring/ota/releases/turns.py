"""How many long requests about files run at the same time in one serving process.

An upload takes disk space that counts for no tenant before it is complete. A check reads every
byte of a release and holds a thread while it does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mooring.errors import TooMany
from mooring.supervisor.worker import Worker

__all__ = ["CHECKS_MAX", "UPLOADS_MAX_PER_TENANT", "FileTurns"]

UPLOADS_MAX_PER_TENANT = 2
CHECKS_MAX = 4
"""Of all tenants; one of each."""
RETRY_SECONDS = 10


class FileTurns:
    """Uploads and checks that are running; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: Counter[str] = Counter()
        self._checks: set[str] = set()

    def workers(self) -> Sequence[Worker]:
        """See ``mooring.part.Resident``."""
        return ()

    async def close(self) -> None:
        """See ``mooring.part.Resident``."""

    @contextmanager
    def upload(self, tenant: str) -> Iterator[None]:
        """While a file of a tenant arrives.

        Raises:
            TooMany: ``firmware_busy``.
        """
        with self._lock:
            if self._uploads[tenant] >= UPLOADS_MAX_PER_TENANT:
                raise _busy(
                    f"{UPLOADS_MAX_PER_TENANT} uploads of the tenant {tenant} are running already."
                )
            self._uploads[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads[tenant] -= 1
                if not self._uploads[tenant]:
                    del self._uploads[tenant]

    @contextmanager
    def check(self, tenant: str) -> Iterator[None]:
        """While the files of a release are read.

        Raises:
            TooMany: ``firmware_busy``.
        """
        with self._lock:
            if tenant in self._checks:
                raise _busy(f"A release of the tenant {tenant} is being checked already.")
            if len(self._checks) >= CHECKS_MAX:
                raise _busy(f"{CHECKS_MAX} releases are being checked already.")
            self._checks.add(tenant)
        try:
            yield
        finally:
            with self._lock:
                self._checks.discard(tenant)


def _busy(text: str) -> TooMany:
    return TooMany(
        text,
        hint=f"Try again in {RETRY_SECONDS} s.",
        code="firmware_busy",
        retry_after=RETRY_SECONDS,
    )
