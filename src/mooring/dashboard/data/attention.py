"""What needs attention, in sentences, the worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mooring.dashboard import words
from mooring.dashboard.data.trouble import Rejected, Trouble
from mooring.dashboard.words import count

__all__ = ["Item", "Platform", "of_trouble", "why"]

DISK_WARN, DISK_BAD = 0.85, 0.95

# The broker's reason → what people read. Others are shown as the broker gives them.
WHY = {
    "wrong_password": "wrong password",
    "unknown_username": "username never added",
    "no_password": "no password sent",
    "certificate_only": "needs a certificate",
    "locked": "disabled",
    "wrong_client_id": "not its own client ID",
    "client_id_of_another": "client ID of another device",
    "certificate_unknown": "unknown certificate",
    "certificate_of_another": "certificate of another device",
    "too_many_connections": "too many connections",
    "tenant_too_many_connections": "too many connections of the tenant",
    "accounts_unreadable": "the broker could not read its accounts",
}
DEAD = {
    "not_json": "not JSON",
    "unknown_device": "of unknown devices",
    "unknown_topic": "on unknown topics",
    "too_large": "too large",
    "oversize": "too large",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One sentence.

    Attributes:
        state: ``bad``, ``warn`` or ``off``.
        badge: number and word.
        text: what it is, and why.
        href, link: where to act.
        since: epoch milliseconds.
        weight: among those of the same state, the heavier first.
    """

    state: str
    badge: str
    text: str
    href: str = ""
    link: str = "Show"
    since: int | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Platform:
    """What only people who see the whole installation are shown.

    Attributes:
        problems, certificates, reminders: sentences.
        disk_used: of the data directory's disk, 0 to 1; ``None``: not known.
        disk_free: bytes.
        changes: pending broker changes.
    """

    problems: Sequence[str] = ()
    certificates: Sequence[str] = ()
    reminders: Sequence[str] = ()
    disk_used: float | None = None
    disk_free: int = 0
    changes: int = 0


def why(reason: str) -> str:
    """The broker's reason in words."""
    return WHY.get(reason, reason or "no reason given")


def of_trouble(
    found: Trouble,
    alerts: Mapping[str, int],
    refusing: int,
    platform: Platform | None,
) -> list[Item]:
    """The sentences.

    Args:
        alerts: severity → open alerts, the most severe first.
        refusing: devices that refuse their settings.
        platform: ``None`` for a login of one tenant.
    """
    items = [
        *(_of_platform(platform) if platform is not None else ()),
        *_rejected(found.rejected),
        *_alerts(alerts),
    ]
    some, every = found.denied
    if every:
        they = "it" if some == 1 else "they"
        text = (
            f"{count(some, 'device')} published {count(every, 'message')} in the last hour to "
            f"topics that {they} may not use."
        )
        items.append(_item("bad", every, "denied", text, "/messages?tab=rejected&reason=denied"))
    silent = found.states.get("silent", 0)
    if silent:
        text = (
            f"{count(silent, 'device has', 'devices have')} been silent for more than 1.5 times "
            "the usual interval."
        )
        items.append(_item("warn", silent, "silent", text, "/devices?state=silent"))
    flapping = found.states.get("flapping", 0)
    if flapping:
        who = count(flapping, "device connects", "devices connect")
        text = f"{who} and disconnect{'s' if flapping == 1 else ''} again and again."
        items.append(_item("warn", flapping, "unstable", text, "/devices?state=flapping"))
    number, oldest = found.unsettled
    if number:
        what = count(number, "password rotation is", "password rotations are")
        text = f"{what} not settled: the new password has not been used yet."
        href = "/devices?problem=rotation"
        items.append(_item("warn", number, "rotating", text, href, since=oldest))
    dead = sum(found.dead.values())
    if dead:
        first, most = next(iter(found.dead.items()))
        share = f"{most:,} {_dead(first)}" if len(found.dead) > 1 else _dead(first)
        text = f"{count(dead, 'message')} could not be stored in the last day: {share}."
        word = "dead letter" if dead == 1 else "dead letters"
        items.append(_item("warn", dead, word, text, "/messages?tab=rejected"))
    if refusing:
        who = count(refusing, "device has", "devices have")
        text = f"{who} rejected the settings too often: they are not sent again until they change."
        items.append(
            _item("warn", refusing, "settings rejected", text, "/devices?problem=settings")
        )
    if found.unknown:
        who = count(found.unknown, "unknown device was", "unknown devices were")
        whom = "it" if found.unknown == 1 else "them"
        text = f"{who} heard in the last day. Accept or reject {whom}."
        href = "/claiming#unknown"
        items.append(_item("off", found.unknown, "unknown", text, href, link="Decide"))
    rank = {"bad": 0, "warn": 1, "off": 2}
    return sorted(items, key=lambda one: (rank[one.state], -one.weight))


def _item(state: str, number: int, word: str, text: str, href: str, **more: Any) -> Item:
    return Item(state, f"{number:,} {word}", text, href, weight=number, **more)


def _dead(reason: str) -> str:
    return DEAD.get(reason, reason.replace("_", " "))


def _severity(word: str, number: int) -> str:
    """``2 errors``, and ``2 critical``: the adjective has no plural."""
    return f"{word}s" if number != 1 and word in ("warning", "error") else word


def _rejected(found: Sequence[Rejected]) -> list[Item]:
    if not found:
        return []
    reasons = Counter(words.short(why(one.why), 80) for one in found)
    if len(reasons) == 1:
        said = next(iter(reasons))
    else:
        said = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common(3))
        said += ", and other reasons" if len(reasons) > 3 else ""
    known = sum(bool(one.device) for one in found)
    whom = count(known, "device") if known == len(found) else count(len(found), "login")
    text = f"{whom} {'is' if len(found) == 1 else 'are'} rejected by the broker: {said}."
    badge = f"{len(found):,} rejected"
    since = min(one.first for one in found)
    weight = 10_000 + len(found)
    return [Item("bad", badge, text, "#rejected", since=since, weight=weight)]


def _alerts(alerts: Mapping[str, int]) -> list[Item]:
    number = sum(alerts.values())
    if not number:
        return []
    parts = ", ".join(
        f"{value:,} {_severity(word, value)}" for word, value in alerts.items() if value
    )
    severe = alerts.get("critical", 0) + alerts.get("error", 0)
    text = f"{count(number, 'alert is', 'alerts are')} open: {parts}."
    word = "alert" if number == 1 else "alerts"
    return [Item("bad" if severe else "warn", f"{number:,} {word}", text, "/alerts", weight=number)]


def _of_platform(found: Platform) -> list[Item]:
    items = [Item("bad", "Platform", text, "/broker", weight=1_000_000) for text in found.problems]
    items += [
        Item("bad", "Certificate", text, "/certificates", weight=500_000)
        for text in found.certificates
    ]
    items += [Item("warn", "Certificate", text, "/certificates") for text in found.reminders]
    if found.disk_used is not None and found.disk_used >= DISK_WARN:
        state = "bad" if found.disk_used >= DISK_BAD else "warn"
        text = (
            f"The disk of the data directory is {found.disk_used:.0%} full: "
            f"{words.bytes_(found.disk_free)} are free."
        )
        items.append(Item(state, "Disk", text, "/settings", weight=400_000))
    if found.changes:
        what = count(found.changes, "change is", "changes are")
        text = f"{what} not applied by the broker yet (devices, passwords, rights)."
        items.append(_item("warn", found.changes, "pending", text, "/broker#pending"))
    return items
