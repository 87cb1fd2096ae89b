"""What Mosquitto's log says, line by line.

Pure: a line in, an event or ``None`` out. It knows the sentences of 2.0.11, tried one by one,
and those of 2.1, which puts ``[address:port]`` behind the client id and a colon before the
reason. It does not relate lines to each other: in 2.0 a refused login reads
``Client <unknown> disconnected, not authorised.`` and names neither client nor username, and
only the ``New connection from …`` before it tells an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

__all__ = ["LogEvent", "LogKind", "parse_line"]


class LogKind(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RELOADED = "reloaded"  # it reads its files again; in force for what comes after
    CONNECTION = "connection"  # TCP only: nobody has said who it is
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    TAKEN_OVER = "taken_over"  # the same client id came again; the old session ends
    REFUSED = "refused"  # unknown username, wrong password or disabled: it does not say which
    DENIED_PUBLISH = "denied_publish"  # logged with log_type debug only, in 2.0 and 2.1
    DENIED_SUBSCRIBE = "denied_subscribe"  # 2.1 only
    SUBSCRIBED = "subscribed"
    DROPPING = "dropping"  # a client's queue is full: said once, then silence until it drains
    TOO_MANY_CLIENTS = "too_many_clients"  # max_connections
    TLS_FAILED = "tls_failed"
    ACCOUNT_CHANGED = "account_changed"  # Dynamic Security: somebody sent a command
    ERROR = "error"
    WARNING = "warning"


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
        topic: of a denied message, or the filter of a subscription.
        protocol: ``3.1``, ``3.1.1`` or ``5``.
        keep_alive: seconds.
        clean: clean session (3.1.1) or clean start (5).
        qos: of the denied message or the subscription.
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


_PROTOCOLS = {"1": "3.1", "2": "3.1.1", "3": "3.1", "4": "3.1.1", "5": "5"}
"""2.0 counts protocols itself (2 is 3.1.1); 2.1 writes the number in CONNECT (4 is 3.1.1)."""

_STAMP = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d{4}|Z)?|\d{9,11}): ")

_WHO = r"Client (?P<client>.*?)(?: \[(?P<address>[^\s\]]*):(?P<port>\d+)\])?"

_ENDINGS = (
    (r" disconnected[,:] (?:not|no longer) authorised\.", "not authorised"),
    (r" disconnected[,:] session taken over\.", "session taken over"),
    (r" has exceeded timeout, disconnecting\.", "exceeded timeout"),
    (r" (?:has )?been disconnected by administrative action\.", "administrative action"),
    (r" closed its connection\.", "closed its connection"),
    (r" disconnected\.", ""),
    # After the fixed ones: a client chooses its id, and one that is called
    # "lamp disconnected: x" shall not speak for the lamp.
    (r" disconnected[,:] (?P<reason>.+)\.", None),
    (r" disconnected due to (?P<reason>.+)\.", None),
)

_Match = re.Match[str]
_Maker = Callable[[_Match, str], LogEvent]


def parse_line(line: str) -> LogEvent | None:
    """The event in one line of the log, or ``None`` for a line that tells nothing we use."""
    text = line.rstrip("\r\n")
    time = None
    stamp = _STAMP.match(text)
    if stamp is not None:
        time, text = _time(stamp["stamp"]), text[stamp.end() :]
    for pattern, make in _SENTENCES:
        match = pattern.fullmatch(text)
        if match is not None:
            return replace(make(match, text), time=time)
    return None


def _time(stamp: str) -> datetime | None:
    try:
        if stamp.isdigit():
            return datetime.fromtimestamp(int(stamp), UTC)
        time = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError, OSError):
        return None
    return time if time.tzinfo else None  # a local time of a zone we do not know is no moment


def _plain(kind: LogKind) -> _Maker:
    return lambda _match, text: LogEvent(kind, text)


def _connection(match: _Match, text: str) -> LogEvent:
    return LogEvent(
        LogKind.CONNECTION,
        text,
        address=_ip(match["address"]),
        port=_port(match),
        listener=int(match["listener"]),
    )


def _connected(match: _Match, text: str) -> LogEvent:
    return LogEvent(
        LogKind.CONNECTED,
        text,
        address=_ip(match["address"]),
        port=_port(match),
        client_id=match["client"],
        username=match["user"],
        protocol=_PROTOCOLS.get(match["protocol"]),
        keep_alive=int(match["keep"]),
        clean=match["clean"] == "1",
    )


def _ended(reason: str | None) -> _Maker:
    def make(match: _Match, text: str) -> LogEvent:
        said = match["reason"] if reason is None else reason
        client = match["client"]
        known = client if client != "<unknown>" else None
        kind = LogKind.DISCONNECTED
        if said == "not authorised" and "no longer" not in text:
            # 2.0 says it of a login; of a session it ends at a reload it says "disconnected."
            kind = LogKind.REFUSED
        elif said == "session taken over":
            kind = LogKind.TAKEN_OVER
        return LogEvent(
            kind,
            text,
            address=_ip(match["address"]),
            port=_port(match),
            client_id=known,
            reason=said,
        )

    return make


def _taken_over(match: _Match, text: str) -> LogEvent:
    return LogEvent(
        LogKind.TAKEN_OVER, text, client_id=match["client"], reason="session taken over"
    )


def _denied(kind: LogKind) -> _Maker:
    def make(match: _Match, text: str) -> LogEvent:
        return LogEvent(
            kind, text, client_id=match["client"], topic=match["topic"], qos=int(match["qos"])
        )

    return make


def _subscribed(match: _Match, text: str) -> LogEvent:
    return LogEvent(
        LogKind.SUBSCRIBED,
        text,
        client_id=match["client"],
        topic=match["topic"],
        qos=int(match["qos"]),
    )


def _client(kind: LogKind) -> _Maker:
    return lambda match, text: LogEvent(kind, text, client_id=match["client"])


def _address(kind: LogKind) -> _Maker:
    return lambda match, text: LogEvent(
        kind, text, address=_ip(match["address"]), reason=match.groupdict().get("reason")
    )


def _dynsec(match: _Match, text: str) -> LogEvent:
    return LogEvent(
        LogKind.ACCOUNT_CHANGED,
        text,
        client_id=match["client"],
        username=match["user"],
        reason=match["command"],
    )


def _said(kind: LogKind) -> _Maker:
    return lambda match, text: LogEvent(kind, text, reason=match["reason"])


def _port(match: _Match) -> int | None:
    return int(match["port"]) if match["port"] else None


def _ip(address: str | None) -> str | None:
    return address.removeprefix("::ffff:") if address else None


_SENTENCES: tuple[tuple[re.Pattern[str], _Maker], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (
            r"New connection from (?P<address>\S+):(?P<port>\d+) on port (?P<listener>\d+)\.",
            _connection,
        ),
        (
            r"New client connected from (?P<address>\S+):(?P<port>\d+) as (?P<client>.*) "
            r"\(p(?P<protocol>\d), c(?P<clean>[01]), k(?P<keep>\d+)(?:, u'(?P<user>.*)')?\)\.",
            _connected,
        ),
        (r"Client (?P<client>.*) already connected, closing old connection\.", _taken_over),
        *((_WHO + ending, _ended(reason)) for ending, reason in _ENDINGS),
        (
            r"Denied PUBLISH from (?P<client>.*) \(d\d, q(?P<qos>\d), r\d, m\d+, "
            r"'(?P<topic>.*)', \.\.\. \(\d+ bytes\)\)",
            _denied(LogKind.DENIED_PUBLISH),
        ),
        (
            r"Denied SUBSCRIBE from (?P<client>.*) \((?:q(?P<qos>\d), )?'(?P<topic>.*)'.*\)",
            _denied(LogKind.DENIED_SUBSCRIBE),
        ),
        (
            r"Outgoing messages are being dropped for client (?P<client>.*)\.",
            _client(LogKind.DROPPING),
        ),
        (
            r"Client connection from (?P<address>\S+) denied: max_connections exceeded\.",
            _address(LogKind.TOO_MANY_CLIENTS),
        ),
        (
            r"Client connection from (?P<address>\S+) failed: (?P<reason>.*)\.",
            _address(LogKind.TLS_FAILED),
        ),
        (r"OpenSSL Error(?:\[\d+\])?: (?P<reason>.*)", _said(LogKind.TLS_FAILED)),
        (
            r"dynsec: (?P<client>.*)/(?P<user>[^/]*) \| (?P<command>\w+)(?: \| .*)?",
            _dynsec,
        ),
        (r"mosquitto version \S+ starting", _plain(LogKind.STARTING)),
        (r"mosquitto version \S+ running", _plain(LogKind.RUNNING)),
        (r"mosquitto version \S+ terminating", _plain(LogKind.STOPPING)),
        (r"Reloading config\.", _plain(LogKind.RELOADED)),
        (r"Error: (?P<reason>.*)", _said(LogKind.ERROR)),
        (r"Warning: (?P<reason>.*)", _said(LogKind.WARNING)),
        # Last, for it is the least particular: "<client> <qos> <filter>".
        (r"(?P<client>\S+) (?P<qos>[012]) (?P<topic>\S.*)", _subscribed),
    )
)
