"""Accounts of the broker, and what they may do there: values that every authority takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mooring.record import record

__all__ = ["NO_QUOTA", "Account", "Pattern", "Quota", "Rights", "SharedRights"]


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """Topic filters an account may use; literal topics for devices.

    ``publish``: may send to; ``subscribe``: may subscribe to and receive from.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rights):
            return NotImplemented
        return (self.publish, self.subscribe) == (other.publish, other.subscribe)

    def __hash__(self) -> int:
        return hash((self.publish, self.subscribe))


class Pattern(NamedTuple):
    """Rights that many accounts share, a filter a line.

    A character from U+0001 to U+0008 stands for the account's value of that number: its
    username, its client id, then ``Account.values``.

    Attributes:
        publish, subscribe: in the order of the dialect.
        texts: the same two, sorted: what is stored.
    """

    publish: str
    subscribe: str
    texts: tuple[str, str]


class SharedRights(Rights):
    """Rights by a pattern; written out when somebody asks for the filters.

    An authority that stores patterns never asks, so 100,000 accounts cost no filters.
    """

    __slots__ = ("pattern", "values")
    pattern: Pattern
    values: Mapping[int, str]

    def __init__(self, pattern: Pattern, values: Mapping[int, str]) -> None:
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "values", values)

    def __getattr__(self, name: str) -> tuple[str, ...]:
        """Called for a slot that has no value yet."""
        if name not in ("publish", "subscribe"):
            raise AttributeError(name)
        text: str = getattr(self.pattern, name)
        filters = text.translate(self.values).split("\n") if text else ()
        found = tuple(dict.fromkeys(filters))
        object.__setattr__(self, name, found)
        return found

    def __reduce__(self) -> tuple[type[Rights], tuple[tuple[str, ...], tuple[str, ...]]]:
        return Rights, (self.publish, self.subscribe)


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


@record
class Account:
    """One broker login.

    Attributes:
        username: what the device sends in CONNECT; unique on the broker.
        verifier: ``$7$iterations$salt$hash`` (PBKDF2-SHA512, as ``mosquitto_passwd`` makes
            it), or ``None`` for an account that may only come by certificate.
        rights: what it may publish and subscribe to.
        locked: it is to be rejected for now. An authority that could not take the verifier
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
