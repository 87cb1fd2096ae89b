"""The device SDK as a new user meets it, against the whole platform."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring_device import (
    Backoff,
    ClaimRefused,
    Device,
    DeviceKey,
    InvalidSetting,
    Options,
    Revoked,
    device_key,
)
from tests.support.device_keys import KINDS, private_key, private_pem, public_pem
from tests.support.platform import Login, Platform, running_platform
from tests.support.ports import free_port
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until

BACKOFF = Backoff(floor=0.1, first=0.4, cap=1.0)
QUICK = Options(backoff=BACKOFF, receipt_timeout=3.0, http_after=0.5, recover_every=2.0)

FIVE_LINES = """
import json, sys
from mooring_device import Device
with Device(json.load(open(sys.argv[1])), store=sys.argv[2]) as device:
    device.publish({"temperature": 21.5})
"""

FIVE_LINES_WITH_A_CODE = """
import sys
from mooring_device import Device
with Device.claim(sys.argv[1], url=sys.argv[2], store=sys.argv[3]) as device:
    device.publish({"temperature": 21.5})
"""


@pytest.fixture(scope="module")
def mtls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, mtls_port: int) -> Iterator[Platform]:
    env = {"MOORING_MQTT_MTLS_PORT": str(mtls_port)}
    with running_platform(tmp_path_factory.mktemp("sdk") / "data", env=env) as running:
        yield running


def url(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.ports['http_port']}"


def add(platform: Platform, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = platform.cli(
        "device", "add", name, "--dialect", "mooring", "--json"
    ).json()
    assert answer["accepted_by_broker"] is True
    return answer


def login_of(answer: dict[str, Any]) -> Login:
    names = ("device", "tenant", "username", "password", "client_id", "topics")
    return Login(*(answer[name] for name in names))


def run(script: str, *words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def said(platform: Platform, device: str, channel: str = "telemetry") -> list[dict[str, Any]]:
    """What is stored of a device's channel, in the order of its numbers."""
    return [
        json.loads(row[0])
        for row in platform.rows(
            "SELECT m.payload FROM messages m JOIN channels c ON c.id = m.channel_id"
            " JOIN devices d ON d.id = m.device_id WHERE d.name = ? AND c.name = ?"
            " ORDER BY m.seq, m.id",
            device,
            channel,
        )
    ]


def values(platform: Platform, device: str) -> list[Any]:
    return [one["values"] for one in said(platform, device)]


