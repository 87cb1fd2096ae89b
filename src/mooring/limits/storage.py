"""What a tenant may store, and how much of it is used: pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NEARLY_PERCENT", "SOON_PERCENT", "Storage", "Usage", "in_force"]

SOON_PERCENT, NEARLY_PERCENT = 80, 95
"""Shares of a limit from which on an alert says so."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Limits of what is stored of a tenant; ``None``: the setting; 0: no limit.

    Attributes:
        stored_bytes: of its messages, each with 100 bytes for its row.
        dead_letter_bytes: of payloads of its dead letters.
    """

    stored_bytes: int | None = None
    dead_letter_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What is stored of a tenant.

    Attributes:
        devices: it has.
        messages, bytes: as its limit counts them.
        displaced_messages, displaced_bytes: deleted because of the limit, ever.
        displaced_at: when that was last, epoch milliseconds.
        dead_letter_bytes: of payloads.
        oldest_day: of its oldest messages, since 1970; ``None``: it has none.
    """

    devices: int
    messages: int
    bytes: int
    displaced_messages: int
    displaced_bytes: int
    displaced_at: int | None
    dead_letter_bytes: int
    oldest_day: int | None


def in_force(own: Storage, setting: Storage) -> Storage:
    """Its own value, otherwise the setting; 0 becomes ``None``, no limit."""

    def one(mine: int | None, default: int | None) -> int | None:
        return (default if mine is None else mine) or None

    return Storage(
        one(own.stored_bytes, setting.stored_bytes),
        one(own.dead_letter_bytes, setting.dead_letter_bytes),
    )
