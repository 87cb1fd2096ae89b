"""The platform as its operator meets it: starting, stopping, mistakes, bad input."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.support.mqtt import Refused
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

BAD = {
    "empty": b"",
    "not_json": b"not json",
    "not_utf8": b'{"a":"\xff\xfe"}',
    "too_deep": b'{"a":' * 40 + b"1" + b"}" * 40,
    "number_too_large": b'{"a":1e400}',
    "wrong_type": b"[1,2,3]",
    "nul_character": b'{"a":"\\u0000"}',
    "too_large": b'{"a":"' + b"x" * (1024 * 1024 - 20) + b'"}',
}


def test_a_second_start_on_the_same_data_directory_is_refused(platform: Platform) -> None:
    ran = platform.cli("up", expect=4)
    assert "already runs" in ran.stderr
    assert str(platform.up.pid if platform.up else "") in ran.stderr


def test_a_taken_port_is_named_with_its_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = Platform(tmp_path / "data", env={"MOORING_MQTT_TLS_PORT": str(port)})
        ran = other.cli("up", expect=4)
    assert str(port) in ran.stderr
    assert str(os.getpid()) in ran.stderr


def test_ctrl_c_stops_everything_and_leaves_no_orphan(tmp_path: Path) -> None:
    with running_platform(tmp_path / "data") as running:
        assert running.up is not None
        pids = [
            running.up.pid,
            *(running.pid(role) for role in ("ingest", "serve", "keeper", "worker")),
        ]
        pids.append(int((tmp_path / "data" / "broker" / "mosquitto.pid").read_text()))
        assert running.stop(signal.SIGINT) == 0
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert "stopped." in running.up.log()


def test_a_killed_supervisor_leaves_nothing_that_the_next_start_cannot_take_over(
    tmp_path: Path,
) -> None:
    with running_platform(tmp_path / "data") as running:
        login = running.add("kitchen", "mooring")
        assert running.up is not None
        children = [running.pid(role) for role in ("ingest", "serve", "keeper", "worker")]
        os.kill(running.up.pid, signal.SIGKILL)

        def gone(pid: int) -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"

        wait_until(lambda: all(gone(pid) for pid in children), "the end of the children")
        running.start()
        client = running.connect(login)
        client.publish(login.topics["telemetry"], '{"values":{"t":1}}', qos=1)
        wait_until(lambda: running.stored(login) == 1, "the message after the new start")


def test_the_first_password_logs_in_and_is_shown_once(platform: Platform) -> None:
    assert platform.up is not None
    assert platform.up.log().count("First administrator") == 1
    base = f"http://127.0.0.1:{platform.ports['http_port']}"
    answer = httpx.post(
        f"{base}/api/v1/login", json={"name": "admin", "password": platform.password_of_admin()}
    )
    assert answer.status_code == 200, answer.text
    token = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert httpx.get(f"{base}/api/v1/devices", headers=token).status_code == 200
    assert httpx.get(f"{base}/api/v1/devices").status_code == 401
    assert httpx.get(f"{base}/healthz").status_code == 200
    assert httpx.get(f"{base}/readyz").status_code == 200
    assert httpx.get(f"{base}/api/v1/openapi.json").json()["openapi"].startswith("3.1")


def test_bad_payloads_stop_nothing_and_each_has_its_reason(platform: Platform) -> None:
    login = platform.add("bad-input", "drivesafe")
    client = platform.connect(login)
    for payload in BAD.values():
        client.publish(login.topics["telemetry"], payload, qos=1)
    client.publish(login.topics["telemetry"], '{"after":true}', qos=1)
    wait_until(lambda: platform.stored(login) == 1, "the good message after the bad ones")

    def reasons() -> set[str]:
        letters = platform.cli("dead-letter", "list", "--limit", "100", "--json").json()
        return {one["reason"] for one in letters["dead_letters"] if one["device"] == "bad-input"}

    wait_until(lambda: set(BAD) <= reasons(), f"each of {sorted(BAD)}", timeout=10)


def test_a_topic_nobody_declared_is_refused_by_the_broker_and_listed(platform: Platform) -> None:
    login = platform.add("wanderer", "drivesafe")
    client = platform.connect(login)
    client.publish("device/anywhere/else", '{"a":1}', qos=1)  # 3.1.1: told that it arrived

    def denied() -> list[str]:
        letters = platform.cli("dead-letter", "list", "--json").json()["dead_letters"]
        return [one["topic"] for one in letters if one["reason"] == "denied"]

    wait_until(lambda: "device/anywhere/else" in denied(), "the refused message")


def test_a_device_nobody_added_is_listed_and_its_messages_are_kept(platform: Platform) -> None:
    # Only an account of the platform's own can send for somebody else.
    client = platform.connect()
    client.publish("smarthome/77/ghost/telemetry", '{"sensors":{"temperature":1}}', qos=1)

    def strangers() -> list[str]:
        found = platform.cli("device", "unknown", "--json").json()
        return [one["name"] for one in found["strangers"]]

    wait_until(lambda: "ghost" in strangers(), "the stranger")
    letters = platform.cli("dead-letter", "list", "--json").json()["dead_letters"]
    assert any(one["topic"] == "smarthome/77/ghost/telemetry" for one in letters)


@pytest.mark.parametrize("name", ["a/b", "a+b", "a#b", "a\x01b", "", "x" * 129])
def test_a_bad_id_is_refused_with_a_sentence(platform: Platform, name: str) -> None:
    ran = platform.cli("device", "add", name, "--dialect", "mooring", expect=2)
    assert "Traceback" not in ran.stderr
    assert 0 < len(ran.stderr.strip().splitlines()) <= 3


MORE = """
[[channels]]
name = "honey"
topic = "barn/{cow}/honey"
direction = "up"
kind = "telemetry"
payload.example = '{"jars":3}'

