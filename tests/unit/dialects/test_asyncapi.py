"""The AsyncAPI document: its structure, its references, and that it tells the truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.dialects import builtin, document
from mooring.errors import Invalid

URL = "mqtts://broker.example:8883"
DOCUMENT = document(builtin(), server_url=URL, version="1.2.3")

# Which members an object may have, and which it must (AsyncAPI 3.0.0, by object).
MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "root": (
        {"asyncapi", "info", "servers", "defaultContentType", "channels", "operations"}
        | {"components"},
        {"asyncapi", "info"},
    ),
    "info": ({"title", "version", "description"}, {"title", "version"}),
    "server": (
        {"host", "protocol", "protocolVersion", "pathname", "description", "security"},
        {"host", "protocol"},
    ),
    "channel": (
        {"address", "messages", "title", "description", "parameters", "tags"},
        {"address"},
    ),
    "operation": ({"action", "channel", "messages", "bindings"}, {"action", "channel"}),
    "message": ({"name", "contentType", "payload", "examples"}, {"payload"}),
    "parameter": ({"description", "enum", "default", "examples", "location"}, set()),
    "mqtt": ({"qos", "retain", "messageExpiryInterval", "bindingVersion"}, set()),
}


def conforms(value: dict[str, Any], kind: str) -> None:
    allowed, needed = MEMBERS[kind]
    own = {key for key in value if not key.startswith("x-")}
    assert own <= allowed, (kind, own - allowed)
    assert needed <= own, (kind, needed - own)


def resolve(reference: dict[str, str]) -> Any:
    (path,) = reference.values()
    assert path.startswith("#/")
    found: Any = DOCUMENT
    for key in path[2:].split("/"):
        found = found[key]
    return found


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Enough of JSON Schema for the schemas written here."""
    if "oneOf" in schema:
        return sum(fits(value, one) for one in schema["oneOf"]) == 1
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema:
        if not isinstance(value, kinds[schema["type"]]):
            return False
        if schema["type"] == "number" and isinstance(value, bool):
            return False
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= set(value) and all(
            fits(below, schema.get("properties", {}).get(key, {})) for key, below in value.items()
        )
    if isinstance(value, list):
        return all(fits(below, schema.get("items", {})) for below in value)
    return True


def test_structure() -> None:
    conforms(DOCUMENT, "root")
    assert DOCUMENT["asyncapi"] == "3.0.0"
    conforms(DOCUMENT["info"], "info")
    for server in DOCUMENT["servers"].values():
        conforms(server, "server")
        for scheme in server["security"]:
            assert resolve(scheme)["type"] in ("userPassword", "X509")
    for channel in DOCUMENT["channels"].values():
        conforms(channel, "channel")
        for parameter in channel.get("parameters", {}).values():
            conforms(parameter, "parameter")
        for tag in channel["tags"]:
            assert set(resolve(tag)) == {"name", "description"}
    for operation in DOCUMENT["operations"].values():
        conforms(operation, "operation")
        assert operation["action"] in ("send", "receive")
        conforms(operation["bindings"]["mqtt"], "mqtt")
        channel = resolve(operation["channel"])
        for message in operation["messages"]:
            # a message of an operation must be one of its channel's
            assert resolve(message) in channel["messages"].values()
            conforms(resolve(resolve(message)), "message")


def test_every_channel_is_there_and_told_from_the_platforms_side() -> None:
    for dialect in builtin():
        for channel in dialect.channels:
            key = f"{dialect.name}.{channel.name}"
            assert DOCUMENT["channels"][key]["address"] == channel.topic
            operation = DOCUMENT["operations"][key]
            assert (operation["action"] == "receive") == (channel.direction == "up")
            assert operation["bindings"]["mqtt"]["qos"] == channel.qos
            assert operation["bindings"]["mqtt"]["retain"] is channel.retain
    assert len(DOCUMENT["channels"]) == sum(len(d.channels) for d in builtin())


def test_parameters_are_exactly_the_placeholders() -> None:
    for channel in DOCUMENT["channels"].values():
        levels = channel["address"].split("/")
        names = {level[1:-1] for level in levels if level.startswith("{")}
        assert set(channel.get("parameters", {})) == names


def test_examples_fit_their_schemas() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        for one in message["examples"]:
            assert fits(one["payload"], message["payload"])
            assert not fits(3, message["payload"])
    reply = DOCUMENT["components"]["messages"]["mooring.reply"]["payload"]
    assert reply["required"] == ["id"]
    assert not fits({"ts": 1}, reply)


def test_deterministic_json() -> None:
    again = document(builtin(), server_url=URL, version="1.2.3")
    assert json.dumps(again) == json.dumps(DOCUMENT)


@pytest.mark.parametrize(
    ("url", "host", "protocol", "path"),
    [
        ("mqtt://localhost:1883", "localhost:1883", "mqtt", None),
        (URL, "broker.example:8883", "secure-mqtt", None),
        ("wss://b.example/mqtt", "b.example", "wss", "/mqtt"),
        ("mqtts://[::1]:8883", "[::1]:8883", "secure-mqtt", None),
    ],
)
def test_servers(url: str, host: str, protocol: str, path: str | None) -> None:
    server = document([], server_url=url, version="1")["servers"]["broker"]
    assert (server["host"], server["protocol"], server.get("pathname")) == (host, protocol, path)


@pytest.mark.parametrize(
    "url", ["", "localhost:1883", "http://x", "mqtt://", "mqtt://x:99999", "mqtt://[::1"]
)
def test_no_servers(url: str) -> None:
    with pytest.raises(Invalid):
        document([], server_url=url, version="1")


def test_a_secret_in_the_url_is_not_repeated() -> None:
    made = document([], server_url="mqtt://me:hunter2@broker:1883", version="1")
    assert "hunter2" not in json.dumps(made)
    with pytest.raises(Invalid) as caught:
        document([], server_url="http://me:hunter2@broker", version="1")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint} {caught.value.context}"
