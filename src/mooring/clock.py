"""The time that Mooring counts with: the machine's clock, guarded by its monotonic clock.

A wall clock can be wrong: set by hand, by a faulty time server, by a board that starts in 1970.
The monotonic clock of one boot cannot be set. From an ``Anchor`` (at this monotonic time it was
that wall time) follows the *counted time*. While the wall clock agrees with it, ``now_ms`` is
the wall clock. When the wall clock steps away, everything is dated by the counted time, from
that very moment, and nothing is deleted (``deletion_ms``).

A step is followed once it has lasted as long as it is wide (a clock set back: at most a day),
or once a person confirms it (``confirm``). Where nothing was counted before, in the first
hour of a boot, any time from the newest known one to ``DOWNTIME_MS`` after it is accepted,
because only the wall clock knows how long the machine was off; deletion then is late by
as much, for as long.

The rules are pure: anchors and readings in, anchors out. One anchor a boot is kept in the
database (``mooring.store.clock``), so that every process counts the same time and a restart
with a wrong clock is noticed. ``install`` gives this process its anchor.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

__all__ = [
    "DOWNTIME_MS",
    "FLOOR_MS",
    "TOLERANCE_MS",
    "Anchor",
    "Reading",
    "Trust",
    "confirm",
    "counted",
    "deletion_ms",
    "install",
    "judge",
    "now_ms",
    "now_of",
    "read",
    "utc_now",
]

DAY_MS = 86_400_000
TOLERANCE_MS = 60_000  # wall and counted time agree within this
DOWNTIME_MS = 400 * DAY_MS  # the longest time off that is believed without confirmation
SETTLE_MS = 3_600_000  # after this long in agreement a new boot is as good as the one before
BACK_MS = DAY_MS  # a clock set back is followed after this long
FLOOR_MS = 1_767_225_600_000  # 2026-01-01, before Mooring existed: a clock before it was not set


class Trust(StrEnum):
    """How well the time of a boot is known."""

    UNSET = "unset"  # the clock was never set: any time after the floor is better
    SETTLING = "settling"  # a new boot: how long the machine was off is not proved yet
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine's clocks: milliseconds since 1970, milliseconds of a clock that
    nobody can set, and the boot within which that one counts."""

    wall: int
    steady: int
    boot: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is known of the time in one boot. Every time is in milliseconds.

    Attributes:
        boot: within which ``steady`` counts.
        wall, steady: at that monotonic time it was that time.
        trust: how well that is known.
        floor: the newest time known before this boot.
        off: by how much the wall clock was away from the counted time; 0: it agreed.
        since: the monotonic time since when ``off`` is what it is.
        lag: by how much deletion is late, because a step was accepted unproved.
        lag_since: the monotonic time when that began.
    """

    boot: str
    wall: int
    steady: int
    trust: Trust
    floor: int
    off: int
    since: int
    lag: int
    lag_since: int


# ---------------------------------------------------------------------- rules


def counted(anchor: Anchor, steady: int) -> int:
    """The time by monotonic count. A monotonic clock that went wild is not believed either."""
    return anchor.wall + max(0, min(steady - anchor.steady, DOWNTIME_MS))


def now_of(anchor: Anchor, reading: Reading) -> int:
    """The time to date things with."""
    line = counted(anchor, reading.steady)
    return reading.wall if abs(reading.wall - line) <= TOLERANCE_MS else line


def deletion_ms(anchor: Anchor, reading: Reading) -> int | None:
    """The time to delete by; ``None`` while the clock is in doubt: then nothing is deleted."""
    line = counted(anchor, reading.steady)
    if anchor.off or abs(reading.wall - line) > TOLERANCE_MS:
        return None
    return min(reading.wall, line) - _lag(anchor, reading.steady)


def judge(anchor: Anchor | None, newest: Anchor | None, reading: Reading) -> Anchor:
    """What is known after another look at the clocks.

    Args:
        anchor: what was known of this boot, if anything.
        newest: the anchor with the latest time, of whatever boot.
    """
    if anchor is None or reading.steady < anchor.steady:
        return _first(newest, reading)
    line = counted(anchor, reading.steady)
    off = reading.wall - line
    agrees = abs(off) <= TOLERANCE_MS
    lag = _lag(anchor, reading.steady)
    if agrees:
        since = anchor.since if anchor.off == 0 else reading.steady
        settled = anchor.trust is not Trust.UNSET and reading.steady - since >= SETTLE_MS
        return replace(
            anchor,
            wall=reading.wall,
            steady=reading.steady,
            trust=Trust.SETTLED if settled else anchor.trust,
            off=0,
            since=since,
            lag=lag,
        )
    if _may_be(anchor, reading.wall):
        return _follow(anchor, reading, lag=reading.wall - anchor.floor)
    stands = abs(off - anchor.off) <= TOLERANCE_MS
    since = anchor.since if stands else reading.steady
    if stands and reading.wall >= FLOOR_MS and reading.steady - since >= _proof(off):
        return _follow(anchor, reading, lag=0)
    return replace(
        anchor,
        wall=line,
        steady=reading.steady,
        # The first deviation is kept while it lasts: many small steps are not one lasting step.
        off=anchor.off if stands else off,
        since=since,
        lag=lag,
    )


def confirm(reading: Reading) -> Anchor:
    """The anchor after a person has confirmed the wall clock."""
    wall, steady = reading.wall, reading.steady
    return Anchor(reading.boot, wall, steady, Trust.SETTLED, wall, 0, steady, 0, steady)


def _first(newest: Anchor | None, reading: Reading) -> Anchor:
    """The first look in a boot."""
    wall, steady = reading.wall, reading.steady
    if newest is None:
        unset = wall < FLOOR_MS
        start = max(wall, FLOOR_MS)
        trust = Trust.UNSET if unset else Trust.SETTLED
        off = wall - start
        return Anchor(reading.boot, start, steady, trust, start, off, steady, 0, steady)
    trust = Trust.UNSET if newest.trust is Trust.UNSET else Trust.SETTLING
    known = newest.wall
    # What the boot before had to wait for still counts, and how long it did.
    lag, waited = _lag(newest, newest.steady), newest.steady - newest.lag_since
    fresh = Anchor(
        reading.boot, known, steady, trust, known, wall - known, steady, lag, steady - waited
    )
    if abs(wall - known) <= TOLERANCE_MS:
        return replace(fresh, wall=wall, off=0)
    if _may_be(fresh, wall):
        return _follow(fresh, reading, lag=wall - known)
    return fresh


def _may_be(anchor: Anchor, wall: int) -> bool:
    """Whether a boot that is not settled may well have this time."""
    if anchor.trust is Trust.SETTLED or wall < anchor.floor - TOLERANCE_MS:
        return False
    return anchor.trust is Trust.UNSET or wall <= anchor.floor + DOWNTIME_MS


def _follow(anchor: Anchor, reading: Reading, lag: int) -> Anchor:
    """The wall clock is believed from here on."""
    kept = _lag(anchor, reading.steady)
    # Deletion is late by the greater lag, until both have been waited for.
    until = max(anchor.lag_since + kept, reading.steady + lag)
    return replace(
        anchor,
        wall=reading.wall,
        steady=reading.steady,
        trust=Trust.SETTLED if anchor.trust is Trust.SETTLED else Trust.SETTLING,
        off=0,
        since=reading.steady,
        lag=max(kept, lag),
        lag_since=until - max(kept, lag),
    )


def _lag(anchor: Anchor, steady: int) -> int:
    """What is left of the time by which deletion is late: all of it, or nothing."""
    return 0 if steady - anchor.lag_since >= anchor.lag else anchor.lag


def _proof(off: int) -> int:
    """How long a step must last before it is followed."""
    return off if off > 0 else min(-off, BACK_MS)


# ---------------------------------------------------------------------- this process

# CLOCK_BOOTTIME continues while the machine sleeps. On macOS CLOCK_MONOTONIC does.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")

_installed: Anchor | None = None


def read() -> Reading:
    """The machine's clocks now."""
    return Reading(_wall(), _steady(), _boot())


def install(anchor: Anchor | None) -> None:
    """Makes this process count from here; ``None``: by the wall clock alone."""
    global _installed  # noqa: PLW0603 - one clock a process, read by everything that dates
    _installed = anchor


def now_ms() -> int:
    """Milliseconds since 1970, UTC, as Mooring counts them."""
    anchor = _installed
    return _wall() if anchor is None else now_of(anchor, Reading(_wall(), _steady(), anchor.boot))


def utc_now() -> datetime:
    """The same as an aware ``datetime`` in UTC."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)


def _wall() -> int:
    return time.time_ns() // 1_000_000


def _steady() -> int:
    return time.clock_gettime_ns(_STEADY) // 1_000_000


@lru_cache(maxsize=1)
def _boot() -> str:
    """What names this boot of this machine. Where nothing does, the machine's name: a monotonic
    clock that went back then says that it was started again."""
    if _BOOT_FILE.exists():
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    import platform  # noqa: PLC0415 - start-up time; seldom needed
    import subprocess  # noqa: PLC0415

    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.strip()[:64]
    return f"host {platform.node()}"[:64]
