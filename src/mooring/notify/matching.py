"""Which recipients an alert concerns, and its group. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

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
    return any(
        fnmatchcase(word, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns
    )
