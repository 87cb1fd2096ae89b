"""Reads the tables of a dialect file: which keys there are, and what each may hold.

A value that is missing or wrong is reported and replaced by a harmless one, so reading goes
on to the end of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from mooring.dialects.mistakes import Place, Report, nearest
from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    DoneWhen,
    FirmwareCommand,
    Format,
    Kind,
    Path,
    PayloadShape,
    TimeFormat,
    TimeNumbers,
)
from mooring.dialects.parameters import (
    PARAMETERS_MAX,
    CommandForm,
    Parameter,
    ParameterType,
    is_number,
    wrong_value,
)

__all__ = ["CHANNEL_KEYS", "DIALECT_KEYS", "PAYLOAD_KEYS", "placeholder_of", "read_dialect"]

DIALECT_KEYS = (
    "name",
    "title",
    "description",
    "username",
    "client_id",
    "client_id_fixed",
    "max_packet",
    "interval_seconds",
    "placeholders",
    "payload",
    "channels",
)
CHANNEL_KEYS = (
    "name",
    "topic",
    "direction",
    "kind",
    "qos",
    "retain",
    "operator_only",
    "install_windows",
    "done_when",
    "commands",
    "firmware",
    "description",
    "payload",
)

PARAMETER_KEYS = (
    *("type", "required", "default", "minimum", "maximum", "choices", "unit", "description"),
)

INTERVAL_MAX_SECONDS = 86_400
COMMAND_NAME_MAX = 128
"""Characters of the name of a command or parameter."""

_E = TypeVar("_E", bound=StrEnum)
_MISSING: Any = object()
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PLACEHOLDER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PACKET_LONGEST = 268_435_460  # a fixed header and the largest remaining length [MQTT-2.2.3]
_PATH_PART = re.compile(r"(?:[^.\\]|\\.)+")


def placeholder_of(level: str) -> str | None:
    """The placeholder's name when it fills the whole topic level."""
    found = _PLACEHOLDER.fullmatch(level)
    return found[1] if found else None


def read_dialect(data: Mapping[str, Any], source: str, report: Report) -> Dialect:
    """A dialect from parsed TOML; only to be used when nothing was reported."""
    table = _Table(data, (), report)
    table.only(DIALECT_KEYS)
    declared = _read_placeholders(table.table("placeholders"))
    shared = table.table("payload")
    shared.only(PAYLOAD_KEYS)
    _read_shape(shared, shared)  # for its mistakes, even where every channel has its own
    name = table.name("name")
    channels = tuple(
        _read_channel(channel, shared, declared) for channel in table.tables("channels")
    )
    used = {placeholder_of(level) for channel in channels for level in channel.topic.split("/")}
    for unused in sorted(set(declared) - used):
        report.add(("placeholders", unused), "No topic uses this placeholder.", "Remove it.")
    username = table.text("username", _MISSING)
    client_id = table.text("client_id", "{device}")
    interval = table.integer("interval_seconds", 0, 0, INTERVAL_MAX_SECONDS)
    attributes = {a for c in channels for a in c.placeholders.values()}
    return Dialect(
        name=name,
        title=table.text("title", _MISSING),
        username=username,
        client_id=client_id,
        channels=channels,
        tenanted=Attribute.TENANT in attributes,
        needs_mac=Attribute.MAC in attributes or "{mac}" in username + client_id,
        client_id_fixed=table.flag("client_id_fixed", default=True),
        max_packet=table.integer("max_packet", 0, 0, PACKET_LONGEST),
        description=table.text("description", ""),
        source=source,
        interval_ms=interval * 1000 or None,
    )


def _read_placeholders(table: _Table) -> dict[str, Attribute]:
    declared = {}
    for name in table.data:
        if not _PLACEHOLDER_NAME.fullmatch(name):
            table.wrong(
                name,
                f"{name!r} is not a valid placeholder name.",
                "Use letters, digits and underscores.",
            )
        declared[name] = table.word(name, Attribute, Attribute.NAME)
    return declared


def _read_channel(table: _Table, shared: _Table, declared: Mapping[str, Attribute]) -> Channel:
    table.only(CHANNEL_KEYS)
    topic = table.text("topic", _MISSING)
    placeholders = {}
    for level in topic.split("/"):
        placeholder = placeholder_of(level)
        if placeholder is None:
            continue
        if placeholder in declared:
            placeholders[placeholder] = declared[placeholder]
        else:
            table.wrong(
                "topic",
                f"The placeholder {{{placeholder}}} is not declared.",
                f'Add it to [placeholders], such as {placeholder or "name"} = "device".',
            )
            placeholders[placeholder] = Attribute.NAME
    payload = table.table("payload")
    payload.only(PAYLOAD_KEYS)
    return Channel(
        name=table.name("name"),
        topic=topic,
        direction=table.word("direction", Direction, _MISSING),
        kind=table.word("kind", Kind, _MISSING),
        qos=table.integer("qos", 1, 0, 2),
        retain=table.flag("retain"),
        payload=_read_shape(payload, shared),
        placeholders=placeholders,
        description=table.text("description", ""),
        operator_only=table.flag("operator_only"),
        done_when=_read_effects(table.table("done_when")),
        commands=_read_commands(table.table("commands")),
        firmware=_read_firmware(table),
        install_windows=table.flag("install_windows"),
    )


