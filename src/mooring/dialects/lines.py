"""Where in a TOML text a key is, so that a mistake can name its line.

``tomllib`` gives no positions. This reads just enough of TOML's line structure to find
tables and keys; it is only used for messages, on text that ``tomllib`` has accepted. Keys
inside an inline table or an array are found at the line of the table or array.
"""

from __future__ import annotations

import re

__all__ = ["Lines"]

_Key = tuple[str | int, ...]
_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_SKIP = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]|\n',
    re.DOTALL,
)


class Lines:
    """Line numbers (from 1) of the tables and keys of a TOML text."""

    def __init__(self, text: str) -> None:
        self._found: dict[_Key, int] = {}
        self._arrays: dict[_Key, int] = {}
        self._table: _Key = ()
        text = text.replace("\r\n", "\n")
        position, number = 0, 1
        while position < len(text):
            end = _end_of_statement(text, position)
            self._read(text[position:end], number)
            number += text.count("\n", position, end)
            position = end

    def of(self, key: _Key) -> int | None:
        """The line of the key, or of the nearest table around it that has one."""
        while key:
            if key in self._found:
                return self._found[key]
            key = key[:-1]
        return None

    def _read(self, statement: str, number: int) -> None:
        start = statement.lstrip()
        if start.startswith("[["):
            name = self._resolve(_parts(start[2:]))
            self._arrays[name] = self._arrays.get(name, -1) + 1
            self._found.setdefault(name, number)
            self._table = (*name, self._arrays[name])
            self._found[self._table] = number
        elif start.startswith("["):
            self._table = self._resolve(_parts(start[1:]))
            self._found.setdefault(self._table, number)
        else:
            parts = _parts(start)
            for count in range(1, len(parts) + 1):
                self._found.setdefault((*self._table, *parts[:count]), number)

    def _resolve(self, parts: _Key) -> _Key:
        """A header's name with the running index of each array of tables it passes."""
        name: _Key = ()
        for position, part in enumerate(parts):
            name = (*name, part)
            if name in self._arrays and position < len(parts) - 1:
                name = (*name, self._arrays[name])
        return name


def _end_of_statement(text: str, position: int) -> int:
    """Past the line break that ends the statement: not inside a string or brackets."""
    depth = 0
    for found in _SKIP.finditer(text, position):
        match found[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth <= 0:
                return found.end()
    return len(text)


def _parts(text: str) -> _Key:
    """The dotted key at the start of the text."""
    parts: list[str] = []
    position = 0
    while found := _PART.match(text, position):
        parts.append(next(group for group in found.groups() if group is not None))
        position = found.end()
        if text[position : position + 1] != ".":
            break
        position += 1
    return tuple(parts)
