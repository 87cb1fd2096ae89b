"""The nouns and verbs of ``mooring``, as the parts name them.

A call imports the modules of its own noun and of no other; ``mooring --help`` imports them all.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from typer.main import get_group

from mooring.part import Noun
from mooring.parts import PARTS

__all__ = ["NOUNS", "Commands"]

NOUNS = tuple(noun for part in PARTS for noun in part.nouns)
"""In the order in which ``mooring --help`` lists them."""


class Commands(MutableMapping[str, Any]):
    """Word → its command, created on first use. Typer's group takes it for a ``dict``."""

    def __init__(self, nouns: Iterable[Noun]) -> None:
        self._nouns = {noun.name: noun for noun in nouns}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command_of(self._nouns[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nouns or name in self._made

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._nouns.pop(name, None)
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._nouns, *self._made))

    def __len__(self) -> int:
        return len(self._nouns.keys() | self._made.keys())


def _command_of(noun: Noun) -> Any:
    first, *_ = [importlib.import_module(name) for name in noun.modules]
    group = get_group(first.app)
    if noun.verb:
        return group.commands[noun.name]
    group.name = noun.name
    return group
