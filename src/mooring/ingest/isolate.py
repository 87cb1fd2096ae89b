"""Writing what can be written: a value that the database rejects costs that value alone.

Halves of the items are written in savepoints until the one at fault stands alone. That is at
most two statements for each item and one more for each halving.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from mooring.store.faults import Judgement, judge, of_driver

__all__ = ["each_alone", "refuses", "why"]

# Turning a value into what a driver sends failed.
_NOT_SENT = (ArithmeticError, TypeError, ValueError, struct.error)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def refuses(fault: BaseException) -> bool:
    """Whether a value is at fault, so that trying again would not help."""
    if not of_driver(fault) and not isinstance(fault, _NOT_SENT):
        return False
    return judge(fault).judgement not in {Judgement.RETRY, Judgement.FATAL}


def each_alone(
    items: Sequence[Item],
    write: Callable[[Sequence[Item]], Answer],
    refused: Callable[[Item, Exception], None],
    *,
    savepoint: Callable[[], AbstractContextManager[object]],
    costs_an_item: Callable[[Exception], bool] | None = None,
) -> list[Answer]:
    """Writes these items in their order, without those that are rejected.

    Args:
        write: writes some of them.
        refused: called for each item that cannot be written even alone.
        savepoint: rolls back to its beginning when its body raises.
        costs_an_item: whether an error is an item's fault (``refuses``, if absent).

    Raises every other error.

    Returns:
        What ``write`` returned for each part that was written.
    """
    answers = []
    pending = [items] if items else []
    while pending:
        some = pending.pop()
        try:
            with savepoint():
                answer = write(some)
        except Exception as exc:
            if not (costs_an_item or refuses)(exc):
                raise
            if len(some) == 1:
                refused(some[0], exc)
            else:
                half = len(some) // 2
                pending += [some[half:], some[:half]]
        else:
            answers.append(answer)
    return answers


def why(what: str, exc: Exception) -> str:
    """For a dead letter: what is not possible, and the error in short."""
    said = " ".join(str(exc).split())
    return f"{what}: {type(exc).__name__}: {said}"[:1000]
