"""Why a device cannot connect, or why nothing arrives from it: one verdict. Pure.

The rules are in ``RULES`` in the order in which they are asked; the first that applies
decides. Two principles keep a verdict from being forged: what the broker says of an accepted
session outweighs rejected attempts under the same username, which anybody can make; and a
rejected attempt is always told with the address that made it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mooring.dialects.times import iso
from mooring.doctor.refusals import Code, refused_word
from mooring.doctor.seen import Event, EventKind, Seen

__all__ = ["RULES", "Code", "Evidence", "Verdict", "nearest", "why"]

RECENT_MS = 15 * 60_000  # an attempt that is older says nothing about now
SILENT_MS = 60 * 60_000  # without a known interval
LOOP_MS, LOOP_TIMES = 60_000, 3  # takeovers within a minute that make a loop
SHOWN_MAX = 8  # pieces of evidence in a verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact behind a verdict. ``at``: epoch milliseconds, ``None`` where it has no time."""

    at: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        code: stable.
        summary: one sentence.
        next_step: what to do; empty when there is nothing to do.
        evidence: newest first, at most ``SHOWN_MAX``.
    """

    code: Code
    summary: str
    next_step: str = ""
    evidence: tuple[Evidence, ...] = field(default=())

    @property
    def well(self) -> bool:
        return self.code is Code.WELL


Rule = Callable[[Seen], Verdict | None]


def why(seen: Seen) -> Verdict:
    """The verdict on one device."""
    for rule in RULES:
        found = rule(seen)
        if found is not None:
            return found
    raise AssertionError("the last rule always applies")


# ---------------------------------------------------------------------- the platform's side


def _removed(seen: Seen) -> Verdict | None:
    if not seen.removed:
        return None
    return Verdict(
        Code.REMOVED,
        f"The device with the username {seen.username} was removed; its login is rejected.",
        "Add it again, or give the device the credentials of another one.",
        _attempts(seen),
    )


def _broker_down(seen: Seen) -> Verdict | None:
    if seen.broker_answers:
        return None
    return Verdict(
        Code.BROKER_DOWN,
        "The broker does not answer, so no device can connect.",
        "`mooring status` shows which process is down; `mooring up` starts it.",
        _session(seen),
    )


def _change_pending(seen: Seen) -> Verdict | None:
    if seen.change_pending is None:
        return None
    error = f" The last attempt failed: {seen.change_pending}" if seen.change_pending else ""
    return Verdict(
        Code.CHANGE_PENDING,
        "The broker has not applied the newest change of this device yet." + error,
        "Wait a moment. If it remains, `mooring status` shows why the broker cannot be reached.",
        _session(seen) + _attempts(seen),
    )


def _disabled(seen: Seen) -> Verdict | None:
    if seen.enabled:
        return None
    return Verdict(
        Code.DISABLED,
        "The device is disabled, so the broker rejects its login.",
        "Enable it with `mooring device enable DEVICE`; its password stays the same.",
        _attempts(seen),
    )


def _disconnected_for_limit(seen: Seen) -> Verdict | None:
    until = seen.disconnected_until
    if until is None:
        return None
    newest = _newest(seen, EventKind.LIMITED)
    return Verdict(
        Code.LIMITED,
        f"The device sent more than a limit allows. The broker rejects it until {iso(until)}.",
        "Send less often or in smaller messages. Changing its limits with `mooring device limits "
        "DEVICE` accepts it again.",
        _shown([newest] if newest else []),
    )


# ---------------------------------------------------------------------- connected


def _takeover_loop(seen: Seen) -> Verdict | None:
    taken = [e for e in seen.events if e.kind is EventKind.TAKEN_OVER]
    loop = [e for e in taken if taken[0].at - e.at <= LOOP_MS]
    if sum(e.count for e in loop) < LOOP_TIMES or seen.now - taken[0].at > RECENT_MS:
        return None
    addresses = sorted({e.address for e in seen.events if e.address and e in loop})
    return Verdict(
        Code.TAKEOVER_LOOP,
        f"{_times(loop)} within a minute a new connection of this device ended the one before.",
        "Look for a second device or program with the same credentials, or for firmware that "
        "connects again while it is still connected.",
        _shown(loop, extra=f"Addresses: {', '.join(addresses)}." if addresses else ""),
    )


def _limited(seen: Seen) -> Verdict | None:
    newest = _newest(seen, EventKind.LIMITED)
    if newest is None:
        return None
    return Verdict(
        Code.LIMITED,
        f"The broker disconnected the device because of a limit: {newest.why.replace('_', ' ')}.",
        "Send less often or in smaller messages, or raise the limit of the device or tenant.",
        _shown([newest]),
    )


def _oversize(seen: Seen) -> Verdict | None:
    newest = _newest(seen, EventKind.OVERSIZE)
    if newest is None or _stored_after(seen, newest.at):
        return None
    return Verdict(
        Code.OVERSIZE,
        "The device sent a packet that is larger than the broker accepts.",
        "Send smaller messages, or raise the setting message_size_limit.",
        _shown([newest]),
    )


def _denied(seen: Seen) -> Verdict | None:
    newest = _newest(seen, EventKind.DENIED)
    if newest is None:
        return None
    action = newest.action or "publish"
    if action == "publish" and (_stored_after(seen, newest.at) or _dead_after(seen, newest.at)):
        return None
    allowed = seen.publishes if action == "publish" else seen.subscribes
    near = nearest(newest.topic, allowed)
    verb = {"publish": "publish to", "subscribe": "subscribe to", "read": "receive from"}[action]
    return Verdict(
        Code.DENIED_TOPIC,
        f"The device may not {verb} {newest.topic}.",
        f"The nearest topic it may use is {near}." if near else "It has no rights of that kind.",
        _shown([newest]),
    )


def _undecodable(seen: Seen) -> Verdict | None:
    dead = seen.dead_letter
    if dead is None or seen.now - dead.at > RECENT_MS or _stored_after(seen, dead.at):
        return None
    return Verdict(
        Code.UNDECODABLE,
        f"The device sends messages that cannot be stored ({dead.reason}).",
        f"{dead.detail} `mooring dead-letter list` shows what it sent.",
        (Evidence(dead.at, f"{dead.topic}: {dead.detail}"), *_session(seen)),
    )


def _connected(seen: Seen) -> Verdict | None:
    if not seen.connected:
        return None
    since = seen.last_seen_at or seen.connected_at or seen.created_at
    quiet = seen.now - since
    most = SILENT_MS if seen.expected_ms is None else int(1.5 * seen.expected_ms)
    if seen.last_seen_at is not None and quiet <= most:
        return Verdict(Code.WELL, "The device is connected and sends.", "", _session(seen))
    connected_for = seen.now - (seen.connected_at or seen.now)
    if connected_for <= min(most, RECENT_MS):
        return Verdict(
            Code.WELL,
            "The device is connected. No message is expected from it yet.",
            "",
            _session(seen),
        )
    sent = "has not sent anything yet" if seen.last_seen_at is None else "sends nothing"
    return Verdict(
        Code.SILENT,
        f"The device is connected but {sent}.",
        f"Check the device: it is connected but publishes to none of its topics. It may publish "
        f"to {', '.join(seen.publishes[:3]) or 'no topic'}.",
        _session(seen),
    )


def _refused(seen: Seen) -> Verdict | None:
    newest = next((e for e in _recent(seen, EventKind.REFUSED) if e.named), None)
    if newest is None or _session_after(seen, newest):
        return None
    word = refused_word(seen, newest)
    return Verdict(
        word.code,
        word.summary,
        word.next_step,
        _attempts(seen) + _session(seen),
    )


def _certificate_expired(seen: Seen) -> Verdict | None:
    """A handshake that fails names nobody; an expired certificate explains it."""
    login = next((e for e in seen.events if e.kind is EventKind.LOGIN), None)
    by_certificate = seen.by_certificate or (login is not None and login.why == "certificate")
    if not by_certificate or not seen.certificates:
        return None
    live = [c for c in seen.certificates if c.revoked_at is None]
    if not live:
        return Verdict(
            Code.CERTIFICATE_REVOKED,
            "Every certificate of the device was revoked.",
            "Issue a new one: mooring cert issue DEVICE.",
            tuple(Evidence(c.revoked_at, f"{c.serial} revoked.") for c in seen.certificates[:3]),
        )
    newest = max(live, key=lambda c: c.not_after)
    if all(one.not_before > seen.now for one in live):
        return Verdict(
            Code.CERTIFICATE_EXPIRED,
            "The certificate of the device is not valid yet; the clock was ahead when it was made.",
            "Renew it: mooring cert renew DEVICE.",
            (Evidence(newest.not_before, f"{newest.serial} becomes valid."),),
        )
    if newest.not_after > seen.now:
        return None
    return Verdict(
        Code.CERTIFICATE_EXPIRED,
        "The certificate of the device has expired.",
        "Renew it: mooring cert renew DEVICE.",
        (Evidence(newest.not_after, f"{newest.serial} expired."),),
    )


# ---------------------------------------------------------------------- not connected


def _unnamed(seen: Seen) -> Verdict | None:
    """What the broker says of an address. It is said as that, and not as the device's."""
    recent = (e for e in seen.events if not e.named and e.address and seen.now - e.at <= RECENT_MS)
    newest = next(recent, None)
    if newest is None or _session_after(seen, newest):
        return None
    whose = "The broker does not report which device it was. Several devices may share that "
    "address."
    if newest.kind is EventKind.TLS_FAILED:
        return Verdict(
            Code.TLS_FAILED,
            f"A TLS handshake from the last address of this device failed. {whose}",
            _tls_hint(newest.why),
            _shown([newest]) + _session(seen),
        )
    return Verdict(
        Code.REFUSED,
        f"The broker rejected a login from the last address of this device. {whose}",
        "Compare username, password and client ID with those of `mooring device show DEVICE`; "
        "`mooring device rotate DEVICE` makes a new password. With Mooring's plugin the broker "
        "reports each device and the reason: mooring broker migrate.",
        _shown([newest]) + _session(seen),
    )


