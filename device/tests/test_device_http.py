"""Claims, recovery and readings over HTTP, against a real HTTP server."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from device_servers import QUICK, Mosquitto, Platform, Web, credentials, free_port, passwords, until
from mooring_device import ClaimRefused, ConnectFailed, Device, InvalidSetting, Options, Revoked
from mooring_device.environment import plain_http_from
from mooring_device.http import Api, basic_auth
from mooring_device.identity import hardware_id

ANSWER: dict[str, Any] = {
    "device": "d1",
    "tenant": "default",
    "dialect": "mooring",
    "username": "device:default:d1",
    "password": "first-secret",
    "client_id": "default:d1",
    "topics": {"telemetry": "mooring/default/d1/telemetry"},
    "broker": {"host": "127.0.0.1", "port": 1},
}
CLAIM = "POST /api/v1/claims"
RECOVER = "POST /api/v1/devices/d1/recover"
TELEMETRY = "POST /api/v1/devices/d1/telemetry"


def test_a_claim_is_kept_and_not_made_twice(web: Web, tmp_path: Path) -> None:
    web.routes[CLAIM] = lambda *_: (201, ANSWER)
    for _ in range(2):
        device = Device.claim("CODE-1", url=web.url, store=tmp_path, hardware_id="h1")
        assert (device.credentials.username, device.credentials.password) == (
            "device:default:d1",
            "first-secret",
        )
        assert device.credentials.http_url == web.url
        device.close()
    assert [json.loads(body) for _, _, body in web.requests] == [
        {"code": "CODE-1", "hardware_id": "h1"}
    ]
    file = tmp_path / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "CODE-1" not in file.read_text()
    web.routes[CLAIM] = lambda *_: (201, {**ANSWER, "password": "second-secret"})
    device = Device.claim("CODE-2", url=web.url, store=tmp_path, hardware_id="h1")
    assert device.credentials.password == "second-secret"
    device.close()


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410, 422])
def test_a_refused_claim_says_why_in_the_platforms_words(
    web: Web, tmp_path: Path, status: int
) -> None:
    web.routes[CLAIM] = lambda *_: (status, {"title": "Gone", "detail": "The code has expired."})
    with pytest.raises(ClaimRefused, match=r"The code has expired\."):
        Device.claim("CODE-1", url=web.url, store=tmp_path)
    assert len(web.requests) == 1


def test_a_claim_waits_for_a_platform_that_is_busy(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring_device.http.PAUSE", 0.01)
    answers = iter([(503, {"title": "Later"}), (429, {}), (201, ANSWER)])
    web.routes[CLAIM] = lambda *_: next(answers)
    assert Api(web.url).claim("c", "h", patience=20).device == "d1"


def test_a_claim_without_patience_fails_at_once(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectFailed, match="Nothing listens"):
        Device.claim("CODE-1", url=url, store=tmp_path, patience=0)


def test_answers_that_cannot_be_used(web: Web) -> None:
    api = Api(web.url)
    web.routes[CLAIM] = lambda *_: (201, {"device": "d1"})
    with pytest.raises(InvalidSetting, match="not complete"):
        api.claim("c", "h")
    web.routes[CLAIM] = lambda *_: (201, ["x"])
    with pytest.raises(ConnectFailed, match="something else"):
        api.claim("c", "h")

    def garbage(handler: Any, body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{")

    web.routes[CLAIM] = garbage
    with pytest.raises(ConnectFailed, match="JSON"):
        api.claim("c", "h")
    for url in ("mqtt://x", "nothing", "https://"):
        with pytest.raises(InvalidSetting, match="address"):
            Api(url)


def test_a_redirect_gets_no_credentials(web: Web) -> None:
    def elsewhere(handler: Any, body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 307 Moved\r\nLocation: /stolen\r\nContent-Length: 0\r\n\r\n")

    web.routes[RECOVER] = elsewhere
    assert Api(web.url).recover(credentials(1, username="u", password="p")) is None
    assert [key for key, _, _ in web.requests] == [RECOVER]


def test_the_authorization_is_the_devices_own(web: Web) -> None:
    web.routes[RECOVER] = lambda *_: (200, {**ANSWER, "password": "fresh"})
    fresh = Api(web.url).recover(credentials(1, username="u:é", password="p"))
    assert fresh is not None
    assert fresh.password == "fresh"
    header = web.requests[0][1]["Authorization"]
    assert base64.b64decode(header.split()[1]).decode() == "u:é:p"
    assert header == basic_auth("u:é", "p")


def test_the_hardware_id_is_stable_and_not_the_machine_id(tmp_path: Path) -> None:
    serial, machine = tmp_path / "serial", tmp_path / "machine-id"
    machine.write_text("0123456789abcdef\n")
    one = hardware_id((str(serial), str(machine)))
    assert one == hardware_id((str(machine),))
    assert "0123456789abcdef" not in one
    serial.write_bytes(b"10000000abcd\0")
    assert hardware_id((str(serial), str(machine))) != one
    assert len(hardware_id(("/not/there",))) == 32


# ------------------------------------------------------------------ readings over HTTP


class Endpoint:
    """The platform's telemetry endpoint: stores and answers with a receipt."""

    def __init__(self, web: Web) -> None:
        self.stored: dict[int, Any] = {}
        self.fail = 0
        web.routes[TELEMETRY] = self.serve

    def serve(self, handler: Any, body: bytes) -> tuple[int, Any]:
        if self.fail:
            self.fail -= 1
            return 503, {"title": "The database does not answer"}
        for message in json.loads(body)["messages"]:
            self.stored[message["seq"]] = message
        upto = 0
        while upto + 1 in self.stored:
            upto += 1
        return 200, {"receipt": {"upto": upto}}


