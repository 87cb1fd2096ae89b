"""How near a certificate is to its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["EXPIRY_DAYS", "ExpiryLevel", "days_left", "expiry_level"]


class ExpiryLevel(StrEnum):
    """From good to bad; ``status``, ``doctor`` and the metrics show it."""

    OK = "ok"
    NOTICE = "notice"  # 30 days or fewer
    WARNING = "warning"  # 14 days or fewer
    CRITICAL = "critical"  # 3 days or fewer
    EXPIRED = "expired"


#: Days left at which a level begins, nearest first.
EXPIRY_DAYS = (
    (3, ExpiryLevel.CRITICAL),
    (14, ExpiryLevel.WARNING),
    (30, ExpiryLevel.NOTICE),
)


def expiry_level(not_after: datetime, now: datetime) -> ExpiryLevel:
    """The level of a certificate that ends at *not_after* (both aware)."""
    left = not_after - now
    if left < timedelta(0):  # RFC 5280, 4.1.2.5: valid up to and including notAfter
        return ExpiryLevel.EXPIRED
    for days, level in EXPIRY_DAYS:
        if left <= timedelta(days=days):
            return level
    return ExpiryLevel.OK


def days_left(not_after: datetime, now: datetime) -> int:
    """Whole days left, rounded down; negative when expired."""
    return (not_after - now) // timedelta(days=1)
