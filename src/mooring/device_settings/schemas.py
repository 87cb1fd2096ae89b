"""JSON Schemas of settings: checked when they are stored, bounded when they are used. Pure.

A schema comes from a tenant's administrator and is used in the platform's own processes, so what
it may cost is bounded: no reference leaves the document, references are replaced by what they
refer to, and the result weighs at most ``WEIGHT_MAX``. Each subschema is applied at most once to
each value of a document. Regular expressions are matched in linear time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from mooring.device_settings.documents import Secrets, canonical, path_text
from mooring.errors import Invalid
from mooring.later import later

with later():
    import jsonschema_rs

__all__ = ["ERRORS_MAX", "SCHEMA_MAX_BYTES", "WEIGHT_MAX", "check_schema", "problems", "secrets_of"]

SCHEMA_MAX_BYTES = 65_536
WEIGHT_MAX = 1_000
"""Of one schema: 1 for each subschema, those behind references counted each time, and for each
value of an ``enum``; ``HEAVY`` for each regular expression and ``uniqueItems``."""
HEAVY = 20
DEPTH_MAX = 32
ERRORS_MAX = 10
"""Mistakes of a document that are named."""
REGEX_BYTES = 262_144  # of memory for one compiled pattern
SECRETS_MAX = 256  # schemas whose secret fields are remembered
COMPILED_MAX = 16  # schemas kept ready for use
VALUE = "the value"  # stands for the value in a message: it may be secret

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_ONE = frozenset(
    ["additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"]
)  # keywords that hold a subschema
_MANY = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])  # … a list of them
_NAMED = frozenset(["dependentSchemas", "patternProperties", "properties"])  # … named ones
_DEFINITIONS = frozenset({"$defs", "definitions"})
# They make the cost of a schema depend on more than its size, or lead out of the document.
_REJECTED = frozenset(
    [
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$recursiveAnchor",
        "$recursiveRef",
        "$vocabulary",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_SECRET = ("x-secret", "writeOnly")
# What only the whole document of a device can fulfil: a level's document is a part of it.
_OF_WHOLE = frozenset(
    [
        "anyOf",
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "minContains",
        "minProperties",
        "not",
        "oneOf",
        "required",
        "then",
    ]
)


def check_schema(text: str | bytes) -> bytes:
    """A schema as it is stored: without references.

    Raises:
        Invalid: ``invalid_schema``: it is not a JSON Schema, too large, or has what is not
            supported; the message names the place.
    """
    content = text.encode() if isinstance(text, str) else text
    if len(content) > SCHEMA_MAX_BYTES:
        raise _wrong((), f"it has {len(content)} bytes; at most {SCHEMA_MAX_BYTES} are allowed")
    try:
        schema = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _wrong((), "it is not JSON") from exc
    if not isinstance(schema, dict):
        raise _wrong((), "it is not an object")
    if schema.get("$schema", DRAFT) != DRAFT:
        raise _wrong(("$schema",), f"the only draft supported is {DRAFT}")
    plain = _Expansion(schema).run()
    stored = canonical(plain)
    if len(stored) > 4 * SCHEMA_MAX_BYTES:
        raise _wrong((), "with its references replaced it is too large")
    try:
        _compiled(stored, whole=True)
        _compiled(stored, whole=False)
    except ValueError as exc:
        raise _from_library(exc) from exc
    return stored


def problems(
    stored: bytes, document: Mapping[str, Any], *, whole: bool, most: int = ERRORS_MAX
) -> list[tuple[str, str]]:
    """Path and sentence of each mistake of a document, at most ``most``. No sentence contains a
    value. A document without one costs the least.

    Args:
        stored: a schema from ``check_schema``.
        whole: whether this is all that a device gets; otherwise nothing is required, because
            other levels add to it.
    """
    validator = _compiled(stored, whole=whole)
    if validator.is_valid(document):
        return []
    if most == 1:  # the others are not even looked for
        try:
            validator.validate(document)
        except jsonschema_rs.ValidationError as error:
            return [_mistake(error)]
    return [_mistake(error) for error in islice(validator.iter_errors(document), most)]


def _mistake(error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    return path_text(error.instance_path), str(error.message)[:300]


@lru_cache(SECRETS_MAX)
def secrets_of(stored: bytes) -> Secrets:
    """Paths of the fields that a schema marks as secret (``x-secret`` or ``writeOnly``)."""
    found = frozenset(_secrets(msgspec.json.decode(stored), ()))
    return frozenset(path or ("*",) for path in found)


def _secrets(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(schema, dict):
        return
    if any(schema.get(mark) is True for mark in _SECRET):
        yield path
        return
    for key, value in schema.items():
        for name, below in _below(key, value):
            yield from _secrets(below, path if name is None else (*path, name))


def _below(key: str, value: Any) -> Iterator[tuple[str | None, Any]]:
    """The subschemas of a keyword, and for which key of a document each is; ``None``: for the
    document itself."""
    if key == "properties":
        yield from value.items()
    elif key == "patternProperties":
        yield from (("*", below) for below in value.values())
    elif key == "dependentSchemas":
        yield from ((None, below) for below in value.values())
    elif key == "prefixItems":
        yield from (("*", below) for below in value)
    elif key in _MANY:
        yield from ((None, below) for below in value)
    elif key in ("additionalProperties", "contains", "items"):
        yield "*", value
    elif key in _ONE:
        yield None, value


def _weight(schema: dict[str, Any]) -> int:
    """Of one subschema, without those in it."""
    values, patterns = schema.get("enum"), schema.get("patternProperties")
    heavy = ("pattern" in schema) + ("uniqueItems" in schema)
    return (
        1
        + (len(values) if isinstance(values, list) else 0)
        + HEAVY * (heavy + (len(patterns) if isinstance(patterns, dict) else 0))
    )


class _Expansion:
    """Replaces references by what they refer to."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._weight = 0

    def run(self) -> dict[str, Any]:
        plain = self._schema(self._root, (), ())
        return plain if isinstance(plain, dict) else {}

    def _schema(self, schema: Any, path: tuple[str, ...], within: tuple[str, ...]) -> Any:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise _wrong(path, "a schema is an object, true or false")
        self._weight += _weight(schema)
        if self._weight > WEIGHT_MAX:
            raise _wrong(path, f"it weighs more than {WEIGHT_MAX}; use fewer subschemas")
        if len(path) > 3 * DEPTH_MAX or len(within) > DEPTH_MAX:
            raise _wrong(path, "it is nested too deeply")
        plain = {
            key: self._value(key, value, path, within)
            for key, value in schema.items()
            if key != "$ref" and key not in _DEFINITIONS
        }
        reference = schema.get("$ref")
        if reference is None:
            return plain
        target = self._target(reference, path, within)
        # Next to other keywords a reference is one more condition [JSON Schema 2020-12, 8.2.3.1].
        return {**plain, "allOf": [*plain.get("allOf", []), target]} if plain else target

    def _value(self, key: str, value: Any, path: tuple[str, ...], within: tuple[str, ...]) -> Any:
        here = (*path, key)
        if key in _REJECTED:
            raise _wrong(here, "this keyword is not supported")
        if key in _ONE:
            return self._schema(value, here, within)
        if key in _MANY:
            if not isinstance(value, list):
                raise _wrong(here, "it is not a list of schemas")
            return [self._schema(one, (*here, str(at)), within) for at, one in enumerate(value)]
        if key in _NAMED:
            if not isinstance(value, dict):
                raise _wrong(here, "it is not an object of schemas")
            return {name: self._schema(one, (*here, name), within) for name, one in value.items()}
        return value

    def _target(self, reference: Any, path: tuple[str, ...], within: tuple[str, ...]) -> Any:
        here = (*path, "$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise _wrong(here, "a reference must point into the same document, as #/$defs/name")
        if reference in within:
            raise _wrong(here, "a reference leads back to itself")
        found: Any = self._root
        for word in reference[2:].split("/"):
            key = word.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise _wrong(here, f"{reference[:100]!a} does not exist")
        return self._schema(found, path, (*within, reference))


@lru_cache(COMPILED_MAX)
def _compiled(stored: bytes, *, whole: bool) -> jsonschema_rs.Draft202012Validator:
    schema = msgspec.json.decode(stored)
    return jsonschema_rs.Draft202012Validator(
        schema if whole else _partial(schema),
        pattern_options=jsonschema_rs.RegexOptions(size_limit=REGEX_BYTES),
        mask=VALUE,
        offline=True,
    )


def _partial(schema: Any) -> Any:
    """The schema without what only a whole document can fulfil."""
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _OF_WHOLE:
            continue
        if key in _ONE:
            plain[key] = _partial(value)
        elif key in _MANY:
            plain[key] = [_partial(one) for one in value]
        elif key in _NAMED:
            plain[key] = {name: _partial(one) for name, one in value.items()}
        else:
            plain[key] = value
    return plain


def _wrong(path: tuple[str, ...], problem: str) -> Invalid:
    where = path_text(path)
    return Invalid(
        f"The schema is not valid at {where!a}: {problem}.",
        hint="docs/how-to/device-settings.md shows a schema.",
        code="invalid_schema",
        path=where,
    )


def _from_library(exc: ValueError) -> Invalid:
    path = tuple(str(key) for key in getattr(exc, "instance_path", ()))
    problem = str(getattr(exc, "message", "") or exc).strip().rstrip(".")
    return _wrong(path, problem.splitlines()[0][:200] if problem else "it is not a JSON Schema")
