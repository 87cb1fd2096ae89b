"""Which password to try: rotation in two steps, so that no crash strands a device.

Pure: a state and an event in, a new state out; the shell writes every state to disk before
it acts on it. A new password is stored in addition to the old one. Both are kept until one has
proved itself: the broker accepted it, answered a subscription, and the connection held.

    settled only ──offered──▶ pending, try new ──proved(new)──▶ settled: new
                                   │    ▲
                         rejected n │    │ rejected n
                                   ▼    │
                              pending, try old ──proved(old, long)──▶ settled: old

Each password is tried several times in a row, and one time more at every turn, because the
platform also changes sides when it sees rejections: with a fixed rhythm on both sides they could
miss each other indefinitely. The old one must hold much longer than the new one to prove itself:
the platform may be about to switch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = [
    "MOST_TRIES",
    "NEW_HOLDS",
    "OLD_HOLDS",
    "TRIES",
    "Passwords",
    "lost",
    "offered",
    "proved",
    "refused",
]

TRIES = 2  # rejections of one password before the other gets its first turn
MOST_TRIES = 6  # the same after many turns
NEW_HOLDS = 5.0  # seconds a connection with the new password must hold to prove it
OLD_HOLDS = 600.0  # the same for the old one while a new one is pending


@dataclass(frozen=True)
class Passwords:
    """What the device may log in with.

    Attributes:
        settled: the password that last proved itself; ``None`` for a device that comes by
            certificate.
        pending: the one that was offered, while it has not proved itself.
        rotation: the platform's id of the rotation that offered it.
        try_pending: whether the next attempt uses ``pending``.
        refusals: how often the password now in turn was rejected in a row.
        turns: how often they have changed places since the offer.
    """

    settled: str | None
    pending: str | None = None
    rotation: str | None = None
    try_pending: bool = False
    refusals: int = 0
    turns: int = 0

    @property
    def current(self) -> str | None:
        """What the next attempt logs in with."""
        return self.pending if self.try_pending and self.pending is not None else self.settled

    @property
    def holds(self) -> float:
        """Seconds a connection with ``current`` must hold to prove it."""
        return NEW_HOLDS if self.try_pending or self.pending is None else OLD_HOLDS

    def __repr__(self) -> str:  # passwords never reach a log
        return f"Passwords(pending={self.pending is not None}, try_pending={self.try_pending})"


def offered(state: Passwords, password: str, rotation: str | None, used: str | None) -> Passwords:
    """The platform offered ``password`` over a connection that logged in with ``used``.

    The order itself proves ``used``: it came through the broker, to this device. So of two
    passwords in flight only that one is kept in addition to the new one.
    """
    if password in (state.pending, state.settled) and rotation == state.rotation:
        return state  # the same order again
    if used is None or used not in (state.settled, state.pending):
        used = state.settled
    if password == used:
        return Passwords(settled=used, rotation=rotation)
    return Passwords(settled=used, pending=password, rotation=rotation, try_pending=True)


def refused(state: Passwords) -> Passwords:
    """The broker rejected ``state.current`` as wrong."""
    if state.pending is None:
        return replace(state, refusals=state.refusals + 1)
    if state.refusals + 1 < min(TRIES + state.turns, MOST_TRIES):
        return replace(state, refusals=state.refusals + 1)
    return replace(state, try_pending=not state.try_pending, refusals=0, turns=state.turns + 1)


def lost(state: Passwords, *, had_session: bool) -> Passwords:
    """The connection ended, or none came about, without the password being rejected.

    A session with the old password that ends before it has proved itself was probably ended
    by the platform's switch to the new one: that one has the next turn.
    """
    if had_session and state.pending is not None and not state.try_pending:
        return replace(state, try_pending=True, refusals=0)
    return state


def proved(state: Passwords) -> Passwords:
    """``state.current`` was accepted, subscribed, and held for ``state.holds`` seconds."""
    return Passwords(settled=state.current, rotation=state.rotation)
