"""Rules and alerts through a real Mosquitto and all processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.page_commands import Shell, blocks
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "alerts.md").read_text("utf-8")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {"MOORING_ALERT_DISK_PERCENT": "1"}  # the disk of a test machine may be full
    with running_platform(tmp_path_factory.mktemp("alerts") / "data", env=env) as running:
        yield running


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Iterator[httpx.Client]:
    key = platform.cli("key", "new", "alerts", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30) as client:
        yield client


def test_the_page_followed(platform: Platform, admin: httpx.Client, tmp_path: Path) -> None:
    """docs/how-to/alerts.md with a boiler at a real broker."""
    shell = Shell(platform, tmp_path / "clone")
    add, rule, list_, handle, clear, trial, change = blocks(PAGE)
    printed = shell.run(add)
    secret = re.search(r"^ *password +(\S+)$", printed, re.MULTILINE)
    assert secret, printed
    shell.run(rule)
    login = Login("boiler", "default", "default/boiler", secret[1], "default:boiler", {})
    boiler = platform.connect(login)

    def reports(temperature: float) -> None:
        body = json.dumps({"values": {"temperature": temperature}})
        boiler.publish("mooring/default/boiler/telemetry", body)

    def alerts(*states: str) -> list[int]:
        found = admin.get("/api/v1/alerts", params={"state": list(states)}).json()["items"]
        return [one["number"] for one in found]

    wait_until(lambda: (reports(85), alerts())[1], "the alert to be raised", timeout=30)
    shell.run(list_)
    shell.run(handle)
    shown = admin.get("/api/v1/alerts/1").json()
    assert (shown["state"], shown["assignee"]) == ("acknowledged", "ada")
    events = [one["event"] for one in shown["history"]]
    assert events == ["raised", "acknowledged", "assigned", "comment", "snoozed"]
    assert "1 error" in platform.cli("status", expect=None).stdout
    assert admin.get("/api/v1/status").json()["alerts_open"] == {"error": 1}
    assert 'mooring_alerts_open{severity="error"} 1.0' in admin.get("/metrics").text
    assert "boiler hot" in platform.cli("device", "show", "boiler").stdout
    shell.run(clear)
    assert alerts() == []
    wait_until(lambda: (reports(84), alerts())[1], "a new alert", timeout=30)
    reports(75)
    wait_until(lambda: not alerts(), "the alert to be cleared", timeout=30)
    assert alerts("cleared") == [2, 1]
    assert "boiler" in shell.run(trial)
    shell.run(change)
    assert admin.get("/api/v1/rules").json()["items"] == []


def test_the_document_of_the_page_is_a_rule(platform: Platform, tmp_path: Path) -> None:
    (text,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "rule.json"
    document = json.loads(text)
    del document["scope"]["group"]
    file.write_text(json.dumps(document))
    added = platform.cli("rule", "add", "paged", "--file", str(file), "--json").json()
    assert added["rule"] == {
        **document,
        "scope": {"dialect": "mooring", "device": None, "group": None, "where": None},
        "terms": [document["terms"][0], {"metric": "pressure", "no_data_seconds": 300.0}],
    }


def test_wrong_rules_are_rejected_with_what_is_wrong(platform: Platform) -> None:
    for options, word in (
        (["--when", "temperature"], "is not a term"),
        (["--when", "t > 1", "--device", "nobody"], "nobody"),
    ):
        failed = platform.cli("rule", "add", "wrong", *options, expect=None)
        assert failed.rc in (2, 3)
        assert word in failed.stderr
    assert platform.cli("alert", "show", "999", expect=3).stdout == ""
