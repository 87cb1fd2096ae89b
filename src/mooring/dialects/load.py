"""Reads dialect files: those that come with Mooring, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from mooring.dialects.checking import check
from mooring.dialects.mistakes import Mistake
from mooring.dialects.model import Dialect
from mooring.errors import Internal, InvalidDialect, NotFound

__all__ = ["MAX_FILE_BYTES", "Catalogue", "builtin", "load_all", "load_file"]

MAX_FILE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every dialect that can be used, and the files that could not be read."""

    dialects: tuple[Dialect, ...]
    broken: Mapping[Path, InvalidDialect] = field(default_factory=dict)

    def all(self) -> tuple[Dialect, ...]:
        """In a fixed order: the built-in ones by name, then the user's by file name."""
        return self.dialects

    def names(self) -> tuple[str, ...]:
        return tuple(dialect.name for dialect in self.dialects)

    def get(self, name: str) -> Dialect:
        """The dialect of that name; ``NotFound`` with the names there are."""
        for dialect in self.dialects:
            if dialect.name == name:
                return dialect
        hint = f"There are: {', '.join(self.names())}."
        if self.broken:
            files = ", ".join(path.name for path in self.broken)
            hint += f" Not usable until fixed: {files}."
        raise NotFound(f"There is no dialect {name!r}.", hint=hint, code="dialect_not_found")


@cache
def builtin() -> tuple[Dialect, ...]:
    """The dialects that come with Mooring, by name."""
    found = []
    for entry in resources.files("mooring.dialects").iterdir():
        if entry.name.endswith(".toml"):
            dialect, mistakes = check(entry.read_text(encoding="utf-8"), f"builtin:{entry.name}")
            if dialect is None:
                raise Internal(f"The built-in dialect {entry.name} is invalid: {mistakes[0]}.")
            found.append(dialect)
    return tuple(sorted(found, key=lambda dialect: dialect.name))


def load_file(path: Path) -> Dialect:
    """The dialect in a file.

    Raises:
        InvalidDialect: the file cannot be read or holds mistakes; ``context["mistakes"]``
            lists them as dictionaries with ``line``, ``where``, ``message`` and ``hint``.
    """
    dialect, mistakes = check(_read(path), str(path))
    if dialect is None:
        raise _invalid(path, mistakes)
    return dialect


def load_all(extra_dir: Path | None = None) -> Catalogue:
    """The built-in dialects and every ``*.toml`` in a directory of the user's.

    A file that cannot be used is listed in ``Catalogue.broken`` and takes no other down. A
    directory that does not exist holds no dialects.
    """
    dialects = {dialect.name: dialect for dialect in builtin()}
    broken: dict[Path, InvalidDialect] = {}
    paths = sorted(extra_dir.glob("*.toml")) if extra_dir is not None else []
    for path in paths:
        try:
            dialect = load_file(path)
        except InvalidDialect as error:
            broken[path] = error
            continue
        if dialect.name in dialects:
            taken = dialects[dialect.name].source
            broken[path] = _invalid(
                path,
                [
                    Mistake(
                        None,
                        "name",
                        f"The dialect {dialect.name!r} already exists ({taken}).",
                        "Choose another name for this one.",
                    )
                ],
            )
            continue
        dialects[dialect.name] = dialect
    return Catalogue(tuple(dialects.values()), broken)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        mistake = Mistake(None, "file", f"It cannot be read: {error.strerror or error}.")
        raise _invalid(path, [mistake]) from error
    if len(data) > MAX_FILE_BYTES:
        raise _invalid(path, [Mistake(None, "file", f"It has more than {MAX_FILE_BYTES} bytes.")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        mistake = Mistake(line, "file", "It is not UTF-8.", "Save it as UTF-8 text.")
        raise _invalid(path, [mistake]) from error


def _invalid(path: Path, mistakes: list[Mistake]) -> InvalidDialect:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    listed = "".join(f"\n  {mistake}" for mistake in mistakes)
    return InvalidDialect(
        f"The dialect file {path} has {count}.{listed}",
        hint=f"Fix the file and check it with: mooring dialect check {path}",
        path=str(path),
        mistakes=[
            {"line": m.line, "where": m.where, "message": m.message, "hint": m.hint}
            for m in mistakes
        ],
    )
