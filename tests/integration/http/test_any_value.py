"""Every parameter and body field of every route, with what no one expects: no 5xx.

The cases are made from the OpenAPI document, so that a new route is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.people.model import NewUser
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice
from tests.support.openapi import document as openapi_document

PLAIN = {
    "device": "lamp",
    "device_id": "lamp",
    "name": "mooring",
    "group_id": "g",
    "number": "1",
    "prefix": "abcd1234",
    "serial": "01",
    "from": "-1h",
    "metric": "temperature",
}

# As text in an address.
WORDS = (
    "%", "_", "%25", "\\", "*", "[a-z]", "' OR 1=1 --", '"', "x" * 5000, "\ud7ff\U0001f600", "\x01",
    "\u202e", "..", "/", "NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "1e308", "1.5",
    str(2**31), str(2**63 - 1), str(2**63), str(10**400), "true", "null", "[]", "9999-12-31",
    "0001-01-01T00:00:00Z", "-999999999w", "+999999999w", "1970-01-01", "99999999999999999",
)  # fmt: skip

# As JSON in a body, as written: some is no JSON that Python would write.
RAW = (
    "1e999", "-1e999", "NaN", "Infinity", "-0.0", "1e-999", "0", "-1", str(2**63), str(10**400),
    "0.1", "true", "null", "[]", "{}", '""', '"%"', '"_"', '"\\u0000"', '"\\ud800"', '"\\udfff"',
    '"' + "x" * 5000 + '"', '["%"]', '{"a":1e999}',
    "[" * 300 + "]" * 300, "[" * 20_000 + "]" * 20_000, '"\\u202e"', '"../../etc"',
)  # fmt: skip


@pytest.fixture
def client(platform: App, add_device: AddDevice, client_of: ClientOf) -> httpx.Client:
    add_device("lamp", groups=("g",))
    platform.people.add(SYSTEM, NewUser("mooring", password="a long enough one"))
    return client_of("admin")


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for one in (schema, *schema.get("anyOf", [])):
        if "$ref" in one:
            found: dict[str, Any] = document["components"]["schemas"][
                one["$ref"].rpartition("/")[2]
            ]
            return found
    return schema


def example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Something that fits, so that the field under test is what is looked at."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        return example(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {
            name: example(document, of)
            for name, of in schema.get("properties", {}).items()
            if name in schema.get("required", ())
        }
    plain = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "null": None}
    return plain.get(kind or "", "lamp")


def operations() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    document = openapi_document()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation, document


def address(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(value, safe=""))
    return path


def some(values: Sequence[str], place: int, share: int) -> Sequence[str]:
    """One of ``share`` values; which, differs from place to place."""
    return values[place % share :: share]


def cases(share: int, first: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and options of each request.

    Args:
        share: one of so many values is tried at each place.
        first: another one gives other values.
    """
    place = first
    for method, path, operation, document in operations():
        given = operation.get("parameters", [])
        in_path = {p["name"]: PLAIN.get(p["name"], "1") for p in given if p["in"] == "path"}
        needed = {
            p["name"]: PLAIN.get(p["name"], "1")
            for p in given
            if p["in"] == "query" and p.get("required")
        }
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = resolved(document, content.get("schema", {}))
        body = example(document, schema) if content else None
        plain = {"json": body} if content else {}
        for parameter in given:
            name = parameter["name"]
            place += 1
            for word in some(WORDS, place, share) if parameter["in"] != "header" else ():
                path_values = in_path | ({name: word} if parameter["in"] == "path" else {})
                query = needed | ({name: word} if parameter["in"] == "query" else {})
                yield method, address(path, path_values), {"params": query, **plain}
        for field in schema.get("properties", {"": {}}) if content else ():
            place += 1
            for raw in some(RAW, place, share):
                text = json.dumps({**body, field: "@"}).replace('"@"', raw, 1) if field else raw
                options = {"content": text, "headers": {"Content-Type": "application/json"}}
                yield method, address(path, in_path), {"params": needed, **options}


# Every value on one of the two databases; the long form has all on both.
@pytest.mark.parametrize("share", [10, pytest.param(1, marks=pytest.mark.soak)])
def test_no_value_anywhere_is_a_fault_of_ours(
    platform: App, client: httpx.Client, share: int
) -> None:
    wrong: list[str] = []
    tried = 0
    for method, where, options in cases(share, 0 if platform.database.is_sqlite else share // 2):
        tried += 1
        answer = client.request(method, where, **options)
        # There is no broker here: 503 is the right answer to what would be sent.
        if answer.status_code >= 500 and answer.status_code != 503:
            wrong.append(f"{method} {where[:80]} {str(options)[:150]}: {answer.status_code}")
        elif answer.headers.get("content-type", "").endswith("json") and answer.content:
            json.loads(answer.text, parse_constant=_no_json)
        platform.throttles.people._failures.clear()
    assert tried > 2000 / share
    assert wrong == []


def _no_json(word: str) -> Any:
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.parametrize("wildcard", ["%", "_", "\\", "l_mp", "l%p", "-", ":"])
def test_wildcards_are_letters_like_others(
    wildcard: str, platform: App, add_device: AddDevice, client_of: ClientOf
) -> None:
    add_device("lamp", mac="24:6F:28:AE:C1:77")
    platform.devices.add(SYSTEM, NewDevice("named", "smarthome", "a", f"label {wildcard} here"))
    found = client_of("admin").get("/api/v1/devices", params={"search": wildcard}).json()["items"]
    assert [one["device"] for one in found] == ["named"]


@pytest.mark.parametrize("raw", ["1e999", "NaN", "-Infinity", "[" * 300 + "]" * 300])
@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("publish", '{"topic": "x/y", "payload": {"a": [@]}}'),
        ("device/lamp/command", '{"command": "x", "parameters": {"a": @}}'),
    ],
)
def test_what_json_cannot_hold_is_not_passed_on(
    where: str, body: str, raw: str, client: httpx.Client
) -> None:
    answer = client.post(
        f"/api/v1/mqtt/{where}",
        content=body.replace("@", raw),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
