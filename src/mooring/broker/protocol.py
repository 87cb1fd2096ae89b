"""What the rest of Mooring asks of an authority.

An *authority* makes the broker accept exactly the accounts it is given: Dynamic Security or
a password file with an access list. It knows nothing of devices or databases: it takes
``Account`` values and makes them so. Every call is idempotent, so a crash between any two
steps is fixed by calling again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mooring.identity.account import Account

__all__ = [
    "Applied",
    "Authority",
    "Difference",
    "DifferenceKind",
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
    """

    adopted: Mapping[str, str] = field(default_factory=dict)
    needs_replace: tuple[str, ...] = ()


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
        """Delete accounts and end their live sessions; unknown names are no error."""
        ...

    async def kick(self, usernames: Sequence[str]) -> None:
        """End live sessions without changing what is accepted."""
        ...

    async def usernames(self) -> set[str]:
        """Every login the broker would accept now, but for Mooring's own account and those it
        was told to leave alone."""
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
