"""A form of a command that a dialect declares: a field for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mooring.dashboard.forms import Form
from mooring.dialects.model import Channel
from mooring.dialects.parameters import TEXT_MAX, CommandForm, Parameter, ParameterType, wrong_value

__all__ = ["Declared", "Field", "declared", "fields", "found", "read"]


class Declared(NamedTuple):
    """A declared command and its channel."""

    channel: str
    form: CommandForm

    @property
    def key(self) -> str:
        """What an address and a form call it."""
        return f"{self.channel} {self.form.name}"


class Field(NamedTuple):
    """How a parameter is asked for.

    Attributes:
        name: of the field in the form.
        kind: ``number``, ``text`` or ``choice``.
        choices: values and words.
    """

    name: str
    label: str
    kind: str
    value: str
    hint: str
    needed: bool
    choices: list[tuple[str, str]]
    least: float | str = ""
    most: float | str = ""
    step: str = ""
    length: int = TEXT_MAX


def declared(channels: Sequence[Channel]) -> list[Declared]:
    """All of a dialect, in its order."""
    return [Declared(channel.name, form) for channel in channels for form in channel.commands]


def found(every: Sequence[Declared], key: str) -> Declared | None:
    """The one with that key."""
    return next((one for one in every if one.key == key), None)


def fields(form: CommandForm) -> list[Field]:
    """A field for each parameter."""
    return [_field(one) for one in form.parameters]


def _field(one: Parameter) -> Field:
    default = "" if one.default is None else _written(one.default)
    choices = [(_written(choice), _written(choice)) for choice in one.choices]
    if one.type is ParameterType.BOOLEAN:
        choices = [("true", "Yes"), ("false", "No")]
    if choices and not one.required:
        choices = [("", "Not sent"), *choices]
    elif choices and not default:
        choices = [("", "Select"), *choices]
    number = one.type in (ParameterType.INTEGER, ParameterType.NUMBER)
    hints = [one.description, f"Unit: {one.unit}." if one.unit else ""]
    return Field(
        name=_name(one),
        label=one.name,
        kind="choice" if choices else "number" if number else "text",
        value=default,
        hint=" ".join(hint for hint in hints if hint),
        needed=one.required,
        choices=choices,
        least="" if one.minimum is None or not number else one.minimum,
        most="" if one.maximum is None or not number else one.maximum,
        step="1" if one.type is ParameterType.INTEGER else "any" if number else "",
        length=TEXT_MAX if number or one.maximum is None else int(one.maximum),
    )


def read(form: Form, spec: CommandForm) -> dict[str, Any]:
    """The parameters that were typed; an empty field is not sent. What is wrong is noted at its
    field."""
    given: dict[str, Any] = {}
    for one in spec.parameters:
        name = _name(one)
        typed = form.raw(name).strip()
        if not typed:
            if one.required:
                form.wrong[name] = f"{one.name} is missing."
            continue
        value = _value(one, typed)
        if problem := wrong_value(one, value):
            form.wrong[name] = problem
        given[one.name] = value
    return given


def _value(one: Parameter, typed: str) -> Any:
    """As its type; the text itself where it is none of that type."""
    try:
        match one.type:
            case ParameterType.BOOLEAN:
                return {"true": True, "false": False}.get(typed, typed)
            case ParameterType.INTEGER:
                return int(typed)
            case ParameterType.NUMBER:
                number = float(typed)
                return int(number) if number.is_integer() else number
    except (ValueError, OverflowError):
        return typed
    return typed


def _written(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.15g}"


def _name(one: Parameter) -> str:
    return f"p.{one.name}"
