"""How settings are declared, and what makes a value of one valid.

::

    class HenSettings(Declared):
        hens_max: int = setting(12, "Hens of one farm.", ge=1)

A class of settings inherits from those of the domains. Values are converted where they enter:
an environment variable is text, a TOML file has numbers and lists.
"""

from __future__ import annotations

import math
import os
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

__all__ = ["Declared", "InvalidValue", "Secret", "Setting", "setting"]


class InvalidValue(ValueError):
    """A value that a setting cannot have.

    Attributes:
        name: the setting.
        problem: what is wrong, without the setting's name.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


class Secret:
    """A text that no log and no traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Secret({'**********' if self._text else ''!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``ge``, ``gt`` and ``le`` are bounds of a number; ``check`` gives the value
    back as it shall be, or raises ``ValueError`` with what is wrong."""

    default: Any
    description: str
    aliases: tuple[str, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    check: Callable[[Any], Any] | None = None
    annotation: Any = field(default=None, compare=False)

    def read(self, value: Any) -> Any:
        """A value from outside, as the setting has it.

        Raises:
            ValueError: it is not valid; the message says why.
        """
        found = _converted(value, self.annotation)
        if isinstance(found, int | float) and not isinstance(found, bool):
            self._within(found)
        return found if self.check is None else self.check(found)

    def _within(self, number: float) -> None:
        if self.ge is not None and number < self.ge:
            raise ValueError(f"{number:g} is less than {self.ge:g}")
        if self.gt is not None and number <= self.gt:
            raise ValueError(f"{number:g} is not more than {self.gt:g}")
        if self.le is not None and number > self.le:
            raise ValueError(f"{number:g} is more than {self.le:g}")


def setting(default: Any, description: str, *aliases: str, **limits: Any) -> Any:
    """A setting of a ``Declared`` class.

    Args:
        description: one sentence, for ``mooring config show``.
        aliases: other variables it is read from.
        limits: ``ge``, ``gt``, ``le`` and ``check`` of ``Setting``.
    """
    return Setting(default, description, aliases, **limits)


class Declared:
    """Values of declared settings; they do not change.

    Raises:
        InvalidValue: a value is not valid, or there is no such setting.
    """

    model_fields: ClassVar[Mapping[str, Setting]] = {}
    """Name → declaration, those of the bases first."""

    def __init_subclass__(cls) -> None:
        found: dict[str, Setting] = {}
        for base in reversed(cls.__mro__):
            hints = get_type_hints(base) if base is cls else {}
            found.update(getattr(base, "model_fields", {}))
            for name, declared in vars(base).items():
                if isinstance(declared, Setting) and base is cls:
                    found[name] = _annotated(declared, hints[name])
        cls.model_fields = found

    def __init__(self, **values: Any) -> None:
        for name in values:
            if name not in self.model_fields:
                raise InvalidValue(name, "there is no such setting")
        for name, declared in self.model_fields.items():
            value = declared.default
            if name in values:
                try:
                    value = declared.read(values[name])
                except ValueError as exc:
                    raise InvalidValue(name, str(exc)) from exc
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be changed: make a copy.")

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.model_fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(cls.model_fields)

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with other values.

        Raises:
            InvalidValue: one is not valid.
        """
        return type(self)(**{**dict(self), **update})

    def model_dump(
        self, *, mode: Literal["json"] = "json", exclude: Collection[str] = ()
    ) -> dict[str, Any]:
        """The values as JSON has them; secrets are masked."""
        assert mode == "json"
        return {name: _plain(value) for name, value in self if name not in exclude}


def _annotated(declared: Setting, annotation: Any) -> Setting:
    return Setting(
        declared.default,
        declared.description,
        declared.aliases,
        declared.ge,
        declared.gt,
        declared.le,
        declared.check,
        annotation,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return "**********"
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _converted(value: Any, annotation: Any) -> Any:  # noqa: PLR0911 - one answer for each type
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return None if value is None else _converted(value, inner[0])
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        for choice in choices:
            if value == choice:
                return choice
        raise ValueError(f"{value!r:.100} is not one of {', '.join(map(str, choices))}")
    if annotation == tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise ValueError(f"{value!r:.100} is not a list of texts")
    if annotation is Path:
        if isinstance(value, str | os.PathLike):
            return Path(value)
        raise ValueError(f"{value!r:.100} is not a path")
    if annotation is Secret:
        value = getattr(value, "get_secret_value", lambda: value)()
        if isinstance(value, str):
            return Secret(value)
        raise ValueError("it is not a text")
    if annotation in (int, float):
        return _number(value, annotation)
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"{value!r:.100} is not a text")


def _number(value: Any, kind: type[int] | type[float]) -> int | float:
    word = "a whole number" if kind is int else "a number"
    problem = ValueError(f"{value!r:.100} is not {word}")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise problem
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        raise problem from None
    if not math.isfinite(number) or (not isinstance(value, str) and number != value):
        raise problem
    return number
