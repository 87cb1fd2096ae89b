"""The sentences of Mosquitto's log, each with the words it begins with. Pure.

A reader takes the line without its time, and whether the broker writes ``[address:port]`` after
a client id (``None``: not known).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from mooring.broker.log_event import LogEvent, LogKind

__all__ = ["reader_of", "unclear"]

_Reader = Callable[[str, bool | None], LogEvent | None]

_PROTOCOLS = {"1": "3.1", "2": "3.1.1", "3": "3.1", "4": "3.1.1", "5": "5"}
"""2.0 counts protocols itself (2 is 3.1.1); 2.1 writes the number in CONNECT (4 is 3.1.1)."""


def reader_of(sentence: str) -> _Reader | None:
    """What reads a sentence that begins like this; ``None``: it tells nothing we use."""
    return next((read for start, read in _SENTENCES if sentence.startswith(start)), None)


def unclear(text: str) -> LogEvent:
    """A line that was cut, or can be read in two ways."""
    return LogEvent(LogKind.UNCLEAR, text)


# ---------------------------------------------------------------------- logins

_CONNECTED = re.compile(r"New client connected from (?P<address>\S+):(?P<port>\d+) as (?P<rest>.*)")
_LOGIN = re.compile(r" \(p(?P<protocol>\d), c(?P<clean>[01]), k(?P<keep>\d+), u'")
_NO_LOGIN = re.compile(r"(.*) \(p(?P<protocol>\d), c(?P<clean>[01]), k(?P<keep>\d+)\)\.")


def _connected(text: str, _addressed: bool | None) -> LogEvent:
    """``New client connected from ADDRESS:PORT as ID (p2, c1, k60, u'USERNAME').``"""
    line = _CONNECTED.fullmatch(text)
    if line is None:
        return unclear(text)
    rest = line["rest"]
    if rest.endswith("')."):
        found = list(_LOGIN.finditer(rest))
        if len(found) != 1:
            return unclear(text)
        login, client, username = found[0], rest[: found[0].start()], rest[found[0].end() : -3]
    else:
        nobody = _NO_LOGIN.fullmatch(rest)
        if nobody is None:
            return unclear(text)
        login, client, username = nobody, nobody[1], None
    return LogEvent(
        LogKind.CONNECTED,
        text,
        address=_ip(line["address"]),
        port=_port(line["port"]),
        client_id=client,
        username=username,
        protocol=_PROTOCOLS.get(login["protocol"]),
        keep_alive=int(login["keep"]),
        clean=login["clean"] == "1",
    )


# ---------------------------------------------------------------------- ends of sessions

_ADDRESS = re.compile(r"(?P<client>.*) \[(?P<address>[^\s\[\]]*):(?P<port>\d+)\]")

# None is the end of another one: what is at the end of a line was written by the broker.
_ENDINGS = (
    (" already connected, closing old connection.", LogKind.TAKEN_OVER, "session taken over"),
    (" disconnected, session taken over.", LogKind.TAKEN_OVER, "session taken over"),
    (" disconnected: session taken over.", LogKind.TAKEN_OVER, "session taken over"),
    # 2.0 says it of a login; of a session it ends at a reload it says "disconnected."
    (" disconnected, not authorised.", LogKind.REFUSED, "not authorised"),
    (" disconnected: not authorised.", LogKind.REFUSED, "not authorised"),
    (" disconnected, no longer authorised.", LogKind.DISCONNECTED, "not authorised"),
    (" has exceeded timeout, disconnecting.", LogKind.DISCONNECTED, "exceeded timeout"),
    (
        " been disconnected by administrative action.",
        LogKind.DISCONNECTED,
        "administrative action",
    ),
    (" closed its connection.", LogKind.DISCONNECTED, "closed its connection"),
    (" disconnected.", LogKind.DISCONNECTED, ""),
)
_REASON = re.compile(r"(?P<client>.*) disconnected(?:,|:| due to) (?P<reason>[^.]*)\.")
_ADDRESSED_REASON = re.compile(
    r"(?P<client>.* \[[^\s\[\]]*:\d+\]) disconnected: (?P<reason>[^\[\]]*?)\.?"
)
_REASONS = frozenset(
    (
        "malformed packet",
        "protocol error",
        "oversize packet",
        "oversize payload",
        "out of memory",
        "QoS too high or retain not supported",
        "exceeded timeout",
        "administrative action",
        "connection closed by client",
        "Success",
        *(os.strerror(number) for number in range(1, 200)),
    )
)


def _client(text: str, addressed: bool | None) -> LogEvent | None:
    """``Client ID …``: why a session ended, or why a login was rejected."""
    rest = text.removeprefix("Client ")
    for ending, kind, reason in _ENDINGS:
        if rest.endswith(ending):
            return _ended(text, rest.removesuffix(ending), kind, reason, addressed)
    said = _ADDRESSED_REASON.fullmatch(rest) if addressed is not False else None
    if said is not None:
        return _ended(text, said["client"], LogKind.DISCONNECTED, said["reason"], addressed)
    said = _REASON.fullmatch(rest)
    if said is not None and said["reason"] in _REASONS:
        return _ended(text, said["client"], LogKind.DISCONNECTED, said["reason"], addressed)
    refused = _TOO_MANY.fullmatch(text)
    if refused is not None:
        return LogEvent(LogKind.TOO_MANY_CLIENTS, text, address=_ip(refused["address"]))
    failed = _TLS.fullmatch(text)
    if failed is not None:
        address = _ip(failed["address"])
        return LogEvent(LogKind.TLS_FAILED, text, address=address, reason=failed["reason"])
    return unclear(text) if " disconnect" in text else None


def _ended(text: str, who: str, kind: LogKind, reason: str, addressed: bool | None) -> LogEvent:
    address = port = None
    client = who
    found = _ADDRESS.fullmatch(who) if addressed is not False else None
    if found is not None:
        client, address, port = found["client"], _ip(found["address"]), _port(found["port"])
    elif addressed and kind is not LogKind.TAKEN_OVER:
        return unclear(text)
    known = client if client not in {"<unknown>", address} else None
    return LogEvent(kind, text, address=address, port=port, client_id=known, reason=reason)


def _bad_socket(text: str, addressed: bool | None) -> LogEvent | None:
    """``Bad socket read/write on client ID: REASON``; no reason has a colon."""
    if addressed:  # 2.1 has other words for it
        return None
    client, _, reason = text.removeprefix("Bad socket read/write on client ").rpartition(": ")
    return _ended(text, client, LogKind.DISCONNECTED, reason.rstrip("."), addressed=False)


# ---------------------------------------------------------------------- what was rejected

_TOO_MANY = re.compile(
    r"Client connection from (?P<address>\S+) denied: max_connections exceeded\."
)
_TLS = re.compile(r"Client connection from (?P<address>\S+) failed: (?P<reason>error:.*)\.")
_PUBLISH = re.compile(r" \(d\d, q(?P<qos>\d), r\d, m\d+, '")
_PUBLISH_END = re.compile(r"', \.\.\. \(\d+ bytes\)\)\Z")
_SUBSCRIBE = re.compile(r" \((?:q(?P<qos>\d), )?'")


def _denied_publish(text: str, _addressed: bool | None) -> LogEvent:
    """``Denied PUBLISH from ID (d0, q1, r0, m2, 'TOPIC', ... (1 bytes))``"""
    rest = text.removeprefix("Denied PUBLISH from ")
    found = list(_PUBLISH.finditer(rest))
    if len(found) != 1 or _PUBLISH_END.search(rest) is None:
        return unclear(text)
    topic = rest[found[0].end() : rest.rindex("', ... (")]
    return _denied(LogKind.DENIED_PUBLISH, text, rest[: found[0].start()], topic, found[0]["qos"])


def _denied_subscribe(text: str, _addressed: bool | None) -> LogEvent:
    """``Denied SUBSCRIBE from ID (q1, 'FILTER')``"""
    rest = text.removeprefix("Denied SUBSCRIBE from ")
    found = list(_SUBSCRIBE.finditer(rest))
    if len(found) != 1 or not rest.endswith("')"):
        return unclear(text)
    topic = rest[found[0].end() : -2]
    return _denied(LogKind.DENIED_SUBSCRIBE, text, rest[: found[0].start()], topic, found[0]["qos"])


def _denied(kind: LogKind, text: str, client: str, topic: str, qos: str | None) -> LogEvent:
    return LogEvent(kind, text, client_id=client, topic=topic, qos=int(qos) if qos else None)


_DROPPING = "Outgoing messages are being dropped for client "


def _dropping(text: str, _addressed: bool | None) -> LogEvent:
    if not text.endswith("."):
        return unclear(text)
    return LogEvent(LogKind.DROPPING, text, client_id=text[len(_DROPPING) : -1])


# ---------------------------------------------------------------------- of the broker itself

_CONNECTION = re.compile(
    r"New connection from (?P<address>\S+):(?P<port>\d+) on port (?P<listener>\d+)\."
)
_VERSION = re.compile(r"mosquitto version (?P<version>\S+) (?P<state>starting|running|terminating)")
_DYNSEC = re.compile(r"dynsec: (?P<client>.*)/(?P<user>[^/]*) \| (?P<command>\w+)(?: \| .*)?")
_OPENSSL = re.compile(
    r"OpenSSL Error(?: while trying to get the error)?(?:\[\d+\])?: (?P<reason>.*)"
)
_STATES = {
    "starting": LogKind.STARTING,
    "running": LogKind.RUNNING,
    "terminating": LogKind.STOPPING,
}


def _connection(text: str, _addressed: bool | None) -> LogEvent | None:
    match = _CONNECTION.fullmatch(text)
    if match is None:
        return None
    return LogEvent(
        LogKind.CONNECTION,
        text,
        address=_ip(match["address"]),
        port=_port(match["port"]),
        listener=_port(match["listener"]),
    )


def _version(text: str, _addressed: bool | None) -> LogEvent | None:
    match = _VERSION.fullmatch(text)
    return match and LogEvent(_STATES[match["state"]], text, reason=match["version"])


def _reloaded(text: str, _addressed: bool | None) -> LogEvent | None:
    return LogEvent(LogKind.RELOADED, text) if text == "Reloading config." else None


def _dynsec(text: str, _addressed: bool | None) -> LogEvent | None:
    match = _DYNSEC.fullmatch(text)
    return match and LogEvent(
        LogKind.ACCOUNT_CHANGED,
        text,
        client_id=match["client"],
        username=match["user"],
        reason=match["command"],
    )


def _openssl(text: str, _addressed: bool | None) -> LogEvent | None:
    match = _OPENSSL.fullmatch(text)
    return match and LogEvent(LogKind.TLS_FAILED, text, reason=match["reason"])


def _error(text: str, _addressed: bool | None) -> LogEvent:
    return LogEvent(LogKind.ERROR, text, reason=text.removeprefix("Error: "))


def _warning(text: str, _addressed: bool | None) -> LogEvent:
    return LogEvent(LogKind.WARNING, text, reason=text.removeprefix("Warning: "))


def _port(digits: str) -> int | None:
    return int(digits) if len(digits) <= 5 else None


def _ip(address: str) -> str | None:
    return address.removeprefix("::ffff:") or None


_SENTENCES: tuple[tuple[str, _Reader], ...] = (
    ("New client connected from ", _connected),
    ("New connection from ", _connection),
    ("Client ", _client),
    ("Denied PUBLISH from ", _denied_publish),
    ("Denied SUBSCRIBE from ", _denied_subscribe),
    ("Bad socket read/write on client ", _bad_socket),
    (_DROPPING, _dropping),
    ("OpenSSL Error", _openssl),
    ("dynsec: ", _dynsec),
    ("mosquitto version ", _version),
    ("Reloading config.", _reloaded),
    ("Error: ", _error),
    ("Warning: ", _warning),
)
