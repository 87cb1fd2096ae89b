"""Turns at the database: so many clients of the stream at once, and one of each tenant.

A tenant whose clients ask for very much waits for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

__all__ = ["Turns"]


class Turns:
    """Of one process.

    Args:
        most: of all tenants together.
    """

    def __init__(self, most: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._tenants: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, tenant: str | None) -> AsyncIterator[None]:
        """Waits for a turn, which lasts as long as the context.

        Args:
            tenant: of the login; ``None``: it sees all of them.
        """
        name = tenant or ""
        mine = self._tenants.get(name)
        if mine is None:
            mine = self._tenants[name] = asyncio.Lock()
        async with mine, self._all:
            yield
