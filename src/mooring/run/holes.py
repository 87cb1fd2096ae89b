"""Filling the holes in Python's memory, before processes are forked.

Importing leaves some thousand free blocks of a few bytes each, on as many pages. Every forked
process would put its new objects there, and get a copy of each of those pages of its own. While
the holes are occupied, new objects are on new pages, and the old ones stay shared: that is 1 to 2
MB less for each process, for 0.6 MB once.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["fill"]

STEP, LARGEST = 16, 512  # Python's allocator has a size class every so many bytes, up to this
POOL_BYTES, POOL_HEADER = 16_384, 48  # blocks of one size are together in pools
MOST = 4_000  # blocks of one size class
_BYTES_HEADER = 33

_filling: list[object] = []


def fill() -> int:
    """Occupies free blocks for as long as the process runs; how many."""
    before = len(_filling)
    for size in range(STEP, LARGEST + 1, STEP):
        _filling.extend(_fill(size, _maker(size)))
    return len(_filling) - before


def _maker(size: int) -> Callable[[], object]:
    """What makes an object of this size class."""
    if size == STEP:
        return object
    if size == 2 * STEP:
        return lambda: float("1.5")
    return lambda: bytes(size - _BYTES_HEADER)


def _fill(size: int, make: Callable[[], object]) -> list[object]:
    """Until objects come from a pool that nothing else is in."""
    made: list[object] = []
    place = 0
    for _ in range(MOST):
        made.append(make())
        before, place = place, id(made[-1])
        if before % POOL_BYTES == POOL_HEADER and place == before + size:
            del made[-2:]
            break
    return made
