"""Commands on the device: carried out once, in time, and never from a retained message."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_servers import until
from mooring_device import commands as module
from mooring_device.builtin import dialect_of
from mooring_device.commands import Commands, Job
from mooring_device.errors import Cancelled, InvalidReading, Rejected
from mooring_device.limits import Limits
from mooring_device.link import Arrived
from mooring_device.orders import MAX_WORDS, parse_order
from mooring_device.outbox import Outbox
from mooring_device.store import Store

BASE = "mooring/t/lamp"


class Stand:
    """A device's commands; work waits until a test does it."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        limits = limits or Limits(commands=5)
        self.store = Store(folder / "queue.db", limits)
        self.work: list[Callable[[], None]] = []
        self.calls: list[Any] = []
        self.dialect = dialect_of("mooring", {"command": f"{BASE}/command/+", "reply": "r"}, {})
        outbox = Outbox(self.dialect, limits)
        self.commands = Commands(self.store, outbox, self.work.append, most=limits.commands)
        self.commands.handlers["open"] = self.calls.append

    def take(self, body: dict[str, Any], name: str = "open") -> None:
        topic = f"{BASE}/command/{name}"
        message = Arrived(topic, json.dumps(body).encode(), 1)
        found = self.dialect.find(topic)
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


def statuses(stand: Stand) -> list[tuple[str, Any]]:
    return [(one["id"], one.get("status", one.get("ok"))) for one in stand.replies]


# ------------------------------------------------------------------ cancelling


def test_a_command_that_waits_is_cancelled(stand: Stand) -> None:
    stand.take({"id": "a"})
    stand.commands.cancel("a", ["id"])
    stand.do()
    assert stand.calls == []
    assert statuses(stand) == [("a", "cancelled")]


def test_a_command_that_comes_after_its_cancellation_is_not_carried_out(
    stand: Stand, tmp_path: Path
) -> None:
    stand.commands.cancel("a", ["id"])
    stand.store.close()
    again = Stand(tmp_path)  # also over a restart
    again.take({"id": "a"})
    again.do()
    assert again.calls == []
    assert statuses(again) == [("a", "cancelled"), ("a", "cancelled")]
    again.store.close()


def test_a_command_that_is_over_is_answered_again(stand: Stand) -> None:
    stand.take({"id": "a"})
    stand.do()
    stand.commands.cancel("a", ["id"])
    assert statuses(stand) == [("a", True), ("a", True)]


@pytest.mark.parametrize("stops", [True, False])
def test_the_handler_of_a_command_that_runs_decides(stand: Stand, stops: bool) -> None:
    def handler(args: dict[str, Any], job: Job) -> str:
        assert not job.cancelled
        stand.commands.cancel("a", ["id"])  # meanwhile, in another thread
        assert job.wait(5)
        if stops and job.cancelled:
            raise Cancelled("Stopped half way.")
        return "finished"

    stand.commands.handlers["open"] = handler
    stand.take({"id": "a"})
    stand.do()
    (reply,) = stand.replies
    if stops:
        assert (reply["status"], reply["error"]) == ("cancelled", "Stopped half way.")
    else:
        assert (reply["ok"], reply["result"]) == (True, "finished")


# ------------------------------------------------------------------ handlers


def test_a_command_that_runs_long_is_reported_as_running_and_then_done(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.commands._running_after = 0.01
    seen = threading.Event()

    def handler() -> None:
        until(lambda: statuses(stand) == [("a", "running")], "the report")
        seen.set()

    stand.commands.handlers["open"] = handler
    stand.take({"id": "a"})
    stand.do()
    assert seen.is_set()
    assert statuses(stand) == [("a", "running"), ("a", True)]
    stand.store.close()


def test_what_is_over_is_not_reported_as_running(stand: Stand) -> None:
    jobs: list[Job] = []
    stand.commands.handlers["open"] = lambda args, job: jobs.append(job)
    stand.take({"id": "a"})
    stand.do()
    jobs[0].running()
    assert statuses(stand) == [("a", True)]


@pytest.mark.parametrize(
    ("raised", "said", "words"),
    [
        (Rejected("The valve is open."), "rejected", "The valve is open."),
        (ValueError("no\0 such\ud800 thing"), False, "ValueError: no  such? thing"),
        (SystemExit(3), False, "SystemExit: 3"),
        (KeyboardInterrupt(), False, "KeyboardInterrupt: "),
        (RuntimeError("x" * 5_000), False, None),
        (InvalidReading("a reading of its own"), False, "a reading of its own"),
    ],
)
def test_what_a_handler_raises_is_the_reply(
    stand: Stand,
    raised: BaseException,
    said: Any,
    words: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Half a surrogate pair in a captured log cannot be sent from one process of pytest to another.
    caplog.set_level(logging.CRITICAL, logger="mooring_device")

    def handler() -> None:
        raise raised

    stand.commands.handlers["open"] = handler
    stand.take({"id": "a"})
    stand.take({"id": "b"}, "dance")
    stand.do()  # raises nothing: the thread of the callbacks lives
    assert statuses(stand) == [("a", said), ("b", "rejected")]
    error = stand.replies[0]["error"]
    assert error == words if words is not None else len(error) == MAX_WORDS


def test_a_result_that_is_too_large_is_answered(tmp_path: Path) -> None:
    stand = Stand(tmp_path, Limits(reading_bytes=500))
    stand.commands.handlers["open"] = lambda: "x" * 600
    stand.take({"id": "a"})
    stand.do()
    (reply,) = stand.replies
    assert (reply["ok"], reply["error"]) == (False, "The command ran; its result is too large.")
    stand.take({"id": "a"})
    assert len(stand.replies) == 2, "it is over, and a repeat is answered"
    stand.store.close()


# ------------------------------------------------------------------ bounds and order


def test_too_many_commands_are_rejected_and_counted(stand: Stand) -> None:
    for number in range(8):
        stand.take({"id": str(number), "args": {"n": number}})
    stand.take({"id": "7"})  # a repeat of one that was rejected
    stand.do()
    assert stand.calls == [{"n": number} for number in range(5)]
    assert sorted(statuses(stand), key=str) == sorted(
        [*((str(n), True) for n in range(5)), *((str(n), "rejected") for n in (5, 6, 7, 7))],
        key=str,
    )
    assert stand.store.run(lambda tables: tables.get("commands_rejected")) == 3
    stand.take({"id": "8"})
    stand.do()
    assert len(stand.calls) == 6


def test_commands_keep_their_order_over_a_restart_and_a_clock_that_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path)
    for number, clock in enumerate((5_000, 5_000, 4_000, 9, 5_001)):
        monkeypatch.setattr(module, "now_ms", lambda clock=clock: clock)
        stand.take({"id": f"{9 - number}", "args": {"n": number}})
    stand.store.close()  # killed before one of them began
    again = Stand(tmp_path)
    again.commands.recover()
    again.do()
    assert again.calls == [{"n": number} for number in range(5)]
    again.store.close()


def test_the_memory_of_ids_is_bounded(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP", 20)
    for number in range(40):
        stand.take({"id": str(number)})
        stand.do()
    for number in range(40, 60):  # cancellations of commands that never came are bounded, too
        stand.commands.cancel(str(number), ["id"])
    held = stand.store.run(
        lambda tables: [tables.command(f"id:{n}") is not None for n in range(60)]
    )
    assert held == [False] * 40 + [True] * 20