# ------------------------------------------------------------------ a key instead of a password


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_with_a_key_renews_its_password(
    platform: Platform, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = add(platform, f"key-{kind.lower()}")
    key = private_key(kind, 0)
    (tmp_path / "public.pem").write_text(public_pem(key))
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    registered = platform.cli(
        "device", "key", "add", answer["device"], str(tmp_path / "public.pem"), "--json"
    ).json()
    given = {**answer, "password": None, "http": {"url": url(platform)}}
    monkeypatch.setattr(device_key, "RENEW_AT", 0.1)  # of 60 seconds
    own = DeviceKey(tmp_path / "key.pem", registered["audience"], lifetime=60)
    with Device(given, store=tmp_path / "store", options=QUICK, key=own) as device:
        assert device.wait_connected(20)
        device.publish({"n": 1})
        wait_until(lambda: device.stats()["sessions"] > 1 and device.connected, "the next password")
        device.publish({"n": 2})
        assert device.wait_drained(20)
    assert values(platform, answer["device"]) == [{"n": 1}, {"n": 2}]
    over_http = replace(QUICK, http="only")
    with Device(given, store=tmp_path / "store", options=over_http, key=own) as device:
        device.publish({"n": 3})
        assert device.wait_drained(20)
    assert values(platform, answer["device"])[-1] == {"n": 3}


# ------------------------------------------------------------------ the first five minutes


def test_five_lines_with_what_device_add_printed(platform: Platform, tmp_path: Path) -> None:
    printed = platform.cli("device", "add", "five-lines", "--dialect", "mooring", "--json").stdout
    (tmp_path / "credentials.json").write_text(printed)
    run(FIVE_LINES, tmp_path / "credentials.json", tmp_path / "store")
    assert values(platform, "five-lines") == [{"temperature": 21.5}]
    device = platform.cli("device", "show", "five-lines", "--json").json()
    assert device["state"]["online"] is False  # it said goodbye


def test_five_lines_with_what_rest_answered(platform: Platform, tmp_path: Path) -> None:
    who = {"name": "admin", "password": platform.password_of_admin()}
    token = httpx.post(f"{url(platform)}/api/v1/login", json=who).json()["token"]
    answer = httpx.post(
        f"{url(platform)}/api/v1/devices",
        json={"name": "from-rest", "dialect": "mooring"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=20,
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["http"] == {"url": url(platform)}
    (tmp_path / "credentials.json").write_text(answer.text)
    run(FIVE_LINES, tmp_path / "credentials.json", tmp_path / "store")
    assert values(platform, "from-rest") == [{"temperature": 21.5}]


def test_five_lines_with_a_claim_code(platform: Platform, tmp_path: Path) -> None:
    words = ["--dialect", "mooring", "--device", "claimed", "--json"]
    code = platform.cli("claim", "new", *words).json()["code"]
    run(FIVE_LINES_WITH_A_CODE, code, url(platform), tmp_path / "store")
    # At the next start the code is not asked for: nobody answers at that address.
    run(FIVE_LINES_WITH_A_CODE, code, f"http://127.0.0.1:{free_port()}", tmp_path / "store")
    assert values(platform, "claimed") == [{"temperature": 21.5}] * 2
    with pytest.raises(ClaimRefused) as refused:
        Device.claim(code, url=url(platform), store=tmp_path / "other", hardware_id="another one")
    assert "code" in refused.value.message


def test_a_wrong_code_is_refused_in_words(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(ClaimRefused) as refused:
        Device.claim("AAAA-AAAA", url=url(platform), store=tmp_path)
    assert "mooring claim new" in refused.value.hint


# ------------------------------------------------------------------ HTTP as second way


def test_readings_go_over_http_while_mqtt_is_cut_and_over_mqtt_again(
    platform: Platform, tmp_path: Path
) -> None:
    answer = add(platform, "two-ways")
    with Proxy(platform.ports["mqtt_tls_port"]) as proxy:
        answer["broker"] |= {"network_host": "127.0.0.1", "tls_port": proxy.port}
        options = Options(**{**vars(QUICK), "http": "fallback"})
        with Device(answer, store=tmp_path, options=options) as device:
            assert device.wait_connected(20)
            device.publish({"way": "mqtt"})
            assert device.wait_drained(20), device.stats()
            assert device.stats()["over_http"] == 0

            proxy.cut(Cut.REFUSE, seconds=3600)
            wait_until(lambda: not device.connected, "the end of the connection")
            for number in range(250):
                device.publish({"way": "http", "n": number}, wait=False)
            assert device.wait_drained(40), device.stats()
            assert device.stats()["over_http"] == 250

            proxy.welcome()
            assert device.wait_connected(20), device.stats()
            device.publish({"way": "mqtt again"})
            assert device.wait_drained(20), device.stats()
            assert device.stats()["over_http"] == 250
    assert values(platform, "two-ways") == [
        {"way": "mqtt"},
        *({"way": "http", "n": number} for number in range(250)),
        {"way": "mqtt again"},
    ]
    gaps = platform.cli("device", "gaps", "two-ways", "--json").json()["devices"][0]
    assert (gaps["missing"], gaps["lost"]) == ([], 0)


def test_a_device_that_was_told_to_use_http_only(platform: Platform, tmp_path: Path) -> None:
    answer = add(platform, "https-only")
    options = Options(**{**vars(QUICK), "http": "only"})
    with Device(answer, store=tmp_path, options=options) as device:
        for number in range(20):
            device.publish({"n": number})
        assert device.wait_drained(30), device.stats()
        assert device.stats()["sessions"] == 0
    assert values(platform, "https-only") == [{"n": number} for number in range(20)]


# ------------------------------------------------------------------ new passwords


def test_a_rotation_is_settled_by_the_device(platform: Platform, tmp_path: Path) -> None:
    answer = add(platform, "rotated")
    with Device(answer, store=tmp_path, options=QUICK) as device:
        assert device.wait_connected(20)
        rotation = platform.cli("device", "rotate", "rotated", "--json", timeout=100).json()
        assert (rotation["phase"], rotation["over"]) == ("settled", True), rotation
        device.publish({"with": "the new password"})
        assert device.wait_drained(30), device.stats()
    with pytest.raises(AssertionError):
        platform.connect(login_of(answer))  # the old password
    # The program still has the old one; the store knows better.
    with Device(answer, store=tmp_path, options=QUICK) as device:
        device.publish({"after": "a restart"})
        assert device.wait_drained(30), device.stats()
    assert values(platform, "rotated") == [{"with": "the new password"}, {"after": "a restart"}]


def test_a_device_with_an_old_password_recovers(platform: Platform, tmp_path: Path) -> None:
    """Its store was restored from before a rotation: broker refuses, platform helps."""
    answer = add(platform, "restored")
    store = tmp_path / "store"
    with Device(answer, store=store, options=QUICK) as device:
        device.publish({"n": 1})
        assert device.wait_drained(20)
    shutil.copytree(store, tmp_path / "backup")
    with Device(answer, store=store, options=QUICK) as device:
        assert device.wait_connected(20)
        rotation = platform.cli("device", "rotate", "restored", "--json", timeout=100).json()
        assert rotation["phase"] == "settled"
    answer["http"]["url"] = url(platform)
    with Device(answer, store=tmp_path / "backup", options=QUICK) as device:
        device.publish({"n": 2})
        assert device.wait_drained(60), device.stats()
    assert values(platform, "restored") == [{"n": 1}, {"n": 2}]


def test_a_disabled_device_stops(platform: Platform, tmp_path: Path) -> None:
    answer = add(platform, "disabled")
    device = Device(answer, store=tmp_path, options=QUICK).start()
    assert device.wait_connected(20)
    platform.cli("device", "disable", "disabled")
    with pytest.raises(Revoked):
        device.run_forever()


# ------------------------------------------------------------------ what is sent to it


def test_commands_and_settings_by_hand(platform: Platform, tmp_path: Path) -> None:
    answer = add(platform, "obeys")
    topics = answer["topics"]
    base = topics["telemetry"].removesuffix("telemetry")
    device = Device(answer, store=tmp_path, options=QUICK, firmware="1.4.0")
    done: list[Any] = []

    @device.command("reboot")
    def reboot(args: dict[str, Any]) -> dict[str, Any]:
        done.append(args)
        return {"in": args["delay"]}

    @device.command("break")
    def fail() -> None:
        raise OSError("The motor is stuck.")

    @device.on_config
    def configure(config: dict[str, Any]) -> None:
        done.append(config)

    with device:
        assert device.wait_connected(20)
        hand = platform.connect()
        settings = json.dumps({"version": 3, "config": {"interval_s": 30}})
        hand.publish(topics["config"], settings, qos=1, retain=True)
        for _ in range(2):  # twice the same command is once the same command
            hand.publish(f"{base}command/reboot", '{"id":"c1","args":{"delay":5}}', qos=1)
        hand.publish(f"{base}command/break", '{"id":"c2"}', qos=1)
        hand.publish(f"{base}command/dance", '{"id":"c3"}', qos=1)
        wait_until(
            lambda: {one["id"] for one in said(platform, "obeys", "reply")} >= {"c1", "c2", "c3"},
            "the replies",
        )
        wait_until(lambda: said(platform, "obeys", "config_reported"), "the settings' report")
    assert done.count({"delay": 5}) == 1
    assert done.count({"interval_s": 30}) == 1
    replies = {one["id"]: one for one in said(platform, "obeys", "reply")}
    assert (replies["c1"]["ok"], replies["c1"]["result"]) == (True, {"in": 5})
    assert (replies["c2"]["ok"], replies["c2"]["error"]) == (False, "OSError: The motor is stuck.")
    assert replies["c3"]["ok"] is False
    reported = said(platform, "obeys", "config_reported")[0]
    assert (reported["version"], reported["ok"], reported["config"]) == (
        3,
        True,
        {"interval_s": 30},
    )
    state = platform.cli("device", "show", "obeys", "--json").json()["state"]
    assert state["firmware"] == "1.4.0"


# ------------------------------------------------------------------ the environment


def environment(platform: Platform, answer: dict[str, Any], **more: str) -> dict[str, str]:
    return {
        "MQTT_BROKER": "localhost",
        "MQTT_BROKER_PORT": str(platform.ports["mqtt_tls_port"]),
        "MQTT_USE_TLS": "true",
        "MQTT_USERNAME": answer["username"],
        "MQTT_PASSWORD": answer["password"],
        "MQTT_CLIENT_ID": answer["client_id"],
        "MQTT_DEVICE": answer["device"],
        "MQTT_TENANT": answer["tenant"],
    } | more


@pytest.fixture(scope="module")
def ca(platform: Platform) -> str:
    """Where ``mooring cert show`` says the CA is."""
    path: str = platform.cli("cert", "show", "--json").json()["paths"]["ca"]
    assert Path(path) == platform.data_dir / "pki" / "ca.crt"
    return path


def test_from_the_environment_over_tls(platform: Platform, tmp_path: Path, ca: str) -> None:
    answer = add(platform, "by-env")
    given = environment(platform, answer, MQTT_CA_CERTS=ca)
    with Device.from_env(given, store=tmp_path, options=QUICK) as device:
        device.publish({"t": 1})
        assert device.wait_drained(20), device.stats()
    assert values(platform, "by-env") == [{"t": 1}]


def test_from_the_environment_over_the_plain_port(platform: Platform, tmp_path: Path) -> None:
    answer = add(platform, "by-env-plain")
    given = environment(
        platform, answer, MQTT_USE_TLS="false", MQTT_BROKER_PORT=str(platform.ports["mqtt_port"])
    )
    with Device.from_env(given, store=tmp_path, options=QUICK) as device:
        device.publish({"t": 1})
        assert device.wait_drained(20), device.stats()
    assert values(platform, "by-env-plain") == [{"t": 1}]


def test_from_the_environment_with_a_certificate(
    platform: Platform, tmp_path: Path, mtls_port: int, ca: str
) -> None:
    answer = add(platform, "by-certificate")
    platform.cli("cert", "device", "by-certificate", "--out", tmp_path / "cert")
    given = environment(
        platform,
        answer,
        MQTT_PASSWORD="",
        MQTT_BROKER_PORT=str(mtls_port),
        MQTT_CA_CERTS=ca,
        MQTT_CERTFILE=str(tmp_path / "cert" / "device.crt"),
        MQTT_KEYFILE=str(tmp_path / "cert" / "device.key"),
    )
    with Device.from_env(given, store=tmp_path / "store", options=QUICK) as device:
        device.publish({"t": 1})
        assert device.wait_drained(20), device.stats()
    assert values(platform, "by-certificate") == [{"t": 1}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "MQTT_CA_CERTS"),  # the system's CAs do not know ours
        ({"MQTT_BROKER": "127.0.0.2", "MQTT_CA_CERTS": "ours"}, "another host"),
        ({"MQTT_CA_CERTS": "ours", "MQTT_PASSWORD": "wrong"}, "rejected the login"),
        ({"MQTT_CA_CERTS": "ours", "MQTT_BROKER_PORT": "plain"}, "the TLS port of the broker"),
    ],
    ids=["unknown CA", "wrong host", "wrong password", "plain port"],
)
def test_why_it_does_not_connect(
    platform: Platform, tmp_path: Path, ca: str, more: dict[str, str], words: str
) -> None:
    answer = {"username": "nobody", "password": "x", "client_id": "n", "device": "n", "tenant": "t"}
    stands_for = {"ours": ca, "plain": str(platform.ports["mqtt_port"])}
    given = environment(platform, answer, **{k: stands_for.get(v, v) for k, v in more.items()})
    options = Options(backoff=BACKOFF, linger=0.0)
    with Device.from_env(given, store=tmp_path, options=options) as device:
        failure = wait_until(lambda: device.stats()["last_failure"], "the reason")
        device.publish({"t": 1})
        device.flush()
    assert words in failure
    assert "CERTIFICATE_VERIFY_FAILED" not in failure


def test_insecure_warns_every_time(
    platform: Platform, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = add(platform, "insecure")
    with Proxy(platform.ports["mqtt_tls_port"]) as proxy:
        given = environment(
            platform, answer, MQTT_TLS_INSECURE="true", MQTT_BROKER_PORT=str(proxy.port)
        )
        with (
            caplog.at_level(logging.WARNING, "mooring_device"),
            Device.from_env(given, store=tmp_path, options=QUICK) as device,
        ):
            assert device.wait_connected(20)
            proxy.cut(Cut.RESET)
            wait_until(lambda: device.stats()["sessions"] == 2, "the second session")
            device.publish({"t": 1})
            assert device.wait_drained(20)
    warnings = [record for record in caplog.records if "MQTT_TLS_INSECURE" in record.message]
    assert len(warnings) >= 2
    assert values(platform, "insecure") == [{"t": 1}]


def test_a_file_that_is_not_there_is_named_before_anything_is_sent(
    platform: Platform, tmp_path: Path
) -> None:
    answer = add(platform, "no-file")
    given = environment(platform, answer, MQTT_CA_CERTS=str(tmp_path / "nothing.crt"))
    with pytest.raises(InvalidSetting) as refused:
        Device.from_env(given, store=tmp_path / "store")
    assert "nothing.crt" in refused.value.message
