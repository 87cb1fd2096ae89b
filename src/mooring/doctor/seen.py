"""What a diagnosis is made from: facts of one device, as values. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CertificateSeen", "DeadLetterSeen", "Event", "EventKind", "Seen"]


class EventKind(StrEnum):
    """What the broker saw."""

    LOGIN = "login"  # accepted
    REFUSED = "refused"  # a login was rejected
    GONE = "gone"  # a session ended
    TAKEN_OVER = "taken_over"  # a session ended because the same client id connected again
    DENIED = "denied"  # publish, subscribe or delivery without the right
    LIMITED = "limited"  # disconnected for a limit
    OVERSIZE = "oversize"  # a packet larger than the broker takes
    TLS_FAILED = "tls_failed"  # a TLS handshake failed, before any name is known


@dataclass(frozen=True, slots=True)
class Event:
    """One thing the broker saw.

    Attributes:
        why: the broker's reason (``mooring.broker.access_rules.Reason`` for logins and
            topics); empty where it gives none.
        action: for a denied topic: publish, subscribe or read.
        count: how often it happened; repetitions are counted, not stored.
        named: the broker says that it was this device. Otherwise it is known only that it came
            from the device's address, which others may share.
        order: grows with each stored event; 0: it is not stored.
    """

    at: int
    kind: EventKind
    why: str = ""
    client_id: str = ""
    address: str = ""
    topic: str = ""
    action: str = ""
    count: int = 1
    named: bool = True
    order: int = 0


@dataclass(frozen=True, slots=True)
class CertificateSeen:
    """A certificate issued to the device."""

    serial: str
    not_before: int
    not_after: int
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class DeadLetterSeen:
    """A message of the device that was not stored."""

    at: int
    reason: str
    detail: str
    topic: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a verdict rests on.

    Attributes:
        now: when the facts were read.
        username, client_id: how the device logs in; ``client_id`` is ``None`` where its
            dialect does not fix it.
        enabled: false when people have disabled it.
        disconnected_until: it is rejected until then, because it exceeded a limit.
        removed: the device was removed; only its username is known.
        created_at: when it was added.
        by_certificate: it has no password.
        password_at: since when its password is valid.
        proved_at: when that password was first used; ``None``: never.
        rotating: a new password is on its way to it.
        change_pending: the broker has not applied the newest change; the text is the last
            error, empty when it was not tried yet.
        broker_answers: the broker runs and answers.
        names_rejected: the broker names the logins that it rejects; otherwise no rejected
            login can be distinguished from another one.
        connected, connected_at, address: of its session, by the broker's own word.
        last_seen_at: when it last said anything that was stored.
        last_stored: topic and time of its newest stored message of any kind.
        expected_ms: how often it sends, where that is known.
        events: newest first.
        dead_letter: the newest one.
        publishes, subscribes: the filters it may use.
        certificates: newest first.
    """

    now: int
    username: str
    client_id: str | None
    created_at: int = 0
    enabled: bool = True
    disconnected_until: int | None = None
    removed: bool = False
    by_certificate: bool = False
    password_at: int | None = None
    proved_at: int | None = None
    rotating: bool = False
    change_pending: str | None = None
    broker_answers: bool = True
    names_rejected: bool = True
    connected: bool | None = None
    connected_at: int | None = None
    address: str = ""
    last_seen_at: int | None = None
    last_stored: tuple[str, int] | None = None
    expected_ms: int | None = None
    events: tuple[Event, ...] = ()
    dead_letter: DeadLetterSeen | None = None
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    certificates: tuple[CertificateSeen, ...] = ()
