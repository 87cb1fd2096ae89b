"""The settings of ``mooring up`` on their way to the processes it starts.

One JSON document through the child's standard input, all values, secrets as well: whatever they
hold, nothing has to be quoted, no value has a meaning, and neither environment nor command line
shows them. The child takes it instead of environment and file, so both have the same settings.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

__all__ = ["HEIR", "SUPERVISED", "Fork", "document", "received", "without_settings"]

SUPERVISED = "MOORING_SUPERVISED_BY"
"""The process id of the parent; where it is set, standard input holds the document."""

HEIR = "MOORING_SUPERVISED_NEXT_BY"
"""The process id of the one that becomes the parent when the parent ends."""


class Fork(BaseException):
    """This process was forked to run another command; ``mooring.cli.main.main`` does so."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.words = words


def document(settings: Iterable[tuple[str, Any]]) -> bytes:
    """The settings, as (name, value), for ``received`` of another process."""
    return json.dumps({name: _plain(value) for name, value in settings}).encode()


@cache
def received() -> Mapping[str, Any] | None:
    """What the parent handed over; ``None`` for a process that was not started by one."""
    if SUPERVISED not in os.environ:
        return None
    found = json.loads(sys.stdin.buffer.read())
    assert isinstance(found, dict)
    return found


def without_settings(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """An environment for a child: without the variables of these names."""
    dropped = frozenset(names)
    return {name: value for name, value in environment.items() if name not in dropped}


def _plain(value: Any) -> Any:
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return list(value) if isinstance(value, tuple) else value
