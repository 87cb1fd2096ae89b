"""How many more open downlinks a tenant may have, without counting its rows for each new one."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["COUNT_EACH", "RECOUNT_SECONDS", "TenantRoom"]

COUNT_EACH = 1_000
"""Up to this limit a count is cheap: the open ones are counted each time."""

RECOUNT_SECONDS = 5.0
"""A tenant that has no room left is counted again after this long."""

BELIEVED_SECONDS = 60.0  # other processes write downlinks, too


class TenantRoom:
    """The room of each tenant as of the last count, less what was taken since.

    A count costs as much as the tenant has open downlinks, within a write transaction. Were it
    made for each new one, a tenant with many would delay everybody's writes.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, tuple[int, float]] = {}

    def take(self, tenant: str, most: int, count: Callable[[], int], number: int = 1) -> int:
        """How many more the tenant may have, at most ``number``; it has that many less to come.

        Args:
            most: the limit.
            count: the number of its open ones, at most ``most``.
        """
        if most <= COUNT_EACH:
            return max(0, min(number, most - count()))
        now = self._clock()
        left, at = self._left.get(tenant, (0, float("-inf")))
        if now - at >= (BELIEVED_SECONDS if left else RECOUNT_SECONDS):
            left, at = most - count(), now
        taken = max(0, min(number, left))
        self._left[tenant] = (left - taken, at)
        return taken
