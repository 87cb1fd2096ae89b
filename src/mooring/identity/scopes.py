"""What an API key may be used for, apart from its owner's role. Pure.

A scope only takes away: a request needs the role and the scope. A key without scopes, and a
person's login, are limited by the role alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

__all__ = ["Need", "Scope", "parse", "written"]


class Scope(StrEnum):
    """One of the things that a key may be used for."""

    READ = "read"  # read devices, messages, alerts; the live stream
    DEVICES = "devices"  # change devices, credentials, groups, discovery, rules and alerts
    COMMANDS = "commands"  # send commands, settings and messages to devices
    OTA = "ota"  # change firmware and roll it out
    DDI = "ddi"  # act as a device's update client
    ADMIN = "admin"  # people, keys, tenants and their limits, the audit log


Need = Scope | Literal["login", "inside"]
"""What a route asks of a key: a scope; ``login``: any valid key; ``inside``: the service asks for a
scope when it has read the request."""


def parse(text: str | None) -> frozenset[Scope] | None:
    """Scopes as they are stored; ``None``: no restriction."""
    return None if text is None else frozenset(Scope(word) for word in text.split())


def written(scopes: Iterable[Scope] | None) -> str | None:
    """The reverse of ``parse``, in the order of ``Scope``."""
    if scopes is None:
        return None
    given = frozenset(scopes)
    return " ".join(one for one in Scope if one in given)
