"""Any bytes of any length, over MQTT and HTTP: everything lives, and nothing is a 5xx."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_from_bytes

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.raw_mqtt import publish_packet, subscribe_packet

LENGTHS = (1, 64, 127, 128, 300, 301, 400, 950, 999, 1000, 4096, 65_535)
ALPHABETS = ("x", "é", "\U0001f600", " ", "'", "/", "\\", "%", "\u202e")


def mqtt_texts() -> Iterator[str]:
    for length in LENGTHS:
        for letter in ALPHABETS:
            text = letter * (length // len(letter.encode()))
            if text:
                yield text


@pytest.mark.attack("any text in MQTT packets")
def test_any_text_in_mqtt_packets(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    for text in mqtt_texts():
        with attacked.raw() as client:
            client.connect(text, attacker.username, attacker.password)  # as client id
        with attacked.raw() as client:
            client.connect(attacker.client_id, text, attacker.password)
        with attacked.raw() as client:
            client.connect(attacker.client_id, attacker.username, text)
        with attacked.login(attacker, will=(text, b"1")) as client:
            if client.code == 0:
                client.send(publish_packet(text, b"1"))
        with attacked.login(attacker) as client:
            assert client.code == 0
            client.send(subscribe_packet(text))
            client.send(publish_packet(attacker.topics["telemetry"], text.encode()))
    attacked.log_is_read()
    attacked.lives(victim)


THOROUGH = "MOORING_ATTACK_REPORT" in os.environ  # `make attacks`; `make test` is quicker

ODD = (
    "\0",
    "a\0b",
    "\ud800",
    "x" * 301,
    "é" * 5000,
    "../../etc/passwd",
    "\u202e\u200b",
    "%",
    "'; --",
    " ",
    "",
    "x" * 65_535,
)
NUMBERS = (-1, 2**63, 10**30, 1e308)
BYTES = (b"\xff\xfe", b"\x80", b"x" * 500, b"x" * 5000, b"1.2.3.4, \xff", b"::1%" + b"9" * 300)


def filled(schema: dict[str, Any], components: dict[str, Any], odd: str, number: float) -> Any:
    """A body of this shape in which every text and number is an odd one."""
    name = schema.get("$ref", "").rpartition("/")[2]
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if name or choices:
        return filled(components[name] if name else choices[0], components, odd, number)
    match schema.get("type"):
        case "object" if schema.get("properties"):
            return {
                name: filled(one, components, odd, number)
                for name, one in schema["properties"].items()
            }
        case "object":
            found: Any = {odd: odd}
        case "array":
            found = [filled(schema.get("items", {}), components, odd, number)]
        case "integer" | "number":
            found = number
        case "boolean":
            found = False
        case _:
            found = odd
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "broker/" in path and method == "post":
                continue  # restarts what the other attacks need
            yield method.upper(), path, operation


def trials(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, address and body of each operation with each odd word in every place."""
    components = document["components"]["schemas"]
    for method, path, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        parameters = operation.get("parameters", [])
        for odd, number in zip(ODD if THOROUGH else ODD[:5], NUMBERS * 3, strict=False):
            word = quote(odd, safe="", errors="surrogatepass")[:6000]  # httpx takes 65,536
            address = path
            for one in parameters:
                if one["in"] == "path":
                    address = address.replace("{" + one["name"] + "}", word or "%20")
            body = None if schema is None else filled(schema, components, odd, number)
            yield method, address, body
            for one in parameters:
                if one["in"] == "query":
                    kind = one["schema"].get("type", "string")
                    value = word if kind == "string" else quote(str(number))
                    yield method, f"{address}?{one['name']}={value}", body


@pytest.mark.attack("any text and number in every HTTP request")
def test_any_text_and_number_in_every_http_request(attacked: Attacked) -> None:
    victim = attacked.victim()
    with attacked.admin() as admin:
        document = admin.get("/api/v1/openapi.json").json()
        failed = set()
        for method, address, body in trials(document):
            data = None if body is None else json.dumps(body)
            answer = admin.request(
                method, address, content=data, headers={"Content-Type": "application/json"}
            )
            if answer.status_code >= 500:
                failed.add(f"{method} {address[:80]} {answer.status_code} {(data or '')[:200]}")
    assert failed == set()
    attacked.lives(victim)


@pytest.mark.attack("any bytes in HTTP headers, paths and bodies")
def test_any_bytes_in_http_headers_paths_and_bodies(attacked: Attacked) -> None:
    victim = attacked.victim()
    basics = (b"a\0b:c", b"\xff:\xff", b":", b":" * 5000, b"a:" + b"b" * 5000, b"\xed\xa0\x80:x")
    headers: list[tuple[bytes, bytes]] = [
        *((name, value) for name in (b"X-Forwarded-For", b"X-Real-IP") for value in BYTES),
        *((b"Authorization", b"Basic " + base64.b64encode(pair)) for pair in basics),
        *((b"Authorization", kind + value) for kind in (b"Bearer ", b"Basic ") for value in BYTES),
        *((b"X-API-Key", value) for value in BYTES),
        *((b"Host", value) for value in BYTES[2:4]),
    ]
    asked = ("/api/v1/devices", "/api/v1/login", "/api/v1/claim", "/api/v1/uplink", "/metrics")
    with attacked.http() as nobody:
        for header in headers:
            for path in asked:
                for method in ("GET", "POST"):
                    answer = sent(nobody, method, path, [header])
                    assert answer is None or answer < 500, (method, path, header[:80])
        for data in (*BYTES, b"\0", b"[" * 100_000, b'{"a":"\\ud800"}', b"1" * 5000):
            for path in asked:
                answer = sent(nobody, "POST", path, [], data)
                assert answer is None or answer < 500, (path, data[:80])
            answer = sent(nobody, "GET", f"/api/v1/devices/{quote_from_bytes(data[:2000])}", [])
            assert answer is None or answer < 500, data[:80]
    attacked.lives(victim)


def sent(
    client: httpx.Client,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    data: bytes = b"{}",
) -> int | None:
    """The status; ``None`` when the connection was closed instead."""
    try:
        kind = [(b"Content-Type", b"application/json")]
        return client.request(method, path, headers=[*headers, *kind], content=data).status_code
    except httpx.TransportError:
        return None
