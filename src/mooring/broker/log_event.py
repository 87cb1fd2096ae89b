"""What one line of the broker's log can tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["LogEvent", "LogKind"]


class LogKind(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RELOADED = "reloaded"  # it reads its files again; in force for what comes after
    CONNECTION = "connection"  # TCP only: nobody has reported who it is
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    TAKEN_OVER = "taken_over"  # the same client id came again; the old session ends
    REFUSED = "refused"  # unknown username, wrong password or disabled: it does not say which
    DENIED_PUBLISH = "denied_publish"  # logged with log_type debug only, in 2.0 and 2.1
    DENIED_SUBSCRIBE = "denied_subscribe"  # 2.1 only
    DROPPING = "dropping"  # a client's queue is full: said once, then silence until it drains
    TOO_MANY_CLIENTS = "too_many_clients"  # max_connections
    TLS_FAILED = "tls_failed"
    ACCOUNT_CHANGED = "account_changed"  # Dynamic Security: somebody sent a command
    ERROR = "error"
    WARNING = "warning"
    UNCLEAR = "unclear"  # cut, or to be read in two ways: nothing follows from it


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of the log; fields that do not apply are ``None``.

    Attributes:
        kind: what happened.
        text: the line without its time.
        time: with time zone; ``None`` if the line has no time that can be read.
        client_id: ``None`` where the broker says ``<unknown>``.
        username: only at a connect, and who sent a Dynamic Security command.
        address: IP address of the client, without the ``::ffff:`` WebSocket listeners add.
        port: the client's port.
        listener: the broker's port.
        reason: why a session ended, in the broker's words; empty for an orderly goodbye.
        topic: of a denied message, or the filter of a denied subscription.
        protocol: ``3.1``, ``3.1.1`` or ``5``.
        keep_alive: seconds.
        clean: clean session (3.1.1) or clean start (5).
        qos: of the denied message or subscription.
    """

    kind: LogKind
    text: str
    time: datetime | None = None
    client_id: str | None = None
    username: str | None = None
    address: str | None = None
    port: int | None = None
    listener: int | None = None
    reason: str | None = None
    topic: str | None = None
    protocol: str | None = None
    keep_alive: int | None = None
    clean: bool | None = None
    qos: int | None = None