def _read_firmware(table: _Table) -> tuple[FirmwareCommand, ...]:
    """A list of commands, or none."""
    if "firmware" not in table.data:
        return ()
    found = []
    for one in table.tables("firmware"):
        one.only(("command", "parameters"))
        parameters = []
        for name, value in one.table("parameters").data.items():
            if not isinstance(value, str | int | float | bool):
                one.wrong("parameters", f"{name!r} must be a text, a number, true or false.")
                continue
            parameters.append((name, value))
        found.append(FirmwareCommand(one.text("command", _MISSING), tuple(parameters)))
    return tuple(found)


def _read_effects(table: _Table) -> tuple[tuple[str, DoneWhen], ...]:
    return tuple((name, table.word(name, DoneWhen, DoneWhen.SESSION)) for name in table.data)


def _read_commands(table: _Table) -> tuple[CommandForm, ...]:
    found = []
    for name in table.data:
        command = table.table(name)
        command.only(("description", "parameters"))
        parameters = command.table("parameters")
        found.append(
            CommandForm(
                name,
                command.text("description", ""),
                tuple(_read_parameter(parameters, each) for each in parameters.data),
            )
        )
        if not name or len(name) > COMMAND_NAME_MAX or not name.isprintable():
            table.wrong(name, f"{name[:60]!r} is not a valid name of a command.")
        if len(parameters.data) > PARAMETERS_MAX:
            command.wrong("parameters", f"There are more than {PARAMETERS_MAX}.")
    if len(found) > PARAMETERS_MAX:
        table.wrong("", f"There are more than {PARAMETERS_MAX} commands.")
    return tuple(found)


def _read_parameter(parameters: _Table, name: str) -> Parameter:
    table = parameters.table(name)
    table.only(PARAMETER_KEYS)
    if not name or len(name) > COMMAND_NAME_MAX or not name.isprintable():
        parameters.wrong(name, f"{name[:60]!r} is not a valid name of a parameter.")
    kind = table.word("type", ParameterType, ParameterType.TEXT)
    found = Parameter(
        name,
        kind,
        required=table.flag("required"),
        default=table.data.get("default"),
        minimum=table.number("minimum"),
        maximum=table.number("maximum"),
        choices=tuple(table.scalars("choices")),
        unit=table.text("unit", ""),
        description=table.text("description", ""),
    )
    free = replace(found, choices=())
    for value in found.choices:
        if problem := wrong_value(free, value):
            table.wrong("choices", problem)
    if found.default is not None and (problem := wrong_value(found, found.default)):
        table.wrong("default", problem)
    if kind is ParameterType.BOOLEAN and (
        found.choices or (found.minimum, found.maximum) != (None, None)
    ):
        table.wrong("type", "A boolean has neither choices nor bounds.")
    return found


def _read_shape(own: _Table, shared: _Table) -> PayloadShape:
    """The channel's own keys over those that all channels of the dialect share."""
    return PayloadShape(
        **{
            key: read(own if key in own.data or key not in shared.data else shared, key)
            for key, read in _PAYLOAD_READERS.items()
        }
    )


