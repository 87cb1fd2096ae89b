"""How many devices one transaction may change, so that no tenant's settings hold it for long.
Pure."""

from __future__ import annotations

__all__ = ["Sizes"]

LONG_SECONDS, SHORT_SECONDS = 0.2, 0.1
TENANTS_MAX = 1_000  # remembered; then all begin again with the largest size


class Sizes:
    """The size of a batch, for each tenant. One that took long is followed by half as many.

    Args:
        largest: devices in a batch.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._sizes: dict[str, int] = {}

    def of(self, tenant: str) -> int:
        return self._sizes.get(tenant, self._largest)

    def took(self, tenant: str, seconds: float) -> None:
        """A batch of the tenant's devices took so long."""
        size = self.of(tenant)
        if seconds > LONG_SECONDS:
            size = max(1, size // 2)
        elif seconds < SHORT_SECONDS:
            size = min(self._largest, 2 * size)
        if size == self._largest:
            self._sizes.pop(tenant, None)
            return
        if len(self._sizes) >= TENANTS_MAX:
            self._sizes.clear()
        self._sizes[tenant] = size
