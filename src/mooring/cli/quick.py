"""Options that need no conversion are not converted.

Typer converts every value with pydantic, whose import takes longer than everything else that a
short command imports. A value that is missing, is its option's default, or is of the right type
already stays as it is; any other goes to Typer's own conversion.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["Group", "Verb"]


class _Quick:
    """Placeholder for Typer's conversion of one parameter, until it is needed."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        plain = type(value) is str and param.type_descriptor.annotation is str
        default = type(value) is type(param.default) and value == param.default
        if not several and (plain or default):
            return value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def quicken(params: list[Any]) -> list[Any]:
    """Does so for these parameters; where Typer keeps no such thing, nothing changes."""
    for param in params:
        if getattr(param, "_runtime_param", False) is None:
            param._runtime_param = _Quick()
    return params


class Verb(TyperCommand):
    """A command whose options are quick."""

    def get_params(self, ctx: Any) -> list[Any]:
        return quicken(super().get_params(ctx))


class Group(TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return quicken(super().get_params(ctx))
