"""What a dialect declares of a command: its parameters, and which values they may have. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

__all__ = [
    "PARAMETERS_MAX",
    "TEXT_MAX",
    "CommandForm",
    "Parameter",
    "ParameterType",
    "mistakes",
    "wrong_value",
]

PARAMETERS_MAX = 32
"""Parameters of one command, and commands of one channel."""
TEXT_MAX = 1000
"""Characters of a parameter that is a text, unless the dialect says another number."""

Choice = str | int | float


class ParameterType(StrEnum):
    """What a parameter is."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command.

    Attributes:
        minimum, maximum: of a number; of a text its characters.
        choices: the only values it may have; empty: any.
        default: shown in forms; a command without the parameter is sent without it.
        unit: of a number, for people.
    """

    name: str
    type: ParameterType
    required: bool = False
    default: str | int | float | bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Choice, ...] = ()
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class CommandForm:
    """A command that a dialect declares."""

    name: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()


def mistakes(form: CommandForm, given: Mapping[str, Any]) -> dict[str, str]:
    """Name of a parameter → what is wrong with it. Parameters that are not declared are free: a
    newer firmware may know them."""
    found = {}
    for one in form.parameters:
        if one.name not in given:
            if one.required:
                found[one.name] = "It is missing."
        elif problem := wrong_value(one, given[one.name]):
            found[one.name] = problem
    return found


def wrong_value(one: Parameter, value: Any) -> str:
    """What is wrong with a value; empty: nothing."""
    if not _is(one.type, value):
        return f"{str(value)[:60]!a} is not {_WORDS[one.type]}."
    if one.choices and value not in one.choices:
        return f"Use one of {', '.join(str(choice) for choice in one.choices)}."
    size, what = (len(value), " characters") if isinstance(value, str) else (value, "")
    most = TEXT_MAX if one.maximum is None and what else one.maximum
    if one.minimum is not None and size < one.minimum:
        return f"{size:,g}{what} is less than {one.minimum:,g}."
    if most is not None and size > most:
        return f"{size:,g}{what} is more than {most:,g}."
    return ""


_WORDS = {
    ParameterType.TEXT: "a text",
    ParameterType.INTEGER: "a whole number",
    ParameterType.NUMBER: "a number",
    ParameterType.BOOLEAN: "true or false",
}


def _is(kind: ParameterType, value: Any) -> bool:
    match kind:
        case ParameterType.TEXT:
            return isinstance(value, str)
        case ParameterType.BOOLEAN:
            return isinstance(value, bool)
        case ParameterType.INTEGER:
            return isinstance(value, int) and is_number(value)
    return is_number(value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it can be compared with any bound: finite, and no whole number beyond all floats."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and abs(value) <= sys.float_info.max
