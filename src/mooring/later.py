"""Imports that cost nothing until they are used.

::

    with later():
        from mooring.broker import foreign
        from mooring.pki import service as pki

binds ``foreign`` and ``pki`` to stand-ins that import their module at the first attribute that
is asked of them. People script the command line and pay for every import each time; type
checkers and readers still see ordinary imports at the top of the file. Only modules can be
imported this way, never a name from inside one. Python 3.15 has ``lazy import`` for the same.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["Later", "later"]


class Later(ModuleType):
    """A module that is imported when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        # Only what a module object does not have by itself arrives here.
        return getattr(importlib.import_module(self.__name__), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(importlib.import_module(self.__name__), name, value)

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}, later>"


class _Parent:
    """What ``from package import a, b`` takes its names from."""

    def __init__(self, package: str) -> None:
        self.package = package

    def __getattr__(self, name: str) -> Later:
        return Later(f"{self.package}.{name}")


@contextmanager
def later() -> Iterator[None]:
    """Makes the imports of its body, and of no other code, wait for their first use.

    Raises:
        ImportError: at once for ``import a.b``, which binds ``a``; at the first use for a module
            that does not exist.
    """
    # Frames from here: this generator, ``contextlib``'s ``__enter__``, the module with the body.
    body = sys._getframe(2).f_globals
    original = builtins.__import__

    def instead(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if globals is not body:
            return original(name, globals, locals, fromlist or (), level)
        if level or (not fromlist and "." in name):
            raise ImportError(f"{name}: write `from package import module`", name=name)
        return _Parent(name) if fromlist else Later(name)

    builtins.__import__ = instead
    try:
        yield
    finally:
        builtins.__import__ = original
