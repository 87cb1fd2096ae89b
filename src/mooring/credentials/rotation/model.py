"""A rotation as it is stored and shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from mooring.credentials.rotation.rules import Phase

__all__ = ["Rotation", "Started"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new password on its way to one device. Times are epoch milliseconds.

    ``old_verifier`` and ``new_verifier`` are gone when it is over, and so is the password.
    """

    id: str
    device_id: int
    phase: Phase
    actor: str
    origin: str
    reason: str
    created_at: int
    keep_old: bool
    sealed_secret: bytes | None = field(repr=False)
    old_verifier: str | None = field(repr=False)
    new_verifier: str | None = field(repr=False)
    old_created_at: int
    sends: int
    first_sent_at: int | None
    last_sent_at: int | None
    sent_event: int | None
    flips: int
    in_force_at: int | None
    finished_at: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Started:
    """What asking for a rotation did.

    ``again``: there was one already; it was not begun again.
    """

    rotation: Rotation
    again: bool = False