def _tls_hint(reason: str) -> str:
    """What the library's words for a failed handshake mean."""
    for words, hint in _TLS_HINTS:
        if words in reason:
            return hint
    return "Compare the TLS version, host name and certificates of device and broker."


_TLS_HINTS = (
    (
        "alert",  # the other side ended it
        "The device rejects the certificate of the broker: give it the CA of the platform "
        "(`mooring cert show`), and connect to a host name that is in the certificate.",
    ),
    (
        "certificate verify failed",
        "The certificate that the device shows has expired, was revoked, or comes from another "
        "CA. Issue one: mooring cert device DEVICE.",
    ),
    (
        "did not return a certificate",
        "This listener accepts only certificates. Use the other one for passwords.",
    ),
)
_SESSIONS = (EventKind.LOGIN, EventKind.GONE, EventKind.TAKEN_OVER)


def _gone(seen: Seen) -> Verdict | None:
    if seen.last_seen_at is None and seen.connected_at is None and not _any(seen, EventKind.LOGIN):
        return None
    newest = next((e for e in seen.events if e.kind is EventKind.GONE), None)
    reason = (
        f" Reason given by the broker: {newest.why.replace('_', ' ')}."
        if newest and newest.why
        else ""
    )
    return Verdict(
        Code.DISCONNECTED,
        "The device is not connected, and its last session was accepted." + reason,
        "Check its power and network. Its current credentials are valid.",
        _session(seen) + _shown([newest] if newest else []),
    )