[[channels]]
name = "command"
topic = "barn/{cow}/do"
direction = "down"
kind = "command"
"""


def test_a_dialect_of_ones_own_is_live_after_a_reload(platform: Platform) -> None:
    directory = platform.data_dir / "dialects"
    directory.mkdir(exist_ok=True)
    text = """
name = "barn"
title = "Barn"
username = "barn-{device}"
client_id = "barn-{device}"

[placeholders]
cow = "device"

[[channels]]
name = "milk"
topic = "barn/{cow}/milk"
direction = "up"
kind = "telemetry"
payload.example = '{"litres":12.5}'
"""
    broken = directory / "barn.toml"
    broken.write_text(text.replace('direction = "up"', 'direction = "sideways"'))
    ran = platform.cli("dialect", "check", broken, expect=2)
    assert "sideways" in ran.stdout + ran.stderr
    broken.write_text(text)
    platform.cli("dialect", "check", broken)
    login = platform.add("berta", "barn")  # the first device of a dialect announces it

    def milked() -> bool:
        with contextlib.suppress(Refused, OSError):
            platform.connect(login).publish("barn/berta/milk", '{"litres":12.5}', qos=1)
        return platform.stored(login) > 0

    def stored(payload: str) -> bool:
        return bool(platform.rows("SELECT 1 FROM messages WHERE payload = ?", payload))

    wait_until(milked, "the first milk")

    refused = platform.cli("device", "rotate", "berta", "--json", expect=4)
    assert "has no commands" in refused.stderr
    broken.write_text(text + MORE)
    gateway = platform.connect()
    platform.cli("dialect", "reload")
    gateway.publish("barn/berta/honey", '{"jars":3}', qos=1)  # ingest is subscribed by now
    wait_until(lambda: stored('{"jars":3}'), "the first honey")
    platform.cli("device", "rotate", "berta", "--wait", "0s")
    client = platform.connect(login)  # with the right to subscribe
    client.subscribe("barn/berta/do")
    [command] = client.collect()
    assert command.topic == "barn/berta/do"
    assert b"password" in command.payload

    broken.write_text(text.replace('direction = "up"', 'direction = "sideways"'))
    platform.cli("dialect", "reload", expect=2)
    platform.cli("broker", "sync")
    client.publish("barn/berta/milk", '{"litres":9}', qos=1)  # as if the file were still valid
    wait_until(lambda: stored('{"litres":9}'), "the next milk")
    broken.write_text(text + MORE)  # the tests after this one want a status without problems
    platform.cli("dialect", "reload")


def test_a_removed_device_is_cut_off_at_once(platform: Platform) -> None:
    login = platform.add("leaver", "drivesafe")
    client = platform.connect(login)
    platform.cli("device", "remove", "leaver", "--yes")
    client.wait_for_disconnect()
    with pytest.raises(AssertionError):
        platform.connect(login, client_id="leaver-again")


def test_readings_over_http_are_stored_and_receipted(platform: Platform) -> None:
    login = platform.add("behind-a-proxy", "mooring")
    url = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/devices/behind-a-proxy/telemetry"
    auth = (login.username, login.password)
    body = {"messages": [{"seq": n, "values": {"t": n}} for n in (1, 2, 4)]}
    answer = httpx.post(url, json=body, auth=auth, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"accepted": 3, "receipt": {"upto": 2, "also": [[4, 4]]}}
    assert platform.stored(login) == 3
    gaps = platform.cli("device", "gaps", "behind-a-proxy", "--json").json()["devices"][0]
    assert gaps["missing"] == [[3, 3]]
    assert httpx.post(url, json={"seq": 3}, auth=auth, timeout=20).json()["receipt"] == {"upto": 4}
    again = httpx.post(url, json=body, auth=auth, timeout=20)
    assert again.json()["receipt"] == {"upto": 4}
    assert platform.stored(login) == 4
    assert httpx.post(url, json=body, auth=(login.username, "wrong")).status_code == 401
    assert httpx.post(url, json=body).status_code == 401
    other = platform.add("neighbour", "mooring")
    stolen = httpx.post(url, json=body, auth=(other.username, other.password))
    assert stolen.status_code == 403


def test_a_numbering_device_hears_how_far_it_is_stored(platform: Platform) -> None:
    login = platform.add("counter", "mooring")
    client = platform.connect(login)
    client.subscribe(login.topics["receipt"])
    for number in (1, 2, 3):
        client.publish(login.topics["telemetry"], json.dumps({"seq": number, "values": {}}), qos=1)
    told = []

    def complete() -> bool:
        told.extend(json.loads(m.payload) for m in client.waiting())
        return {"upto": 3} in told

    wait_until(complete, "the receipt")


def test_serve_and_ingest_killed_come_back(platform: Platform) -> None:
    for role in ("serve", "ingest"):
        before = platform.pid(role)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda r=role, b=before: platform.pid(r) != b, f"a new {role}", timeout=40)
    wait_until(
        lambda: platform.cli("status", expect=None).rc == 0, "everything well again", timeout=40
    )
