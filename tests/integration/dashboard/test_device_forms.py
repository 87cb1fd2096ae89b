"""Forms of one device: declared parameters of commands, a certificate that is issued."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.devices.model import NewDevice
from mooring.errors import Invalid
from mooring.identity.actor import SYSTEM
from mooring.store.schema import commands
from mooring.wiring.tls import prepare_tls
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser
from tests.support.html import HOSTILE, faults

FIELD = "p.interval_seconds"
KEY = "commands_config set_interval"


@pytest.fixture
def device(platform: App) -> str:
    platform.devices.add(SYSTEM, NewDevice("kiln", "iotflow", "a"))
    return "/devices/a:kiln/commands"


def sent(platform: App) -> list[tuple[str, str, Any]]:
    c = commands.c
    with platform.database.read() as connection:
        rows = connection.execute(sa.select(c.name, c.channel, c.parameters).order_by(c.id)).all()
    return [(name, channel, json.loads(parameters)) for name, channel, parameters in rows]


def test_a_declared_command_has_a_field_for_each_parameter(
    platform: App, browser_of: BrowserOf, device: str
) -> None:
    browser = browser_of("operator", tenant="a")
    links = browser.page(device).links
    chosen = next(href for href in links if "set_interval" in href)
    page = browser.page(chosen)
    fields = page.fields(device)
    assert fields[FIELD] == "60" and fields["declared"] == KEY and "parameters" not in fields
    assert "Unit: s." in page.text
    browser.do(device, {"declared": KEY, FIELD: "30"})
    browser.do(device, {"declared": "command restart", "p.delay_seconds": ""})
    assert sent(platform) == [
        ("set_interval", "commands_config", {"interval_seconds": 30}),
        ("restart", "command", {}),
    ]
    viewer = browser_of("viewer", tenant="a").page(device)
    assert not [href for href in viewer.links if "command=" in href]


@pytest.mark.parametrize("typed", ["", "0", "86401", "1.5", "many", "<script>alert(1)</script>"])
def test_what_the_dialect_does_not_allow_is_said_at_its_field(
    platform: App, browser_of: BrowserOf, device: str, typed: str
) -> None:
    browser = browser_of("operator", tenant="a")
    answer = browser.post(device, {"declared": KEY, FIELD: typed, "reason": "keep this"})
    assert answer.status_code == 422 and faults(answer.text) == []
    assert 'aria-invalid="true"' in answer.text and "keep this" in answer.text
    assert 'value="commands_config set_interval"' in answer.text, "the same form is shown again"
    assert sent(platform) == []


def test_every_way_to_send_checks_declared_parameters(platform: App, device: str) -> None:
    service = platform.service(Commands)
    for given in ({"interval_seconds": "soon"}, {"interval_seconds": True}, {}):
        with pytest.raises(Invalid) as caught:
            service.send(SYSTEM, "a:kiln", NewCommand("set_interval", given, "commands_config"))
        assert caught.value.slug == "invalid_parameter"
    new = NewCommand("set_interval", {"interval_seconds": 5, "jitter": 1}, "commands_config")
    assert service.send(SYSTEM, "a:kiln", new).parameters == {"interval_seconds": 5, "jitter": 1}
    service.send(SYSTEM, "a:kiln", NewCommand("not-declared", {"x": "y"}, "commands_config"))


def test_a_command_that_is_not_declared_any_more(browser_of: BrowserOf, device: str) -> None:
    browser = browser_of("operator", tenant="a")
    for text in (*HOSTILE, "commands gone"):
        answer = browser.post(device, {"declared": text})
        assert answer.status_code == 422 and faults(answer.text) == [], text
        shown = browser.client.get(device, params={"command": text})
        assert shown.status_code == 200 and faults(shown.text) == [], text


def test_a_certificate_is_issued_and_its_key_shown_once(
    platform: App, browser_of: BrowserOf, tmp_path: Any
) -> None:
    platform.devices.add(SYSTEM, NewDevice("kiln", "mooring", "a"))
    browser = browser_of("operator", tenant="a")
    to = "/devices/a:kiln/certificates"
    assert browser.post(to, {"days": "30"}).status_code in (404, 409), "there is no CA yet"
    prepare_tls(platform)
    answer = browser.post(to, {"days": "30"})
    assert answer.status_code == 200 and faults(answer.text) == []
    assert answer.headers["cache-control"] == "no-store"
    assert "content-encoding" not in answer.headers
    assert "BEGIN PRIVATE KEY" in answer.text and answer.text.count("BEGIN CERTIFICATE") >= 2
    page = browser.page("/devices/a:kiln/credentials")
    assert "PRIVATE KEY" not in page.text
    (one,) = platform.certificates.list(SYSTEM, "a:kiln")
    assert one.serial in page.text
    bad = browser.post(to, {"csr": "not a request", "days": "30"})
    assert bad.status_code == 422 and "not a request" in bad.text and faults(bad.text) == []
    assert len(platform.certificates.list(SYSTEM, "a:kiln")) == 1
    assert browser_of("viewer", tenant="a").post(to, {}).status_code == 403


def test_a_signing_request_keeps_its_key(platform: App, admin: Browser, tmp_path: Any) -> None:
    platform.devices.add(SYSTEM, NewDevice("kiln", "mooring"))
    prepare_tls(platform)
    openssl = shutil.which("openssl")
    assert openssl
    made = subprocess.run(
        [
            *(openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", "/CN=x", "-keyout", str(tmp_path / "key")),
        ],
        check=True,
        capture_output=True,
    )
    answer = admin.post("/devices/default:kiln/certificates", {"csr": made.stdout.decode()})
    assert answer.status_code == 200 and "BEGIN PRIVATE KEY" not in answer.text
    assert "BEGIN CERTIFICATE" in answer.text
