"""What the rest of Mooring asks of an authority.

An *authority* makes the broker accept exactly the accounts it is given: Dynamic Security or
a password file with an access list. It knows nothing of devices or databases: it takes
``Account`` values and makes them so. Every call is idempotent, so a crash between any two
steps is fixed by calling again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from mooring.identity.account import Account

__all__ = [
    "Applied",
    "Authority",
    "Current",
    "Difference",
    "DifferenceKind",
    "SharedAuthority",
]


class DifferenceKind(StrEnum):
    MISSING = "missing"  # we have it, the broker does not
    STALE = "stale"  # the broker holds another password
    WRONG_RIGHTS = "wrong_rights"  # the broker grants more, less or other topics
    EXTRA = "extra"  # the broker has it, we do not


@dataclass(frozen=True, slots=True)
class Difference:
    kind: DifferenceKind
    username: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``put`` did beyond what it was asked.

    Attributes:
        adopted: username → verifier, where the broker made a verifier of its own from the
            secret. The caller stores it instead of the account's, in the transaction that
            settles the change; from then on ``compare`` sees no difference.
        needs_replace: accounts that are *not* in force: the broker takes passwords only in
            clear and the secret was not given, so only ``replace`` can bring the verifier.
        waiting: username → why it could not be applied yet.
    """

    adopted: Mapping[str, str] = field(default_factory=dict)
    needs_replace: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Current:
    """Some logins as the database has them now.

    Attributes:
        accounts: those the broker is to know; the others that were asked for are to be removed.
        waiting: username → why it cannot be said yet; what the broker has of it stays.
    """

    accounts: Sequence[Account] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)


class Authority(Protocol):
    """Makes a broker accept exactly the accounts the database says.

    Raises ``BrokerUnavailable`` when the broker cannot be reached; nothing else is expected.

    Attributes:
        replace_restarts: whether ``replace`` restarts a broker that runs.
    """

    replace_restarts: bool

    async def put(
        self, accounts: Sequence[Account], secrets: Mapping[str, str] | None = None
    ) -> Applied:
        """Create or change accounts; in force when it returns.

        Args:
            accounts: as they shall be.
            secrets: username → password in clear, where it is still known. An authority that
                can set verifiers does not look at it; the result is to be obeyed either way.
        """
        ...

    async def remove(self, usernames: Sequence[str]) -> None:
        """Delete accounts and end their live sessions; unknown names are not an error."""
        ...

    async def kick(self, usernames: Sequence[str]) -> None:
        """End live sessions without changing what is accepted."""
        ...

    async def usernames(self) -> set[str]:
        """Every login the broker would accept now, but for Mooring's own account and those it
        is configured to ignore."""
        ...

    async def compare(self, accounts: Iterable[Account]) -> list[Difference]:
        """What differs from exactly these accounts."""
        ...

    def only_by_replace(
        self, accounts: Iterable[Account], found: Iterable[Difference]
    ) -> tuple[str, ...]:
        """Whose password ``put`` could not bring into force without its secret.

        Args:
            accounts: as they shall be.
            found: what ``compare`` said of them.
        """
        ...

    async def replace(self, accounts: Sequence[Account]) -> None:
        """Make it exactly these accounts, in one step; may restart the broker."""
        ...


@runtime_checkable
class SharedAuthority(Authority, Protocol):
    """An authority that several processes may change at the same time.

    What one of them has read from the database may be older than what another has written.
    So each reads while it alone may write: the last to write has read last.
    """

    async def refresh(
        self,
        usernames: Sequence[str],
        read: Callable[[Sequence[str]], Current],
        *,
        kicks: Sequence[str] = (),
    ) -> Applied:
        """Make these logins as ``read`` says, and end the sessions of ``kicks``; in force when
        it returns.

        Args:
            read: called in a thread, as often as it takes, while nobody else may write.
        """
        ...

    async def differing(
        self, usernames: Sequence[str], read: Callable[[Sequence[str]], Current]
    ) -> list[Difference]:
        """Which of these logins differ now; changes nothing."""
        ...

    async def renew(self, read: Callable[[], Iterable[Account]]) -> None:
        """As ``replace``, with accounts that are read while nobody else may write."""
        ...

    async def stamp(self) -> tuple[object, ...] | None:
        """Equal to an earlier one: no account has changed since; ``None``: not known."""
        ...

    async def close(self) -> None:
        """Gives file and connection back."""
        ...
