"""Waiting for something to become true, with an end to the wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, *, timeout: float = 20.0) -> T:
    """Asks ``condition`` until it answers with something true, and returns that.

    Args:
        what: names the condition in the error: "the broker to listen".
        timeout: seconds; generous, since the machine may be busy. No test measures it.

    Raises:
        TimeoutError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout:g} s for {what}.")
        time.sleep(0.02)
