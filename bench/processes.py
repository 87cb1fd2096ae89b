"""What processes have used: CPU time and memory, from ``/proc``.

On systems without it (macOS) these figures are left out; rates and delays are measured anyway.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "VISIBLE",
    "Usage",
    "cpu_exact",
    "cpu_seconds",
    "descendants",
    "ended",
    "name_of",
    "peak_rss",
    "pss",
    "rss",
    "written",
]

_PROC = Path("/proc")
VISIBLE = (_PROC / "self" / "stat").exists()
"""Whether this system shows what processes use."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _fields(pid: int) -> list[str] | None:
    """What stands behind the name in ``/proc/PID/stat``; the name may hold spaces."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def ended(pid: int) -> bool:
    """Whether it has ended, also when nobody has asked for its exit code yet (``VISIBLE``)."""
    fields = _fields(pid)
    return fields is None or fields[0] in "ZX"


def descendants(pid: int) -> list[int]:
    """The process and everything below it."""
    parents: dict[int, list[int]] = {}
    for entry in _PROC.iterdir() if VISIBLE else ():
        if entry.name.isdigit():
            fields = _fields(int(entry.name))
            if fields is not None:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, pending = [], [pid]
    while pending:
        one = pending.pop()
        found.append(one)
        pending += parents.get(one, [])
    return found


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process, of those below it, and of those below it that have ended."""
    if not VISIBLE:
        return None
    ticks = 0
    for one in descendants(pid):
        fields = _fields(one)
        if fields is not None:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def cpu_exact(pid: int) -> float:
    """CPU seconds of a process alone, by the scheduler's clock; threads that have ended are left
    out."""
    spent = 0
    for thread in (_PROC / str(pid) / "task").iterdir():
        try:
            spent += int((thread / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return spent / 1e9


def name_of(pid: int) -> str:
    """What it is: the command of Mooring, or the program."""
    words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    if "mooring" in words:
        return words[words.index("mooring") + 1]
    scripts = [Path(word).stem for word in words if word.endswith(".py")]
    return scripts[0] if scripts else Path(words[0]).name


def pss(pid: int) -> int | None:
    """Bytes in memory now; a shared one counts by its share in each process that has it."""
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def rss(pid: int) -> int | None:
    """Bytes in memory now; shared ones count in each process that has them."""
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def peak_rss(pid: int) -> int | None:
    """The most bytes it has had in memory."""
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def written(pid: int) -> int | None:
    """Bytes that a process and those below it have caused to be written to disk; ``None`` where
    the system does not tell. What processes that have ended wrote is left out."""
    total = 0
    try:
        for one in descendants(pid):
            fields = dict(
                line.split(": ", 1) for line in (_PROC / str(one) / "io").read_text().splitlines()
            )
            total += int(fields["write_bytes"])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return total if VISIBLE else None


@dataclass(slots=True)
class Usage:
    """CPU time of some processes over a while.

    Args:
        pids: name → process; several names may not share one.
    """

    pids: dict[str, int]
    _before: dict[str, float | None] | None = None

    def begin(self) -> None:
        self._before = self._now()

    def so_far(self) -> dict[str, float | None]:
        """Name → CPU seconds since ``begin``."""
        assert self._before is not None
        now = self._now()
        found: dict[str, float | None] = {}
        for name, after in now.items():
            before = self._before[name]
            found[name] = None if after is None or before is None else after - before
        return found

    def _now(self) -> dict[str, float | None]:
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}
