"""Commands on the device: carried out once, in time, and never from a retained message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring_device import commands as module
from mooring_device.builtin import dialect_of
from mooring_device.commands import Commands
from mooring_device.limits import Limits
from mooring_device.link import Arrived
from mooring_device.orders import parse_order
from mooring_device.outbox import Outbox
from mooring_device.store import Store

BASE = "mooring/t/lamp"
TOPIC = f"{BASE}/command/open"


class Stand:
    """A device's commands; work waits until a test does it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "queue.db")
        self.work: list[Callable[[], None]] = []
        self.calls: list[Any] = []
        self.dialect = dialect_of("mooring", {"command": f"{BASE}/command/+", "reply": "r"}, {})
        outbox = Outbox(self.dialect, Limits())
        self.commands = Commands(self.store, outbox, self.work.append)
        self.commands.handlers["open"] = self.calls.append

    def take(self, body: dict[str, Any]) -> None:
        message = Arrived(TOPIC, json.dumps(body).encode(), 1)
        found = self.dialect.find(TOPIC)
        assert found is not None
        self.commands.take(parse_order(found, message.payload), message)

    def do(self) -> None:
        while self.work:
            self.work.pop(0)()

    @property
    def replies(self) -> list[dict[str, Any]]:
        held = self.store.run(lambda tables: tables.read(1, 10**9, 10**6, urgent=False))
        held += self.store.run(lambda tables: tables.read(1, 10**9, 10**6, urgent=True))
        return [json.loads("{" + one.rest) for one in held if one.channel == "reply"]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    one = Stand(tmp_path)
    yield one
    one.store.close()


@pytest.mark.parametrize(("waited", "carried_out"), [(0, True), (59_000, True), (61_000, False)])
def test_a_command_whose_turn_comes_too_late(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, waited: int, carried_out: bool
) -> None:
    """By how long it waited here: the clocks of device and platform may differ by years."""
    monkeypatch.setattr(module, "now_ms", lambda: 1_000)
    stand.take({"ts": 1_767_225_600_000, "id": "a", "expires": 1_767_225_660_000, "args": {"n": 1}})
    monkeypatch.setattr(module, "now_ms", lambda: 1_000 + waited)
    stand.do()
    assert stand.calls == ([{"n": 1}] if carried_out else [])
    (reply,) = stand.replies
    assert (reply["id"], reply["ok"]) == ("a", carried_out)
    assert (reply.get("status") == "expired") is not carried_out


@pytest.mark.parametrize("body", [{}, {"expires": "soon", "ts": 1}, {"expires": True, "ts": 1}])
def test_a_command_that_does_not_say_how_long_it_lasts(stand: Stand, body: dict[str, Any]) -> None:
    stand.take({"id": "a", **body})
    stand.do()
    assert stand.calls == [{}]


def test_a_repeat_after_a_restart_is_answered_and_not_carried_out(
    stand: Stand, tmp_path: Path
) -> None:
    stand.take({"id": "a"})
    stand.do()
    stand.store.close()
    again = Stand(tmp_path)
    again.take({"id": "a"})
    again.do()
    assert again.calls == []
    assert [one["ok"] for one in again.replies] == [True, True]
    again.store.close()
