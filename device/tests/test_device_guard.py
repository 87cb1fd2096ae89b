"""Guarded settings over the death of the device at every step: it ends with settings with which it
has a connection, and has reported which."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring_device import Rejected, configs
from mooring_device.builtin import dialect_of
from mooring_device.configs import GIVEN_UP, KEPT, TRIAL, Configs, Offered, remaining
from mooring_device.credentials import native_topics
from mooring_device.dialect import Payload
from mooring_device.limits import CLOCK_FLOOR_MS, Limits
from mooring_device.outbox import Outbox
from mooring_device.store import Store

SHAPE = Payload(
    identifier=("version",), values=("config",), guard=("guard_s",), secrets=("secret",)
)
FORMER = {"version": 1, "config": {"network": "right"}}
STEPS = ("_note_trial", "_call", "_report", "_refuse", "_go_back", "_try", "_confirm")


class Killed(BaseException):
    """What kill -9 is here: nothing after it runs, and only the store is left."""


class Timer:
    """A timer that a test lets pass."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call
        world.timers.append(self)

    def start(self) -> None:
        pass

    def cancel(self) -> None:
        self.call = None


class World:
    """A device that dies after so many steps, and what it does in its next life.

    Its network is the one of the settings that were applied last: "wrong" has no broker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.applied: list[str] = []
        self.timers: list[Timer] = []
        store = Store(folder / "queue.db")
        store.run(lambda tables: tables.put(KEPT, json.dumps(FORMER)))
        store.close()

    def live(self, retained: bytes, kill_after: int | None) -> bool:
        """One life; true when it came to its end without being killed."""
        self.timers.clear()
        self.store = Store(self.folder / "queue.db", synchronous="NORMAL")
        self.work: list[Callable[[], None]] = []
        outbox = Outbox(dialect_of("mooring", native_topics("t", "d"), {}), Limits())
        device = Configs(self.store, outbox, self.work.append)
        self.left = kill_after
        for name in STEPS:
            setattr(device, name, self._counted(getattr(device, name)))
        device.handler = lambda config: self.applied.append(config["network"])
        self.wants_session = False
        device.reconnect = lambda: setattr(self, "wants_session", True)
        try:
            device.start()
            self._work()
            for _ in range(4):
                if self.applied and self.applied[-1] == "wrong":
                    for timer in list(self.timers):
                        if timer.call is not None:
                            timer.call()
                    self._work()
                else:
                    device.connected()
                    device.arrived(retained, SHAPE)
                    self._work()
        except Killed:
            return False
        finally:
            self.store.close()
        return True

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def step() -> None:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed

        def call(*args: Any, **more: Any) -> Any:
            step()
            result = method(*args, **more)
            step()
            return result

        return call

    def _work(self) -> None:
        while self.work:
            self.work.pop(0)()

    def facts(self) -> dict[str, Any]:
        store = Store(self.folder / "queue.db")
        try:
            kept, trial, given_up = store.run(
                lambda tables: (tables.get(KEPT), tables.get(TRIAL), tables.get(GIVEN_UP))
            )
            held = store.run(lambda tables: tables.read(1, 10**9, 10**6, urgent=True))
        finally:
            store.close()
        reports = [json.loads("{" + one.rest) for one in held]
        return {
            "kept": json.loads(kept)["config"]["network"],
            "trial": trial,
            "given_up": given_up,
            "reports": [(one["version"], one["ok"]) for one in reports],
        }


world: World


def play(network: str, kills: list[int]) -> dict[str, Any]:
    global world  # noqa: PLW0603 - for the timers
    retained = json.dumps({"version": 2, "config": {"network": network}, "guard_s": 60}).encode()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(configs, "SETTLE", 0.0)
        patch.setattr(configs.threading, "Timer", Timer)
        world = World(Path(folder))
        for kill_after in kills:
            world.live(retained, kill_after)
        assert world.live(retained, None)
        return {**world.facts(), "applied": world.applied}


ONCE = [[step] for step in range(22)]  # of at most 22 steps
TWICE = st.lists(st.integers(0, 21), min_size=2, max_size=3)


@settings(max_examples=15)
@given(TWICE)
def test_settings_with_a_connection_are_kept_whenever_the_device_dies(kills: list[int]) -> None:
    keeps(kills)


@pytest.mark.parametrize("kills", ONCE)
def test_settings_with_a_connection_are_kept_if_the_device_dies_here(kills: list[int]) -> None:
    keeps(kills)


def keeps(kills: list[int]) -> None:
    found = play("new", kills)
    assert (found["kept"], found["trial"], found["given_up"]) == ("new", None, None)
    assert found["applied"][-1] == "new"
    assert set(found["reports"]) == {(2, True)}


@settings(max_examples=15)
@given(TWICE)
def test_settings_without_a_connection_are_taken_back_whenever_the_device_dies(
    kills: list[int],
) -> None:
    goes_back(kills)


@pytest.mark.parametrize("kills", ONCE)
def test_settings_without_a_connection_are_taken_back_if_the_device_dies_here(
    kills: list[int],
) -> None:
    goes_back(kills)


def goes_back(kills: list[int]) -> None:
    found = play("wrong", kills)
    assert (found["kept"], found["trial"]) == ("right", None)
    assert found["applied"][-1] == "right"
    assert set(found["reports"]) == {(2, False)}, "it is reported, and never as applied"


def test_what_was_given_up_is_not_tried_again_while_the_broker_keeps_it() -> None:
    """Each life gets the retained copy; the platform has not gone back yet."""
    found = play("wrong", [])
    assert found["applied"].count("wrong") == 1
    again = play("wrong", [100, 100])
    assert again["applied"].count("wrong") == 1
    assert again["reports"] == [(2, False)]


@pytest.mark.parametrize(
    ("began", "now", "left"),
    [
        (CLOCK_FLOOR_MS, CLOCK_FLOOR_MS + 20_000, 40.0),
        (CLOCK_FLOOR_MS, CLOCK_FLOOR_MS + 90_000, -30.0),  # the power was off for longer
        (5_000, CLOCK_FLOOR_MS, 60.0),  # the clock was not set yet when it began
        (CLOCK_FLOOR_MS + 9_000, CLOCK_FLOOR_MS, 60.0),  # it was set back
    ],
)
def test_a_restart_does_not_prolong_a_trial(began: int, now: int, left: float) -> None:
    assert remaining(60, began, now) == left


def test_a_refusal_has_the_words_of_the_handler_and_no_secret(tmp_path: Path) -> None:
    store = Store(tmp_path / "queue.db")
    work: list[Callable[[], None]] = []
    outbox = Outbox(dialect_of("mooring", native_topics("t", "d"), {}), Limits())
    device = Configs(store, outbox, work.append)

    def refuse(config: dict[str, Any]) -> None:
        raise Rejected(f"No network takes the key {config['wifi']['key']}, pin {config['pin']}.")

    device.handler = refuse
    offer = {
        "version": 4,
        "config": {"wifi": {"key": "s3cr3t-key"}, "pin": 1234},
        "secret": [["wifi", "*"], ["pin"]],
    }
    device.arrived(json.dumps(offer).encode(), SHAPE)
    for one in work:
        one()
    (held,) = store.run(lambda tables: tables.read(1, 9, 9, urgent=True))
    report = json.loads("{" + held.rest)
    assert report["error"] == "No network takes the key ********, pin ********."
    assert (report["version"], report["ok"]) == (4, False)
    store.close()


def test_settings_that_arrive_faster_than_they_are_applied_cost_one_turn(tmp_path: Path) -> None:
    store = Store(tmp_path / "queue.db")
    work: list[Callable[[], None]] = []
    device = Configs(store, Outbox(dialect_of("", {}, {}), Limits()), work.append)
    seen: list[Any] = []
    device.handler = seen.append
    for version in range(500):
        offer = {"version": version, "config": {"n": version}}
        device.arrived(json.dumps(offer).encode(), SHAPE)
    assert len(work) == 1
    work[0]()
    assert seen == [{"n": 499}]
    assert Offered(1, {}).guard == 0
    store.close()
