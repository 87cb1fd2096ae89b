"""The nouns and verbs of ``mooring``, each with the modules that declare it.

A call imports the modules of its own noun and of no other; ``mooring --help`` imports them all.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

from typer.main import get_group

__all__ = ["ENTRIES", "Commands", "Entry"]


class Entry(NamedTuple):
    """One word after ``mooring``."""

    name: str
    modules: tuple[str, ...]
    """The first one has the ``typer.Typer`` called ``app``; the others add verbs to it."""
    verb: bool = False
    """Whether the word is a command of ``app``, not ``app`` itself."""


def _noun(name: str, *more: str) -> Entry:
    return Entry(name, tuple(f"mooring.cli.{m}" for m in (name.replace("-", "_"), *more)))


def _verb(name: str, module: str) -> Entry:
    return Entry(name, (f"mooring.cli.{module}",), verb=True)


ENTRIES = (
    _noun("device", "rotate", "gaps", "why", "device_limits"),
    _noun("claim"),
    _noun("telemetry"),
    _noun("retention"),
    _noun("dead-letter"),
    _noun("dialect"),
    _noun("cert", "cert_rollover"),
    _noun("broker"),
    _noun("tenant", "tenant_limits"),
    _noun("user"),
    _noun("key"),
    _noun("audit"),
    _noun("clock"),
    _noun("config"),
    _noun("db"),
    _verb("up", "runtime"),
    _verb("serve", "runtime"),
    _verb("ingest", "runtime"),
    _verb("keeper", "runtime"),
    _verb("backup", "backup"),
    _verb("restore", "backup"),
    _verb("status", "status"),
    _verb("simulate", "simulate"),
)


class Commands(MutableMapping[str, Any]):
    """Word → its command, created on first use. Typer's group takes it for a ``dict``."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command_of(self._entries[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._made

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._entries.pop(name, None)
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._entries, *self._made))

    def __len__(self) -> int:
        return len(self._entries.keys() | self._made.keys())


def _command_of(entry: Entry) -> Any:
    first, *_ = [importlib.import_module(name) for name in entry.modules]
    group = get_group(first.app)
    if entry.verb:
        return group.commands[entry.name]
    group.name = entry.name
    return group
