"""What bounds a measured rate: the processes' shares of a core. Pure."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["bottleneck"]

BUSY = 0.85  # of a core: a program with one thread hardly uses more
ALL_BUSY = 0.9  # of all cores: then whoever needs less of them makes the others faster


def bottleneck(shares: Mapping[str, float], cores: int) -> str:
    """Names the bottleneck, so that a ratio of two rates is not read as more than it is.

    Args:
        shares: process → CPU seconds by seconds of the run.
        cores: of the machine.

    Raises:
        ValueError: there are no processes.
    """
    most = max(shares, key=lambda name: shares[name], default=None)
    if most is None:
        raise ValueError("There are no processes.")
    if sum(shares.values()) >= ALL_BUSY * cores:
        return f"all cores, most of it {most}"
    if shares[most] >= BUSY:
        return most
    return "waiting (disk, or other programs on the cores)"