HTTP_QUICK = {**QUICK.__dict__, "http_batch": 40, "http_after": 0.2}


def test_http_only(web: Web, tmp_path: Path) -> None:
    endpoint = Endpoint(web)
    endpoint.fail = 10**6  # until everything waits, so that the first batch is a full one
    options = Options(**{**HTTP_QUICK, "http": "only"})
    where = credentials(1, http_url=web.url, username="u", password="p")
    with Device(where, store=tmp_path, options=options) as device:
        for i in range(100):
            device.publish({"x": i}, ts=1_767_225_600_000 + i)
        endpoint.fail = 2
        assert device.wait_drained(20), device.stats()
        assert device.stats()["over_http"] == 100
        assert device.stats()["sessions"] == 0
    assert [endpoint.stored[i]["values"]["x"] for i in range(1, 101)] == list(range(100))
    assert endpoint.stored[1] == {"ts": 1767225600000, "seq": 1, "values": {"x": 0}}
    assert {headers["Authorization"] for _, headers, _ in web.requests} == {basic_auth("u", "p")}
    assert max(len(json.loads(body)["messages"]) for _, _, body in web.requests) == 40


def test_it_switches_to_http_and_back(
    broker: Mosquitto, platform: Platform, web: Web, tmp_path: Path
) -> None:
    endpoint = Endpoint(web)
    options = Options(**{**HTTP_QUICK, "http": "fallback"})
    where = credentials(broker.port, http_url=web.url, username="u", password="p")
    with Device(where, store=tmp_path, options=options) as device:
        device.publish({"over": "mqtt"})
        assert device.wait_drained(10)
        endpoint.stored[1] = platform.stored[1]
        broker.kill()
        until(lambda: not device.connected, "the device sees the end")
        device.publish({"over": "http"})
        device.publish({"event": "stays for MQTT"}, channel="event")
        until(lambda: 2 in endpoint.stored, "it arrives over HTTP")
        until(lambda: device.queued == 1, "only the event is left")
        broker.start()
        until(lambda: device.connected, "back on MQTT")
        device.publish({"over": "mqtt again"})
        until(lambda: 4 in platform.stored and 3 in platform.stored, "over MQTT again")
    assert 2 not in platform.stored
    assert platform.stored[3]["event"] == "stays for MQTT"


# ------------------------------------------------------------------ recovery


def test_revoked_means_stop(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    file = passwords(folder, other="x")
    broker = Mosquitto(folder, "allow_anonymous false", f"password_file {file}")
    web.routes[RECOVER] = lambda *_: (410, {"title": "Gone"})
    where = credentials(broker.port, http_url=web.url, username="u", password="p")
    device = Device(where, store=tmp_path / "s", options=QUICK)
    seq = device.publish({"x": 1})
    with pytest.raises(Revoked, match="revoked this device"):
        device.run_forever()
    broker.stop()
    assert seq == 1
    assert len(web.requests) == 1
    again = Device(where, store=tmp_path / "s", options=QUICK)
    assert again.queued == 1  # what was measured is still there
    again.close()


def test_a_device_that_is_refused_recovers_by_itself(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    file = passwords(folder, d1="fresh-secret")
    broker = Mosquitto(folder, "allow_anonymous false", f"password_file {file}")
    where = credentials(broker.port, http_url=web.url, username="d1", password="stale-secret")
    web.routes[RECOVER] = lambda *_: (
        200,
        {
            **ANSWER,
            "username": "d1",
            "password": "fresh-secret",
            "broker": {"host": "127.0.0.1", "port": broker.port},
        },
    )
    with Device(where, store=tmp_path / "s", options=QUICK) as device:
        assert device.wait_connected(20)
    assert web.requests[0][1]["Authorization"] == basic_auth("d1", "stale-secret")
    # The next start goes by the store, although the application still says the old password.
    with Device(where, store=tmp_path / "s", options=QUICK) as device:
        assert device.credentials.password == "fresh-secret"
        assert device.wait_connected(20)
    assert len(web.requests) == 1
    broker.stop()


@pytest.mark.parametrize(
    "url", ["http://192.168.1.10:8080", "http://iot.example", "http://[fd00::2]", "http://10.0.0.1"]
)
def test_a_password_goes_to_no_other_machine_unencrypted(url: str) -> None:
    with pytest.raises(InvalidSetting, match="encrypt"):
        Api(url)
    Api(url, plain_http=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_this_machine_is_no_other(url: str) -> None:
    Api(url)


def test_the_environment_can_allow_it() -> None:
    assert plain_http_from({"MOORING_PLAIN_HTTP": "true"})
    assert not plain_http_from({})
