"""Reading the project's own source: its modules, what they import, what git tracks."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

__all__ = ["ROOT", "Module", "modules", "tracked_files"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One source file. It is parsed when that is asked for: a thousand of them take seconds."""

    name: str  # mooring.devices.store
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def imports(self) -> frozenset[str]:
        """Every dotted name it imports, at the top or in a function, for types or for use.

        ``from a.b import c`` gives both ``a.b`` and ``a.b.c``: which of them is a module is
        for the caller to look up.
        """
        return self._imports

    @cached_property
    def _imports(self) -> frozenset[str]:
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found.add(base)
                found.update(f"{base}.{alias.name}" for alias in node.names)
        return frozenset(found)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        if self.path.name != "__init__.py":
            package = package[:-1]
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])


def parse(name: str, path: Path, text: str) -> Module:
    """A module from its text."""
    return Module(name, path, text)


@cache
def modules(package: Path) -> dict[str, Module]:
    """Every module of a package, by dotted name. ``package`` is its folder (``src/mooring``)."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        words = list(path.relative_to(package.parent).with_suffix("").parts)
        if words[-1] == "__init__":
            words.pop()
        name = ".".join(words)
        found[name] = parse(name, path, path.read_text(encoding="utf-8"))
    return found


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file in git's index that exists, as absolute paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())
