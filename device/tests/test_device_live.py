"""The device against a real Mosquitto and a small platform."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from device_servers import QUICK, Mosquitto, Platform, credentials, passwords, until
from mooring_device import Device, InvalidReading, InvalidSetting, Limits, Options
from mooring_device.configs import STARTS_MAX
from mooring_device.store import Store
from mooring_device.vault import Vault


def device_on(broker: Mosquitto, folder: Path, **more: Any) -> Device:
    options = more.pop("options", QUICK)
    return Device(credentials(broker.port, **more), store=folder, options=options, firmware="1.4.0")


# ------------------------------------------------------------------ readings


def test_birth_readings_and_goodbye(broker: Mosquitto, platform: Platform, tmp_path: Path) -> None:
    with device_on(broker, tmp_path) as device:
        assert device.publish({"temperature": 21.5}, ts=1_767_225_600_000) == 1
        device.publish({"alert": "battery_low"}, channel="alert")
        assert device.wait_drained(10)
        birth = platform.of("status")[0]
        assert birth["online"] is True
        assert birth["meta"]["firmware"] == "1.4.0"
    assert platform.of("telemetry") == [
        {"ts": 1767225600000, "seq": 1, "values": {"temperature": 21.5}}
    ]
    assert platform.of("alert")[0]["alert"] == "battery_low"
    until(lambda: platform.of("status")[-1]["online"] is False, "the goodbye")
    retained: list[Any] = []
    late = paho.Client(CallbackAPIVersion.VERSION2)
    late.on_message = lambda c, u, m: retained.append((m.retain, json.loads(m.payload)["online"]))
    late.connect("127.0.0.1", broker.port)
    late.subscribe("mooring/default/d1/status")
    late.loop_start()
    until(lambda: retained, "the retained status")
    late.loop_stop()
    assert retained == [(True, False)]


def test_drained_means_also_what_was_published_without_waiting(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    with device_on(broker, tmp_path) as device:
        assert device.wait_connected(10)
        for i in range(200):
            device.publish({"x": i}, wait=False)
        assert device.wait_drained(20)
        assert len(platform.stored) == 200


def test_a_reading_leaves_only_on_a_receipt(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    platform.withhold = True
    with device_on(broker, tmp_path) as device:
        for i in range(5):
            device.publish({"x": i})
        until(lambda: len(platform.stored) == 5, "all are stored")
        time.sleep(0.3)
        assert device.queued == 5
        until(lambda: platform.copies[1] >= 2, "without a receipt they are sent again")
        platform.withhold = False
        platform.receipt()
        assert device.wait_drained(5)
    bodies = [json.dumps(b) for b in platform.of("telemetry") if b["seq"] == 1]
    assert len(bodies) >= 2
    assert len(set(bodies)) == 1  # a repeat has the same bytes


def test_without_receipts_it_leaves_on_the_puback(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    topics = {"telemetry": "mooring/default/d1/telemetry"}
    with device_on(broker, tmp_path, topics=topics, dialect="drivesafe") as device:
        for i in range(50):
            device.publish({"speed": i}, wait=False)
        device.flush()
        assert device.wait_drained(10)
        assert device.stats()["receipts"] == 0
    until(lambda: len(platform.of("telemetry")) == 50, "all arrive")
    assert [b["speed"] for b in platform.of("telemetry")] == list(range(50))


def test_what_is_measured_offline_arrives_in_order(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    device = device_on(broker, tmp_path)
    for i in range(700):
        device.publish({"x": i}, wait=False)
    device.flush()
    assert device.queued == 700
    with device:
        assert device.wait_drained(20)
    assert platform.arrival == list(range(1, 701))


def test_live_readings_and_alerts_overtake_the_backlog(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    slow = Options(**{**QUICK.__dict__, "drain_rate": 100.0})
    device = device_on(broker, tmp_path, options=slow)
    for i in range(300):
        device.publish({"x": i}, wait=False)
    device.publish({"alert": "smoke"}, channel="alert")
    with device:
        assert device.wait_connected(10)
        live = [device.publish({"live": i}) for i in range(5)]
        assert device.wait_drained(20)
    place = platform.arrival.index
    assert place(301) == 0  # the alert
    assert max(place(seq) for seq in live if seq) < place(250)
    backlog = [seq for seq in platform.arrival if seq <= 300]
    assert backlog == list(range(1, 301))
    assert [seq for seq in platform.arrival if seq > 301] == live


def test_the_platform_asks_again_for_what_it_lacks(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    slow = Options(**{**QUICK.__dict__, "receipt_timeout": 60.0})
    device = device_on(
        broker, tmp_path, options=Options(**{**slow.__dict__, "limits": Limits(readings=50)})
    )
    for i in range(60):
        device.publish({"x": i}, wait=False)
    device.flush()
    platform.hold = True
    with device:
        until(lambda: device.stats()["sent"] >= 50, "all are sent")
        time.sleep(0.2)
        assert platform.stored == {}
        platform.hold = False
        platform.say("rerequest", {"missing": [[8, 10], [12, 14], [60, 60]]})
        until(lambda: {12, 13, 14, 60} <= set(platform.stored), "these come again")
        until(lambda: platform.of("event"), "and these are gone")
        assert platform.of("event")[0]["lost"] == [[8, 10]]
        assert device.stats()["dropped_by_size"] >= 10
        assert set(platform.stored) == {12, 13, 14, 60, 61}


def test_a_replaced_store_loses_nothing(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    for seq in range(1, 501):  # from an earlier life
        platform.stored[seq] = {"old": seq}
    device = device_on(broker, tmp_path)
    for i in range(20):
        device.publish({"x": i})
    with device:
        assert device.wait_drained(20), device.stats()
        assert (device.publish({"x": 20}) or 0) > 500
        assert device.wait_drained(20)
    got = {b["values"]["x"] for b in platform.of("telemetry")}
    assert got == set(range(21))


def test_a_reading_that_cannot_be_sent_is_refused_at_once(
    broker: Mosquitto, tmp_path: Path
) -> None:
    device = device_on(broker, tmp_path)
    with pytest.raises(InvalidReading):
        device.publish({"x": float("nan")})
    with pytest.raises(InvalidReading, match="no channel"):
        device.publish({}, channel="nowhere")
    assert device.queued == 0
    device.close()


def test_the_heartbeat(broker: Mosquitto, platform: Platform, tmp_path: Path) -> None:
    beating = Options(**{**QUICK.__dict__, "heartbeat": 0.1})
    with device_on(broker, tmp_path, options=beating):
        until(lambda: len(platform.of("heartbeat")) >= 2, "two heartbeats")
    assert set(platform.of("heartbeat")[0]["meta"]) == {"uptime", "firmware", "queued", "seq"}


def test_the_last_will_and_the_session(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    device = device_on(broker, tmp_path)
    done: list[Any] = []
    device.command("note")(done.append)
    with device:
        assert device.wait_connected(10)
        until(lambda: platform.of("status"), "the birth")
    # A command given while the device is away waits at the broker: the session is persistent.
    platform.say("command/note", {"id": "1", "args": {"n": 7}})
    again = device_on(broker, tmp_path)
    again.command("note")(done.append)
    with again:
        until(lambda: done == [{"n": 7}], "the command arrives")


def test_from_the_environment(broker: Mosquitto, platform: Platform, tmp_path: Path) -> None:
    environment = {"MQTT_BROKER": "127.0.0.1", "MQTT_BROKER_PORT": str(broker.port)}
    made = []
    for _ in range(2):
        device = Device.from_env(
            environment, topics={"telemetry": "mooring/default/d1/telemetry"}, store=tmp_path,
            options=QUICK,
        )  # fmt: skip
        made.append(device.credentials.client_id)
        with device:
            device.publish({"x": 1})
            assert device.wait_drained(10)
    assert made[0] == made[1]
    assert made[0].startswith("mooring-")
    assert len(platform.of("telemetry")) == 2


# ------------------------------------------------------------------ commands and settings


def test_commands_are_answered(broker: Mosquitto, platform: Platform, tmp_path: Path) -> None:
    device = device_on(broker, tmp_path)
    calls: list[Any] = []

    @device.command("add")
    def add(args: dict[str, Any]) -> int:
        calls.append(args)
        return int(args["a"]) + int(args["b"])

    @device.command("reboot")
    def reboot() -> None:
        calls.append("reboot")

    @device.command("odd")
    def odd(args: dict[str, Any]) -> object:
        return object()

    with device:
        assert device.wait_connected(10)
        order = {"id": "1", "name": "add", "args": {"a": 2, "b": 3}, "ts": 1}
        platform.say("command/add", order)
        until(lambda: platform.of("reply"), "the first reply")
        platform.say("command/add", order)
        platform.say("command/add", {"id": "2", "args": {}})
        platform.say("command/reboot", {"id": "3"})
        platform.say("command/odd", {"id": "4"})
        platform.say("command/dance", {"id": "5"})
        platform.say("command/reboot", "nonsense")
        replies = until(lambda: len(platform.of("reply")) >= 6 and platform.of("reply"), "replies")
    by_id = {r["id"]: {k: r[k] for k in r if k not in ("ts", "seq")} for r in replies}
    assert by_id == {
        "1": {"id": "1", "ok": True, "result": 5},
        "2": {"id": "2", "ok": False, "error": "KeyError: 'a'"},
        "3": {"id": "3", "ok": True},
        "4": {"id": "4", "ok": False, "error": "The command ran; its result is not JSON."},
        "5": {
            "id": "5",
            "ok": False,
            "status": "rejected",
            "error": "This device has no command 'dance'.",
        },
    }
    assert calls == [{"a": 2, "b": 3}, {}, "reboot"]  # once, although it came twice
    assert len([r for r in replies if r["id"] == "1"]) == 2


def test_a_slow_command_stops_neither_readings_nor_the_connection(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    device, gate = device_on(broker, tmp_path), threading.Event()
    device.command("slow")(lambda args: gate.wait(20))
    with device:
        assert device.wait_connected(10)
        platform.say("command/slow", {"id": "1"})
        time.sleep(0.2)
        device.publish({"x": 1})
        assert device.wait_drained(10)
        gate.set()
        until(lambda: platform.of("reply"), "the reply")


def test_a_command_interrupted_by_a_restart_is_answered_and_not_repeated(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    from mooring_device.dedupe import State
    from mooring_device.tables import Command

    device = device_on(broker, tmp_path)
    args = json.dumps({"args": {}, "id_key": "id"})
    for number, state in ((1, State.STARTED), (2, State.RECEIVED)):
        one = Command(f"id:{number}", str(number), "open_valve", args, state, None)
        device._store.run(lambda t, one=one: t.put_command(one, 1))
    device.close()
    again, opened = device_on(broker, tmp_path), []
    again.command("open_valve")(lambda args: opened.append(1))
    with again:
        until(lambda: len(platform.of("reply")) == 2, "both are answered")
    replies = {r["id"]: r["ok"] for r in platform.of("reply")}
    assert replies == {"1": False, "2": True}
    assert opened == [1]


def test_names_of_commands(broker: Mosquitto, tmp_path: Path) -> None:
    device = device_on(broker, tmp_path)
    device.command("a")(lambda args: None)
    for name in ("a", "rotate_credentials"):
        with pytest.raises(InvalidSetting, match="has a handler already"):
            device.command(name)
    device.close()


def test_settings_are_applied_once_kept_and_reported(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def apply(config: dict[str, Any]) -> None:
        seen.append(config)
        if config["interval"] < 0:
            raise ValueError("an interval is positive")

    device = device_on(broker, tmp_path)
    device.on_config(apply)
    platform.say("config", {"version": 1, "config": {"interval": 30}}, retain=True)
    with device:
        until(lambda: platform.of("config/reported"), "reported")
        platform.say("config", {"version": 2, "config": {"interval": -1}}, retain=True)
        until(lambda: len(platform.of("config/reported")) == 2, "the bad one is reported")
    reports = [
        {k: r[k] for k in r if k not in ("ts", "seq")} for r in platform.of("config/reported")
    ]
    assert reports == [
        {"version": 1, "ok": True, "config": {"interval": 30}},
        {"version": 2, "ok": False, "error": "ValueError: an interval is positive"},
    ]
    # Without a broker the next start runs with the last settings that worked.
    broker.stop()
    seen.clear()
    again = device_on(broker, tmp_path)
    again.on_config(apply)
    with again:
        until(lambda: seen == [{"interval": 30}], "the kept settings")
    broker.start()


def test_of_settings_that_arrive_together_only_the_newest_is_applied(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    """What the broker has queued for a device with a session while it was away."""
    seen: list[Any] = []
    device = device_on(broker, tmp_path)
    device.on_config(seen.append)
    with device:
        assert device.wait_connected(10)
    for version in (1, 2, 3):
        platform.say("config", {"version": version, "config": {"v": version}}, retain=True)
    again = device_on(broker, tmp_path)
    again.on_config(seen.append)
    with again:
        until(lambda: platform.of("config/reported"), "reported")
    assert seen == [{"v": 3}]
    assert [report["version"] for report in platform.of("config/reported")] == [3]


def test_secret_settings_are_applied_and_not_reported(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    seen: list[Any] = []
    config = {"wifi": {"ssid": "attic", "password": "hunter2"}, "users": [{"pin": 1}, {"x": 2}]}
    device = device_on(broker, tmp_path)
    device.on_config(seen.append)
    with device:
        assert device.wait_connected(10)
        secret = [["wifi", "password"], ["users", "*", "pin"], "nonsense"]
        platform.say("config", {"version": 1, "config": config, "secret": secret})
        until(lambda: platform.of("config/reported"), "reported")
    assert seen == [config]
    assert platform.of("config/reported")[0]["config"] == {
        "wifi": {"ssid": "attic", "password": "********"},
        "users": [{"pin": "********"}, {"x": 2}],
    }


def test_guarded_settings_are_confirmed_in_a_new_session(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    seen: list[Any] = []
    device = device_on(broker, tmp_path)
    device.on_config(seen.append)
    with device:
        assert device.wait_connected(10)
        before = device.stats()["sessions"]
        platform.say("config", {"version": 1, "config": {"a": 1}, "guard_s": 60}, retain=True)
        until(lambda: platform.of("config/reported"), "reported")
        assert device.stats()["sessions"] > before
        (report,) = platform.of("config/reported")
        assert (report["version"], report["ok"]) == (1, True)
    assert seen == [{"a": 1}]  # the retained copy of the new session is nothing new


def test_guarded_settings_that_cut_the_device_off_are_taken_back(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def apply(config: dict[str, Any]) -> None:
        seen.append(config)
        if config["network"] == "wrong":
            broker.stop()
        elif len(seen) > 1:
            broker.start()

    device = device_on(broker, tmp_path)
    device.on_config(apply)
    with device:
        assert device.wait_connected(10)
        platform.say("config", {"version": 1, "config": {"network": "right"}})
        until(lambda: platform.of("config/reported"), "reported")
        wrong = {"version": 2, "config": {"network": "wrong"}, "guard_s": 2}
        platform.say("config", wrong)
        until(lambda: len(seen) == 3, "the former settings again")
        until(lambda: len(platform.of("config/reported")) == 2, "the report")
    assert [config["network"] for config in seen] == ["right", "wrong", "right"]
    report = platform.of("config/reported")[-1]
    assert (report["version"], report["ok"]) == (2, False)
    # The next start runs with the former settings.
    seen.clear()
    again = device_on(broker, tmp_path)
    again.on_config(seen.append)
    with again:
        until(lambda: seen == [{"network": "right"}], "the kept settings")


def test_a_trial_that_restarts_the_device_again_and_again_is_given_up(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    trial = {"version": 7, "config": {"a": "bad"}, "guard": 600, "starts": STARTS_MAX}
    store = Store(tmp_path / "queue.db", Limits())
    store.run(lambda tables: tables.put("config", '{"version":6,"config":{"a":"good"}}'))
    store.run(lambda tables: tables.put("config_trial", json.dumps(trial)))
    store.close()
    seen: list[Any] = []
    device = device_on(broker, tmp_path)
    device.on_config(seen.append)
    with device:
        until(lambda: platform.of("config/reported"), "reported")
    assert seen == [{"a": "good"}]
    report = platform.of("config/reported")[0]
    assert (report["version"], report["ok"]) == (7, False)


# ------------------------------------------------------------------ rotation


def test_rotation_settles_by_proof_of_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring_device.rotation.NEW_HOLDS", 0.3)
    folder = tmp_path / "broker"
    folder.mkdir()
    file = passwords(folder, d1="old", platform="p")
    broker = Mosquitto(folder, "allow_anonymous false", f"password_file {file}")
    platform = Platform(broker.port, login=("platform", "p"))
    vault = tmp_path / "s" / "credentials.json"
    with device_on(broker, tmp_path / "s", username="d1", password="old") as device:
        assert device.wait_connected(10)
        order = {"id": "r", "args": {"password": "new", "rotation": "r1"}}
        platform.say("command/rotate_credentials", order)
        until(lambda: platform.of("reply"), "the reply")
        assert platform.of("reply")[0]["ok"] is True
        # The broker still holds the old one: the device comes back with it, and keeps both.
        until(lambda: "not authorised" in broker.log, "the new one is refused")
        until(lambda: device.connected, "it is back with the old one")
        kept = json.loads(vault.read_text())["passwords"]
        assert (kept["settled"], kept["pending"]) == ("old", "new")
        passwords(folder, d1="new", platform="p")
        broker.stop()
        broker.start()
        until(
            lambda: json.loads(vault.read_text())["passwords"]["settled"] == "new",
            "the new one has proved itself",
        )
        assert json.loads(vault.read_text())["passwords"]["pending"] is None
        until(lambda: device.connected, "and it is connected")
        device.publish({"after": "rotation"})
        assert device.wait_drained(20)
    assert Vault(vault).passwords.current == "new"
    # The application's configuration still has the old one: the store knows better.
    with device_on(broker, tmp_path / "s", username="d1", password="old") as device:
        assert device.wait_connected(10)
    store = (tmp_path / "s" / "queue.db").read_bytes()
    assert b"new" not in store
    platform.close()
    broker.stop()


def test_a_rotation_without_a_password_is_answered(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    with device_on(broker, tmp_path, username="u", password="p") as device:
        assert device.wait_connected(10)
        platform.say("command/rotate_credentials", {"id": "r", "args": {"password": 7}})
        until(lambda: platform.of("reply"), "the reply")
        assert platform.of("reply")[0]["ok"] is False
        assert device.stats()["sessions"] == 1


def test_a_disk_that_is_full_for_a_while_does_not_end_the_device(
    broker: Mosquitto, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mooring_device.errors import StoreUnavailable
    from mooring_device.sender import Sender

    device = device_on(broker, tmp_path)
    pump, failures = Sender.pump, iter([True, True])

    def failing(self: Sender, *args: Any) -> None:
        if next(failures, False):
            raise StoreUnavailable("The queue cannot be written: disk full.")
        pump(self, *args)

    monkeypatch.setattr(Sender, "pump", failing)
    with device:
        device.publish({"x": 1})
        assert device.wait_drained(10)
        assert device.stats()["sessions"] >= 1
    assert platform.stored[1]["values"] == {"x": 1}
