"""What the rest of Mooring asks of an authority.

An *authority* makes the broker accept exactly the accounts it is given: Dynamic Security or
a password file with an access list. It knows nothing of devices or databases: it takes
``Account`` values and makes them so. Every call is idempotent, so a crash between any two
steps is mended by calling again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = [
    "NO_QUOTA",
    "Account",
    "Applied",
    "Authority",
    "Difference",
    "DifferenceKind",
    "Quota",
    "Rights",
]


@dataclass(frozen=True, slots=True)
class Rights:
    """Topic filters an account may use; literal topics for devices.

    ``publish``: may send to; ``subscribe``: may subscribe to and receive from.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """What one account, or one tenant, may take of the broker; ``None``: no limit.

    Attributes:
        connections: at a time.
        messages: published in a second.
        bytes: of topics and payloads published in a second.
    """

    connections: int | None = None
    messages: int | None = None
    bytes: int | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Account:
    """One broker login.

    Attributes:
        username: what the device sends in CONNECT; unique on the broker.
        verifier: ``$7$iterations$salt$hash`` (PBKDF2-SHA512, as ``mosquitto_passwd`` makes
            it), or ``None`` for an account that may only come by certificate.
        rights: what it may publish and subscribe to.
        locked: it is to be refused for now. An authority that could not take the verifier
            back later keeps the account in a state in which nobody gets in with it; another
            deletes it.
        client_id: the only client id this account may use; ``None``: not fixed.
        next_verifier: a second password that is accepted as well, while the first is being
            replaced. Only an authority with ``two_passwords`` looks at it.
        certificates: serial numbers, as the ledger has them, of the certificates that may log
            in as this account. The same authority alone looks at them and at what follows.
        tenant: whose limits it shares; empty: nobody's.
        quota: what it may take of the broker.
        tenant_quota: what all accounts of its tenant may take together.
        values: words of its own that appear in its topics. Accounts whose topics differ in
            these words only share one set of rights.
    """

    username: str
    verifier: str | None
    rights: Rights
    locked: bool = False
    client_id: str | None = None
    next_verifier: str | None = None
    certificates: tuple[str, ...] = ()
    tenant: str = ""
    values: tuple[str, ...] = ()
    quota: Quota = NO_QUOTA
    tenant_quota: Quota = NO_QUOTA


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
            secret. The caller stores it in place of the account's, in the transaction that
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
