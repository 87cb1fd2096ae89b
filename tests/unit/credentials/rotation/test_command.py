"""The command in each fleet's shape, and what counts as its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.credentials.rotation.command import answer_in, command_for
from mooring.credentials.rotation.rules import Answer
from mooring.dialects import Identity, Kind, builtin

DIALECTS = {dialect.name: dialect for dialect in builtin()}
LAMP = Identity("t1", "lamp", "AA:BB:CC:DD:EE:FF")


def command(dialect: str) -> tuple[str, dict[str, Any]]:
    message = command_for(DIALECTS[dialect], LAMP, rotation="r1", password="p w", at=0)
    assert message is not None
    return message[0], json.loads(message[1])


def test_mousetrap_has_the_name_in_topic_and_payload() -> None:
    topic, body = command("mousetrap")
    assert topic == "tenant/t1/device/lamp/command/rotate_credentials"
    assert body == {
        "command": "rotate_credentials",
        "rotationId": "r1",
        "password": "p w",
        "timestamp": "1970-01-01T00:00:00.000Z",
    }


def test_native() -> None:
    topic, body = command("mooring")
    assert topic == "mooring/t1/lamp/command/rotate_credentials"
    assert body == {"id": "r1", "ts": 0, "args": {"password": "p w", "rotation": "r1"}}


def test_iotflow() -> None:
    topic, body = command("iotflow")
    assert topic == "iotflow/devices/lamp/commands/control"
    assert body["command"] == "rotate_credentials"
    assert body["parameters"] == {"password": "p w"}
    assert body["command_id"] == "r1"


def test_smarthome_writes_commands_in_capitals() -> None:
    topic, body = command("smarthome")
    assert topic == "smarthome/t1/lamp/commands"
    assert body["type"] == "ROTATE_CREDENTIALS"
    assert body["payload"] == {"password": "p w"}


def test_every_built_in_dialect_can_be_rotated() -> None:
    for name in DIALECTS:
        topic, body = command(name)
        assert "+" not in topic
        assert "p w" in json.dumps(body)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"id": "r1", "ok": True}, Answer.DONE),
        ({"id": "r1"}, Answer.DONE),
        ({"id": "r1", "ok": False}, Answer.REFUSED),
        ({"id": "r1", "status": "Failed"}, Answer.REFUSED),
        ({"id": "r1", "status": "done"}, Answer.DONE),
        ({"id": "r2", "ok": True}, None),
        ({"ok": True}, None),
    ],
)
def test_answers(body: dict[str, Any], answer: Answer | None) -> None:
    (channel,) = DIALECTS["mooring"].of_kind(Kind.REPLY)
    assert answer_in(channel, body, "r1") is answer
