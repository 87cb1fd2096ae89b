"""Schemas: what is rejected, and that what is accepted costs little."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.device_settings.schemas import (
    HEAVY,
    SCHEMA_MAX_BYTES,
    WEIGHT_MAX,
    check_schema,
    problems,
    secrets_of,
)
from mooring.errors import Invalid


def checked(schema: Any) -> bytes:
    return check_schema(json.dumps(schema))


def doubling(levels: int) -> dict[str, Any]:
    """Each definition uses the next one twice."""
    definitions: dict[str, Any] = {f"d{levels}": {"type": "string"}}
    for number in range(levels):
        below = {"$ref": f"#/$defs/d{number + 1}"}
        definitions[f"d{number}"] = {"properties": {"a": below, "b": below}}
    return {"$ref": "#/$defs/d0", "$defs": definitions}


REJECTED: list[tuple[Any, str]] = [
    ([], "."),
    ({"type": "objec"}, "type"),
    ({"properties": {"a": {"type": 3}}}, "properties.a.type"),
    ({"properties": {"a": {"pattern": "("}}}, "properties.a.pattern"),
    ({"properties": {"a": {"pattern": "(?=a)a"}}}, "properties.a.pattern"),
    ({"properties": {"a": {"pattern": "(a{1,1000}){1,1000}"}}}, "properties.a.pattern"),
    ({"properties": {"a": {"$ref": "https://example.com/x.json"}}}, "properties.a.$ref"),
    ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "properties.a.$ref"),
    ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "properties.a.$ref"),
    ({"properties": {"a": {"$ref": "#"}}}, "properties.a.$ref"),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}}},
        "properties.b.$ref",
    ),
    ({"$id": "https://example.com"}, "$id"),
    ({"$dynamicRef": "#x"}, "$dynamicRef"),
    ({"unevaluatedProperties": False}, "unevaluatedProperties"),
    ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
    ({"allOf": {"type": "string"}}, "allOf"),
    ({"properties": {"a": "string"}}, "properties.a"),
]


@pytest.mark.parametrize(("schema", "path"), REJECTED)
def test_what_is_no_schema_is_rejected_with_its_path(schema: Any, path: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked(schema)
    assert (refusal.value.slug, refusal.value.context["path"]) == ("invalid_schema", path)


def test_size_and_number_are_bounded() -> None:
    with pytest.raises(Invalid):
        check_schema(b'{"description":"' + b"x" * SCHEMA_MAX_BYTES + b'"}')
    with pytest.raises(Invalid):
        checked(doubling(40))
    with pytest.raises(Invalid):
        checked({"allOf": [{}] * WEIGHT_MAX})
    for heavy in (
        {"enum": list(range(WEIGHT_MAX))},
        {"patternProperties": {f"a{n}": {} for n in range(WEIGHT_MAX // HEAVY)}},
        {"allOf": [{"pattern": "a"}] * (WEIGHT_MAX // HEAVY)},
        {"allOf": [{"uniqueItems": True}] * (WEIGHT_MAX // HEAVY)},
    ):
        with pytest.raises(Invalid):
            checked(heavy)
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"not": deep}
    with pytest.raises(Invalid):
        checked(deep)
    assert checked(doubling(7))


def test_not_json_is_rejected() -> None:
    for text in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(Invalid):
            check_schema(text)


SCHEMA = {
    "type": "object",
    "properties": {
        "interval_s": {"type": "integer", "minimum": 1},
        "name": {"type": "string", "pattern": "^(a+)+$"},
        "wifi": {"$ref": "#/$defs/wifi"},
        "users": {"type": "array", "items": {"properties": {"pin": {"x-secret": True}}}},
    },
    "required": ["interval_s"],
    "additionalProperties": False,
    "$defs": {
        "wifi": {
            "type": "object",
            "properties": {
                "ssid": {"type": "string"},
                "password": {"type": "string", "writeOnly": True},
            },
        }
    },
}


def test_mistakes_are_named_by_their_path_and_without_their_value() -> None:
    stored = checked(SCHEMA)
    found = problems(stored, {"interval_s": 0, "wifi": {"password": 4711}, "other": 1}, whole=True)
    assert {path for path, _ in found} == {"interval_s", "wifi.password", "."}
    assert "4711" not in json.dumps(found)
    assert problems(stored, {"interval_s": 5, "wifi": {"ssid": "attic"}}, whole=True) == []


def test_a_level_need_not_have_everything() -> None:
    stored = checked(SCHEMA)
    assert problems(stored, {}, whole=True)
    assert problems(stored, {}, whole=False) == []
    assert problems(stored, {"interval_s": "x"}, whole=False)
    either = checked({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {}})
    assert problems(either, {}, whole=False) == []


def test_a_pattern_is_matched_in_linear_time() -> None:
    """With backtracking this would not end."""
    stored = checked(SCHEMA)
    found = problems(stored, {"interval_s": 1, "name": "a" * 8000 + "!"}, whole=True)
    assert [path for path, _ in found] == ["name"]


def test_secret_fields_are_found_wherever_they_are_declared() -> None:
    assert secrets_of(checked(SCHEMA)) == {("wifi", "password"), ("users", "*", "pin")}
    assert secrets_of(checked({"x-secret": True})) == {("*",)}
    nested = {"anyOf": [{"additionalProperties": {"writeOnly": True}}]}
    assert secrets_of(checked(nested)) == {("*",)}
    assert secrets_of(checked({"properties": {"a": {"x-secret": False}}})) == frozenset()
