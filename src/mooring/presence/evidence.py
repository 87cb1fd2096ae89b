"""What the broker's plugin says of logins and topics, folded into rows. Pure.

The plugin publishes one JSON object for each event, in order, on a topic that only the
platform's account can use. Unlike the log, no device writes any of it: what a device chose
(client id, topic, payload) is in fields of its own.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mooring.broker.log import LogKind
from mooring.presence.observe import Connectivity, EventRow

__all__ = [
    "EVENT_TOPIC",
    "LOGINS_LIMITED",
    "OVERSIZE",
    "SAID_TOO_LARGE",
    "SESSIONS_LIMITED",
    "Denied",
    "Evidence",
    "Folded",
    "Told",
    "Used",
    "parse",
]

EVENT_TOPIC = "$mooring/authority/event"

OVERSIZE = "oversize"
OVERSIZE_MS = 60_000  # between two dead letters of one login that sends packets too large
SAID_TOO_LARGE = frozenset({"oversize packet", "oversize payload"})  # in the log
TOO_LARGE = "25"  # MOSQ_ERR_OVERSIZE_PACKET: why a session ended

NAME_MAX, TEXT_MAX = 300, 2_000  # what the columns hold
SAMPLE_MAX = 256
SESSIONS_MAX = 200_000  # usernames whose live sessions are remembered; the oldest go first

_DENIED = {
    "publish": str(LogKind.DENIED_PUBLISH),
    "subscribe": str(LogKind.DENIED_SUBSCRIBE),
    "read": "denied_read",
}
LIMITED = "limited"  # disconnected for sending too much
SESSIONS_LIMITED, LOGINS_LIMITED = "sessions_limited", "logins_limited"
"""Counters: sessions that ended, and logins that were rejected, because of a limit."""
_CROWDED = frozenset({"too_many_connections", "tenant_too_many_connections"})
_OTHERS = frozenset({"refused", "trouble"})


@dataclass(frozen=True, slots=True)
class Told:
    """One event. Texts are cut to what a column holds; ``None``: the event has no such field.

    Attributes:
        boot: which start of the broker; n: its running number in that start.
        at: epoch milliseconds.
        kind: ``login``, ``refused``, ``denied``, ``gone``, ``oversize`` or ``trouble``.
        session: number of the session in that start, the same in ``login`` and ``gone``.
        key: of a login by password, the salt of the verifier that fitted.
        clean: of a login, whether the session ends with the connection.
        keepalive: of a login, in seconds; 0: the device has none.
        count: how often it happened since it was last reported, this time included.
        sample: the first bytes of a denied payload; size: all of its bytes.
    """

    boot: str
    n: int
    at: int
    kind: str
    why: str
    user: str | None
    client: str | None
    address: str | None
    topic: str
    action: str
    count: int
    sample: bytes
    size: int
    used: str
    key: str
    session: int | None
    clean: bool
    keepalive: int | None


@dataclass(frozen=True, slots=True)
class Denied:
    """A message that the broker did not pass on: its row, and what was in it.

    ``row.event`` says why; for ``OVERSIZE`` the broker may not have read so far as its topic.
    """

    row: EventRow
    sample: bytes
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class Used:
    """A password that a login used: ``key`` is the salt of its verifier."""

    username: str
    key: str
    at: int


@dataclass(slots=True)
class Folded:
    """What some events said.

    Attributes:
        restarted: the broker was started; before ``latest`` nobody is connected.
        latest: username → what is true at the end of these events.
        sessions: client id → username of the newest login, and whether its session outlives
            the connection.
        troubles: what the plugin itself complains about.
        limited: how many sessions ended, and logins were rejected, because of a limit.
        unknown: usernames that tried and belong to no account, and when they did so last.
    """

    rows: list[EventRow] = field(default_factory=list)
    restarted: bool = False
    latest: dict[str, Connectivity] = field(default_factory=dict)
    denied: list[Denied] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)
    sessions: dict[str, tuple[str, bool]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    limited: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, int] = field(default_factory=dict)

    @classmethod
    def merged(cls, parts: Iterable[Folded]) -> Folded:
        """What several say together, in their order."""
        whole = cls()
        for part in parts:
            if part.restarted:
                whole.restarted = True
                whole.latest.clear()
            whole.rows += part.rows
            whole.latest |= part.latest
            whole.denied += part.denied
            whole.used += part.used
            whole.sessions |= part.sessions
            whole.troubles += part.troubles
            whole.limited += part.limited
            whole.unknown |= part.unknown
        return whole


def parse(payload: bytes) -> Told | None:
    """An event; ``None``: not one of the plugin's."""
    try:
        said = json.loads(payload)
        return _told(said) if isinstance(said, dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _told(said: dict[str, Any]) -> Told:
    return Told(
        boot=str(said["boot"]),
        n=int(said["n"]),
        at=int(said["at"]),
        kind=str(said["kind"]),
        why=_text(said.get("why"), TEXT_MAX),
        user=_text(said.get("user"), NAME_MAX) or None,
        client=_text(said.get("client"), NAME_MAX) or None,
        address=_text(said.get("ip"), 64).removeprefix("::ffff:") or None,
        topic=_text(said.get("topic"), TEXT_MAX),
        action=str(said.get("action", "")),
        count=max(1, int(said.get("count") or 1)),
        sample=_sample(said.get("sample")),
        size=int(said.get("size") or 0),
        used=str(said.get("with", "")),
        key=str(said.get("key") or ""),
        session=None if said.get("session") is None else int(said["session"]),
        clean=said.get("clean") is not False,
        keepalive=None if said.get("keepalive") is None else int(said["keepalive"]) & 0xFFFF,
    )


def _text(value: object, most: int) -> str:
    """PostgreSQL holds no NUL, and neither engine half a character."""
    text = str(value or "").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")[:most]


def _sample(value: object) -> bytes:
    try:
        return base64.b64decode(str(value or ""), validate=True)[:SAMPLE_MAX]
    except binascii.Error:
        return b""


class Evidence:
    """Folds events in their order; an event that the broker repeats is passed over."""

    def __init__(self) -> None:
        self._oversize = Oversize()
        self._boot: str | None = None
        self._n = 0
        # Username → client id → session. The broker has one session a client id, so a login
        # also says that an earlier session of its client id is over.
        self._live: dict[str, dict[str | None, int | None]] = {}

    def fold(self, events: Iterable[Told]) -> Folded:
        seen = Folded()
        for event in events:
            if event.boot != self._boot:
                self._boot, self._n = event.boot, 0
                self._live.clear()
                seen.restarted = True
                seen.latest.clear()
            if event.n <= self._n:
                continue
            self._n = event.n
            self._one(seen, event)
        return seen

    def _one(self, seen: Folded, event: Told) -> None:
        match event.kind:
            case "login" if event.user is not None:
                self._login(seen, event, event.user)
            case "gone" if event.user is not None:
                self._gone(seen, event, event.user)
            case "denied":
                self._denied(seen, event)
            case "oversize":
                row = _row(event, OVERSIZE, event.topic)
                seen.rows.append(row)
                size = event.size or len(event.sample)
                seen.denied.append(Denied(row, event.sample, size, event.count))
            case kind if kind in _OTHERS:
                seen.rows.append(_row(event, kind, _detail(event)))
                if kind == "trouble":
                    seen.troubles.append(event.why)
                elif event.why in _CROWDED:
                    seen.limited[LOGINS_LIMITED] += event.count
                elif event.why == "unknown_username" and event.user is not None:
                    seen.unknown[event.user] = event.at

    def _login(self, seen: Folded, event: Told, user: str) -> None:
        if len(self._live) >= SESSIONS_MAX and user not in self._live:
            del self._live[next(iter(self._live))]
        live = self._live.setdefault(user, {})
        if event.session is not None and live.get(event.client) == event.session:
            return  # told again for somebody who was not there the first time
        live[event.client] = event.session
        seen.latest[user] = Connectivity(user, True, event.at, event.address)
        seen.rows.append(_row(event, str(LogKind.CONNECTED), event.used))
        if event.key:
            seen.used.append(Used(user, event.key, event.at))
        if event.client is not None:
            seen.sessions[event.client] = (user, not event.clean)

    def _gone(self, seen: Folded, event: Told, user: str) -> None:
        if event.why == TOO_LARGE:
            kept = self._oversize.of(_row(event, OVERSIZE, ""))
            seen.denied += [kept] if kept is not None else []
        live = self._live.get(user, {})
        if live.get(event.client, event.session) == event.session:
            live.pop(event.client, None)
        if live:
            # Another session of the account continues, as after the same client id came again.
            seen.rows.append(_row(event, str(LogKind.TAKEN_OVER), _detail(event)))
            return
        self._live.pop(user, None)
        seen.latest[user] = Connectivity(user, False, event.at, event.address)
        seen.rows.append(_row(event, str(LogKind.DISCONNECTED), event.why))

    def _denied(self, seen: Folded, event: Told) -> None:
        if event.why.startswith("limit_"):  # the session ends; the message is not acknowledged
            seen.rows.append(_row(event, LIMITED, _detail(event)))
            seen.limited[SESSIONS_LIMITED] += event.count
            return
        row = _row(event, _DENIED.get(event.action, _DENIED["publish"]), event.topic)
        seen.rows.append(row)
        if row.event == LogKind.DENIED_PUBLISH:
            size = event.size or len(event.sample)
            seen.denied.append(Denied(row, event.sample, size, event.count))


def _row(event: Told, word: str, detail: str) -> EventRow:
    return EventRow(
        event.at, word, event.user, event.client, event.address, detail, event.keepalive
    )


def _detail(event: Told) -> str:
    times = f" ({event.count} times)" if event.count > 1 else ""
    return f"{event.why}{times}"


class Oversize:
    """Dead letters for sessions that ended because of a packet that is too large.

    A device that does not know the limit comes back and sends the same packet again: one a
    login and minute is kept. Every such end is an event.
    """

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}  # username → its newest dead letter

    def of_log(self, row: EventRow) -> Denied | None:
        """From an event of the broker's log, where that is what it says."""
        return self.of(row) if row.event == OVERSIZE or self.said(row) else None

    @staticmethod
    def said(row: EventRow) -> bool:
        """Whether an event of the broker's log says so."""
        return row.event == LogKind.DISCONNECTED and row.detail in SAID_TOO_LARGE

    def of(self, row: EventRow) -> Denied | None:
        """For a session that ended so; ``None`` where one was kept just now, or nobody knows
        whose session it was."""
        user = row.username
        if user is None:
            return None
        kept = self._kept.get(user)
        if kept is not None and kept > row.at - OVERSIZE_MS:
            return None
        if len(self._kept) >= SESSIONS_MAX:
            self._kept.clear()
        self._kept[user] = row.at
        return Denied(EventRow(row.at, OVERSIZE, user, row.client_id, row.address, ""), b"", 0, 1)