class _Table:
    """One TOML table, the place it is, and readers that report what does not fit."""

    def __init__(self, data: Mapping[str, Any], place: Place, report: Report) -> None:
        self.data = data
        self.place = place
        self._report = report

    def wrong(self, key: str, message: str, hint: str = "") -> None:
        self._report.add((*self.place, key), message, hint)

    def only(self, known: tuple[str, ...]) -> None:
        for key in self.data:
            if key not in known:
                self.wrong(key, "This key does not exist.", nearest(key, known))

    def text(self, key: str, default: str) -> str:
        value: str = self._get(key, str, "a text", default, "")
        if "\0" in value:
            self.wrong(key, "It contains the character U+0000.")
        if default is _MISSING and key in self.data and value == "":
            self.wrong(key, "It is empty.")
        return value

    def name(self, key: str) -> str:
        value = self.text(key, _MISSING)
        if value and not _NAME.fullmatch(value):
            self.wrong(
                key,
                f"{value!r} is not a valid name.",
                "Use at most 32 lower-case letters, digits, - and _, beginning with a letter.",
            )
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value: bool = self._get(key, bool, "true or false", default, default)
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        value: int = self._get(key, int, "a whole number", default, default)
        if not low <= value <= high:
            self.wrong(key, f"{value} is not between {low} and {high}.")
            return default
        return value

    def number(self, key: str) -> float | None:
        value = self.data.get(key)
        if value is None:
            return None
        if not is_number(value):
            self.wrong(key, f"It must be a number, not {value!r:.60}.")
            return None
        return value

    def scalars(self, key: str) -> list[str | int | float]:
        """Texts and numbers."""
        value = self._get(key, list, "a list", [], [])
        wrong = [
            one for one in value if isinstance(one, bool) or not isinstance(one, str | int | float)
        ]
        if wrong:
            self.wrong(key, f"It must have texts or numbers, not {wrong[0]!r:.60}.")
            return []
        return list(value)

    def word(self, key: str, words: type[_E], default: _E) -> _E:
        fallback = next(iter(words))
        value = self._get(key, str, "a text", default, fallback)
        try:
            return words(value)
        except ValueError:
            self.wrong(key, f"{value!r} is not known.", nearest(value, [str(w) for w in words]))
            return fallback

    def path(self, key: str, *, whole: bool = False) -> Path | None:
        """A dotted path. ``whole``: the empty text is allowed and means the whole payload."""
        if key not in self.data:
            return () if whole else None
        return self._parse_path(key, self.data[key], whole=whole)

    def paths(self, key: str) -> tuple[Path, ...]:
        """One dotted path or a list of them."""
        value = self.data.get(key, [])
        items = value if isinstance(value, list) else [value]
        paths = (self._parse_path(key, item, whole=False) for item in items)
        return tuple(path for path in paths if path)

    def constants(self, key: str) -> tuple[tuple[Path, str | int | float | bool], ...]:
        found = []
        for written, value in self.table(key).data.items():
            path = self._parse_path(key, written, whole=False)
            if not isinstance(value, str | int | float | bool):
                self.wrong(key, f"{written!r} must be a text, a number, true or false.")
            found.append((path, value))
        return tuple(found)

    def table(self, key: str) -> _Table:
        value = self._get(key, dict, "a table", {}, {})
        return _Table(value, (*self.place, key), self._report)

    def tables(self, key: str) -> list[_Table]:
        value = self._get(key, list, "a list of tables", _MISSING, [])
        if key in self.data and not value:
            self.wrong(key, "There are no channels.", f"Add one with [[{key}]].")
        if not all(isinstance(item, dict) for item in value):
            self.wrong(key, "It must be a list of tables.", f"Write each as [[{key}]].")
        return [
            _Table(item, (*self.place, key, index), self._report)
            for index, item in enumerate(value)
            if isinstance(item, dict)
        ]

    def _get(self, key: str, kind: type, called: str, default: Any, fallback: Any) -> Any:
        value = self.data.get(key, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                self.wrong(key, "This key is missing.", f"Add {key} = ….")
                return fallback
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.wrong(key, f"It must be {called}, not {value!r:.60}.")
            return fallback
        return value

    def _parse_path(self, key: str, written: object, *, whole: bool) -> Path:
        if not isinstance(written, str):
            self.wrong(key, f"A path must be a text, not {written!r:.60}.")
            return ()
        if written == "" and whole:
            return ()
        parts = _PATH_PART.findall(written)
        if not parts or ".".join(parts) != written:
            self.wrong(
                key,
                f"{written!r} is not a valid path.",
                "Join object keys with dots, such as 'meta.time'; a dot in a key is '\\.'.",
            )
            return ()
        return tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)


_PAYLOAD_READERS: dict[str, Callable[[_Table, str], Any]] = {
    "format": lambda t, k: t.word(k, Format, Format.JSON),
    "time": lambda t, k: t.paths(k),
    "time_numbers": lambda t, k: t.word(k, TimeNumbers, TimeNumbers.EPOCH),
    "time_format": lambda t, k: t.word(k, TimeFormat, TimeFormat.ISO),
    "sequence": lambda t, k: t.path(k),
    "device": lambda t, k: t.path(k),
    "identifier": lambda t, k: t.path(k),
    "name": lambda t, k: t.path(k),
    "values": lambda t, k: t.path(k, whole=True),
    "metadata": lambda t, k: t.path(k, whole=True) if k in t.data else None,
    "firmware": lambda t, k: t.paths(k),
    "online": lambda t, k: t.paths(k),
    "reply_to": lambda t, k: t.path(k),
    "correlation": lambda t, k: t.path(k),
    "expires": lambda t, k: t.path(k),
    "outcome": lambda t, k: t.paths(k),
    "error": lambda t, k: t.paths(k),
    "guard": lambda t, k: t.path(k),
    "secrets": lambda t, k: t.path(k),
    "required": lambda t, k: t.paths(k),
    "fixed": lambda t, k: t.constants(k),
    "example": lambda t, k: t.text(k, ""),
}
PAYLOAD_KEYS = tuple(_PAYLOAD_READERS)