def _never(seen: Seen) -> Verdict | None:
    others = [e for e in seen.events if not e.named]
    said = "No attempt to connect with this username has reached the broker."
    if not seen.names_rejected:
        said = (
            "No login of this device was accepted. The broker does not report which logins it "
            "rejects."
        )
    kinds = [
        f"{_times([e for e in others if e.kind is kind])} {words}"
        for kind, words in (
            (EventKind.REFUSED, "a login was rejected"),
            (EventKind.TLS_FAILED, "a TLS handshake failed"),
        )
        if any(e.kind is kind for e in others)
    ]
    if kinds:
        said += f" In the last minutes {' and '.join(kinds)}; it may have been this device."
    failed = next((e for e in others if e.kind is EventKind.TLS_FAILED), None)
    return Verdict(
        Code.NEVER_REACHED,
        said,
        "Check host, port and network from the device; `mooring device show DEVICE` has the "
        "address and lines to paste." + (f" {_tls_hint(failed.why)}" if failed else ""),
        (Evidence(seen.created_at or None, "Added."),),
    )


RULES: tuple[Rule, ...] = (
    _removed,
    _broker_down,
    _change_pending,
    _disabled,
    _disconnected_for_limit,
    _takeover_loop,
    _limited,
    _oversize,
    _denied,
    _undecodable,
    _connected,
    _refused,
    _certificate_expired,
    _unnamed,
    _gone,
    _never,
)


