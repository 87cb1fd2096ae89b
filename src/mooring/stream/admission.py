"""How many clients may listen: in all, of one tenant, of one login. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from mooring.errors import TooMany
from mooring.identity.actor import Actor

__all__ = ["RETRY_SECONDS", "Admission"]

RETRY_SECONDS = 5

K = TypeVar("K")


class Admission:
    """Of one process."""

    def __init__(self, most: int, most_of_tenant: int, most_of_login: int) -> None:
        self._most, self._most_of_tenant, self._most_of_login = most, most_of_tenant, most_of_login
        self._all = 0
        self._tenants: Counter[str | None] = Counter()
        self._logins: Counter[tuple[str, str | None]] = Counter()

    def __len__(self) -> int:
        return self._all

    def enter(self, actor: Actor) -> None:
        """Counts a client.

        Raises:
            TooMany: there are as many as there may be; the limit is in the context.
        """
        login = (actor.name, actor.tenant)
        for limit, now, most in (
            ("stream_clients_max_per_login", self._logins[login], self._most_of_login),
            ("stream_clients_max_per_tenant", self._tenants[actor.tenant], self._most_of_tenant),
            ("stream_clients_max", self._all, self._most),
        ):
            if now >= most:
                raise TooMany(
                    f"{most} clients are listening to the live stream already ({limit}).",
                    hint=f"Try again in {RETRY_SECONDS} s, or end one of them.",
                    code="stream_full",
                    retry_after=RETRY_SECONDS,
                )
        self._all += 1
        self._tenants[actor.tenant] += 1
        self._logins[login] += 1

    def leave(self, actor: Actor) -> None:
        """A client that was counted has gone."""
        self._all -= 1
        _less(self._tenants, actor.tenant)
        _less(self._logins, (actor.name, actor.tenant))


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
