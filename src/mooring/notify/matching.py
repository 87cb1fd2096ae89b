"""Which recipients an alert concerns, and its group. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.notify.model import Kind, Options

__all__ = ["group_of", "is_wanted"]


def is_wanted(options: Options, *, severity: int, name: str, device: str | None) -> bool:
    """Whether a recipient wants an alert.

    Args:
        name: of the alert: of its rule, of the platform's check, or what a device called it.
        device: its name; ``None`` for an alert of the platform itself.
    """
    if severity < options.severity:
        return False
    if options.alerts and not _fits(options.alerts, name):
        return False
    return not options.devices or (device is not None and _fits(options.devices, device))


def group_of(kind: Kind, *, source: str, rule: int | None, name: str) -> str:
    """What goes out together. A device chooses the names of its alerts, so those of devices are
    one group: a device that invents names makes no more notifications. Alertmanager groups by
    itself."""
    if kind is Kind.ALERTMANAGER:
        return "all"
    if source == "device":
        return "device"
    return f"rule:{rule}" if source == "rule" else f"platform:{name}"[:64]


def _fits(patterns: Sequence[str], word: str) -> bool:
    """``*`` stands for any characters, and nothing else is special."""
    return any(_fits_one(pattern, word) for pattern in patterns)


def _fits_one(pattern: str, word: str) -> bool:
    """Compared in place: a tenant chooses its patterns, and to compile a regular expression of
    many ``*`` takes longer than everything else that an alert costs."""
    first, *others = pattern.split("*")
    if not others:
        return word == first
    *between, last = others
    end = len(word) - len(last)
    place = len(first)
    if end < place or not word.startswith(first) or not word.endswith(last):
        return False
    for piece in between:
        found = word.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