# ---------------------------------------------------------------------- helpers


def nearest(topic: str, allowed: Sequence[str]) -> str | None:
    """The allowed filter that is most like a topic."""
    if not allowed:
        return None
    levels = topic.split("/")
    return max(
        allowed,
        key=lambda one: (
            difflib.SequenceMatcher(None, levels, one.split("/")).ratio()
            + difflib.SequenceMatcher(None, topic[:500], one[:500]).ratio()
        ),
    )


def _newest(seen: Seen, kind: EventKind) -> Event | None:
    """The newest event of a kind that is recent."""
    for event in seen.events:
        if event.kind is kind:
            return event if seen.now - event.at <= RECENT_MS else None
    return None


def _recent(seen: Seen, kind: EventKind) -> list[Event]:
    return [e for e in seen.events if e.kind is kind and seen.now - e.at <= RECENT_MS]


def _any(seen: Seen, kind: EventKind) -> bool:
    return any(event.kind is kind for event in seen.events)


def _stored_after(seen: Seen, at: int) -> bool:
    return seen.last_stored is not None and seen.last_stored[1] > at


def _dead_after(seen: Seen, at: int) -> bool:
    return seen.dead_letter is not None and seen.dead_letter.at > at


def _session_after(seen: Seen, event: Event) -> bool:
    """Whether an accepted session began or ended after that: then it was there, or it was there
    again, and an attempt of that time is not why it is not connected now."""
    return any(e.kind in _SESSIONS and _later(e, event) for e in seen.events)


def _later(one: Event, other: Event) -> bool:
    """The broker's log has whole seconds, so its order decides what it is about."""
    if one.order and other.order and not (one.named and other.named):
        return one.order > other.order
    return one.at >= other.at


def _attempts(seen: Seen) -> tuple[Evidence, ...]:
    found = [e for e in seen.events if e.kind is EventKind.REFUSED and e.named]
    return _shown(found[: SHOWN_MAX // 2])


def _session(seen: Seen) -> tuple[Evidence, ...]:
    found = []
    if seen.last_stored is not None:
        topic, at = seen.last_stored
        found.append(Evidence(at, f"Last stored message: {topic}."))
    if seen.connected_at is not None:
        state = "Connected" if seen.connected else "Not connected"
        address = f" from {seen.address}" if seen.connected and seen.address else ""
        found.append(Evidence(seen.connected_at, f"{state}{address} since then."))
    return tuple(found)


def _times(events: Sequence[Event]) -> str:
    return f"{sum(e.count for e in events)} times"


def _shown(events: Sequence[Event], *, extra: str = "") -> tuple[Evidence, ...]:
    found = [Evidence(event.at, _text(event)) for event in events[:SHOWN_MAX]]
    if extra:
        found.append(Evidence(None, extra))
    return tuple(found)


_KIND_WORDS = {
    EventKind.LOGIN: "Login accepted",
    EventKind.REFUSED: "Login rejected",
    EventKind.GONE: "Session ended",
    EventKind.TAKEN_OVER: "Session ended by a new connection",
    EventKind.DENIED: "Denied",
    EventKind.LIMITED: "Disconnected because of a limit",
    EventKind.OVERSIZE: "Packet too large",
    EventKind.TLS_FAILED: "TLS handshake failed",
}


def _text(event: Event) -> str:
    words = [_KIND_WORDS[event.kind]]
    if event.why:
        words.append(f"({event.why.replace('_', ' ')})")
    if event.topic:
        words.append(f"{event.action or 'publish'} {event.topic}")
    if event.address:
        words.append(f"from {event.address}")
    if event.client_id:
        words.append(f"as client {event.client_id!r}")
    text = " ".join(words)
    return f"{text}, {event.count} times." if event.count > 1 else f"{text}."
