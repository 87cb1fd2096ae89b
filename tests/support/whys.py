"""Bringing about what ``mooring device why`` tells apart, on a running platform.

Each function of ``SITUATIONS`` makes one situation with a device of its own and checks the verdict,
which the table of ``docs/reference/verdicts.md`` has for each authority of the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring import settings
from mooring.app import App, open_app
from mooring.broker.plugin_control import PluginControl
from mooring.doctor.why import SILENT_MS
from mooring.identity.actor import SYSTEM
from mooring.pki.authority import CertificateAuthority, make_ca
from mooring.pki.files import PkiFiles
from mooring.pki.keys import key_pem
from mooring.pki.service import PkiService
from mooring.pki.store import SqlLedger
from mooring.store.engine import now_ms
from tests.faults.credentials.devices import KeepsBoth
from tests.support.mqtt import MqttClient, Refused
from tests.support.platform import Login, Platform
from tests.support.source import ROOT
from tests.support.waiting import wait_until
from tests.unit.pki.making import pem, serial

__all__ = ["SITUATIONS", "Whys", "a_leaf", "table"]

READING = b'{"values": {"t": 1}}'
_ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
AUTHORITIES = ("plugin", "dynamic_security", "password_file")


def table() -> dict[str, dict[str, str]]:
    """Situation → authority → code of the verdict; empty where it cannot be."""
    page = (ROOT / "docs" / "reference" / "verdicts.md").read_text(encoding="utf-8")
    found = {}
    for situation, *cells in _ROW.findall(page):
        words = [cell.strip().strip("`") for cell in cells]
        codes = [situation if word == "yes" else "" if word == "–" else word for word in words]
        found[situation] = dict(zip(AUTHORITIES, codes, strict=True))
    return found


@dataclass
class Whys:
    """A running platform. ``port``: its listener for certificates; 0: none."""

    platform: Platform
    folder: Path
    port: int = 0
    server_trust: Path | None = None
    """Whom devices trust the broker by; the platform's own CA by default."""

    def __post_init__(self) -> None:
        made = self.platform.cli("key", "new", f"why-{time.time_ns()}", "--role", "admin", "--json")
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.platform.ports['http_port']}/api/v1",
            headers={"X-API-Key": str(made.json()["secret"])},
            timeout=30,
        )
        self.authority = settings.load(env=self.platform.cli.env)[0].authority
        self._left: list[MqttClient] = []

    # ------------------------------------------------------------------ devices

    def add(self, dialect: str = "mooring", **more: object) -> Login:
        """A new device that the broker accepts."""
        name = f"why-{secrets.token_hex(4)}"
        answer = self.api.post("/devices", json={"name": name, "dialect": dialect, **more})
        assert answer.status_code in {201, 202}, answer.text
        wait_until(lambda: not self.platform.waiting(), f"the broker to accept {name}")
        told = answer.json()
        words = ("device", "tenant", "username", "password", "client_id", "topics")
        return Login(*(told[word] for word in words))

    def connect(self, login: Login, **options: Any) -> MqttClient:
        client = self.platform.connect(login, **options)
        self._left.append(client)
        return client

    def seen(self, login: Login) -> None:
        """Once connected, and gone again: its address is known."""
        self.connect(login).disconnect()
        self.becomes(login, "disconnected")

    def rejected(self, login: Login, **options: Any) -> None:
        with pytest.raises(Refused):
            self.platform.connect(login, **options)

    def end(self) -> None:
        """Closes what a situation has left open."""
        for client in self._left:
            client.disconnect()
        self._left.clear()

    # ------------------------------------------------------------------ certificates

    def certificate(self, login: Login, *, days: int = 10) -> Path:
        """A recorded certificate of a device; the folder of its files."""
        with self.app() as app:
            pki = PkiService(
                app.settings.data_dir,
                SqlLedger(app.database, to_broker=app.settings.authority == "plugin"),
            )
            made = pki.device(login.username, days=days)
        assert made.key is not None
        wait_until(lambda: not self.platform.waiting(), "the broker to know the certificate")
        return self._written(login.device, made.certificate, key_pem(made.key))

    def other_certificate(self, name: str, *, foreign: bool = False, days: int = 1) -> Path:
        """A certificate that nobody recorded: made with the platform's CA, or with another."""
        now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
        ours = PkiFiles(self.platform.data_dir).authority()
        ca = make_ca("Other CA", now=now, serial=serial()) if foreign else ours
        assert ca is not None
        leaf = a_leaf(ca, name, key, now + timedelta(days=days))
        return self._written(f"other-{serial()}", pem(leaf), key_pem(key))

    def _written(self, name: str, certificate: bytes, key: bytes) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "device.crt").write_bytes(certificate)
        (folder / "device.key").write_bytes(key)
        return folder

    def with_certificate(
        self, login: Login, folder: Path, *, username: str | None = None
    ) -> MqttClient:
        """A client that shows the certificate; not connected."""
        trust = self.server_trust or self.platform.data_dir / "pki" / "trust.crt"
        context = ssl.create_default_context(cafile=trust)
        context.load_cert_chain(folder / "device.crt", folder / "device.key")
        client = MqttClient(
            self.port, host="localhost", client_id=login.client_id, tls=context, username=username
        )
        self._left.append(client)
        return client

    def turned_away(self, client: MqttClient) -> None:
        """Connecting fails, in the handshake or after it."""
        with pytest.raises((Refused, OSError, AssertionError)):
            client.connect()

    # ------------------------------------------------------------------ verdicts

    def why(self, login: Login) -> dict[str, Any]:
        answer = self.api.get(f"/devices/{login.reference}/why")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def becomes(self, login: Login, code: str) -> dict[str, Any]:
        """The verdict, once it is ``code``."""
        try:
            wait_until(lambda: self.why(login)["code"] == code, code, timeout=20)
        except TimeoutError as exc:
            raise AssertionError(f"{login.username} is not {code}: {self.why(login)}") from exc
        return self.why(login)

    def later(self, login: Login, ms: int) -> str:
        """The verdict that somebody gets who asks so much later."""
        with self.app() as app:
            asked = replace(app.diagnosis, now=lambda: now_ms() + ms)
            return str(asked.why(SYSTEM, login.username).verdict.code)

    @contextmanager
    def app(self) -> Iterator[App]:
        """The platform's services in the test's own process."""
        found, _ = settings.load(env=self.platform.cli.env)
        with open_app(found) as app:
            yield app

    @contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        """A process does nothing meanwhile."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def on_accounts(self, statement: str, *values: object) -> None:
        """Changes the plugin's file behind the platform's back, and says so to the plugin."""
        with closing(sqlite3.connect(self.accounts)) as db, db:
            db.execute(statement, values)
            db.execute("INSERT INTO change(username) VALUES(NULL)")

    @property
    def accounts(self) -> Path:
        return self.platform.data_dir / "broker" / "accounts.db"

    def spoil_accounts(self) -> None:
        other = self.accounts.with_name("spoilt")
        other.write_bytes(b"no database, " * 1000)
        for log in ("-wal", "-shm"):  # with them SQLite may read what was there before
            self.accounts.with_name(self.accounts.name + log).unlink(missing_ok=True)
        other.replace(self.accounts)

    def accounts_are_whole(self) -> bool:
        return self.accounts.exists() and self.accounts.read_bytes().startswith(b"SQLite format")

    def file_state(self) -> str:
        """What the plugin says of its file."""

        async def ask() -> str:
            with self.app() as app:
                control = PluginControl(app.diagnosis.endpoint)
            try:
                return str((await control.ask())["file"])
            finally:
                await control.close()

        return asyncio.run(ask())

    def broker_pid(self) -> int:
        return int((self.platform.data_dir / "broker" / "mosquitto.pid").read_text())


def a_leaf(
    ca: CertificateAuthority, name: str, key: ec.EllipticCurvePrivateKey, ends: datetime
) -> x509.Certificate:
    """A client certificate of any times, which nobody recorded."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(ca.certificate.not_valid_before_utc, ends - timedelta(days=1)))
        .not_valid_after(ends)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


# ---------------------------------------------------------------------- situations


def never_reached(w: Whys, code: str) -> None:
    found = w.becomes(w.add(), code)
    assert ("has reached the broker" in found["summary"]) is (w.authority == "plugin")


def well_then_disconnected(w: Whys, code: str) -> None:
    lamp = w.add()
    client = w.connect(lamp)
    w.becomes(lamp, "well")
    # Attempts of somebody else under its name say nothing of it while it is there, nor after.
    if w.authority == "plugin":
        w.rejected(lamp, password="of-a-neighbour", client_id="neighbour")
    client.publish(lamp.topics["telemetry"], READING)
    assert w.why(lamp)["code"] == "well"
    assert w.why(lamp)["next_step"] == ""
    client.disconnect()
    w.becomes(lamp, code)


def well(w: Whys, code: str) -> None:
    lamp = w.add()
    w.connect(lamp).publish(lamp.topics["telemetry"], READING)
    w.becomes(lamp, code)


def removed(w: Whys, code: str) -> None:
    lamp = w.add()
    w.api.delete(f"/devices/{lamp.device}").raise_for_status()
    w.rejected(lamp)
    assert w.later(lamp, 0) == code


def disabled(w: Whys, code: str) -> None:
    lamp = w.add()
    w.api.post(f"/devices/{lamp.device}/disable", json={}).raise_for_status()
    w.becomes(lamp, code)


def broker_down(w: Whys, code: str) -> None:
    lamp = w.add()
    with w.stopped(w.broker_pid()):
        w.becomes(lamp, code)
    w.becomes(lamp, "never_reached")


def change_pending(w: Whys, code: str) -> None:
    lamp = w.add()
    assert w.platform.up is not None
    for _ in range(5):
        with w.stopped(w.platform.up.pid):
            answer = w.api.post(f"/devices/{lamp.device}/disable", json={})
            if answer.status_code == 503:  # it was stopped while it had PostgreSQL's lock
                continue
            answer.raise_for_status()
            w.becomes(lamp, code)
            break
    w.becomes(lamp, "disabled")


def takeover_loop(w: Whys, code: str) -> None:
    lamp = w.add()
    for _ in range(5):
        w.connect(lamp)
    assert "same credentials" in w.becomes(lamp, code)["next_step"]


def denied_topic(w: Whys, code: str) -> None:
    lamp = w.add()
    w.connect(lamp).publish(f"mooring/default/{lamp.device}x/telemetry", b"{}")
    assert lamp.topics["telemetry"] in w.becomes(lamp, code)["next_step"]


def undecodable(w: Whys, code: str) -> None:
    lamp = w.add()
    w.connect(lamp).publish(lamp.topics["telemetry"], b"{not json")
    assert "JSON" in w.becomes(lamp, code)["next_step"]


def oversize(w: Whys, code: str) -> None:
    for size in (1_060_000, 1_200_000):  # the payload alone, the packet
        if w.authority != "plugin" and size < 1_114_624:
            continue  # such a message passes the broker and cannot be stored
        lamp = w.add()
        client = w.connect(lamp)
        client._client.publish(lamp.topics["telemetry"], b"x" * size, qos=1)
        w.becomes(lamp, code)


def silent(w: Whys, code: str) -> None:
    lamp = w.add()
    w.connect(lamp)
    w.becomes(lamp, "well")
    assert w.later(lamp, SILENT_MS + 1000) == code


def unknown_username(w: Whys, code: str) -> None:
    lamp = w.add()
    w.on_accounts("DELETE FROM account WHERE username = ?", lamp.username)
    wait_until(lambda: _is_rejected(w, lamp), "the broker to have forgotten it")
    w.becomes(lamp, code)
    w.platform.cli("broker", "sync", "--yes")
    w.connect(lamp)


def _is_rejected(w: Whys, lamp: Login) -> bool:
    try:
        w.platform.connect(lamp).disconnect()
    except Refused:
        return True
    return False


def no_password(w: Whys, code: str) -> None:
    lamp = w.add()
    w.rejected(lamp, password=None)
    w.becomes(lamp, code)


def certificate_only(w: Whys, code: str) -> None:
    passwd, acl = w.folder / "passwd", w.folder / "acl"
    passwd.write_text("why_import:$6$c2FsdA==$aGFzaA==\n")  # a hash that cannot be taken over
    acl.write_text("pattern readwrite smarthome/7/%u/#\n")
    words = ("broker", "import", "--passwd", passwd, "--acl", acl, "--dialect", "smarthome")
    w.platform.cli(*words, "--yes")
    found = w.api.get("/devices", params={"search": "why_import"}).json()["items"][0]
    lamp = Login(found["device"], found["tenant"], found["username"], "x", found["client_id"], {})
    w.rejected(lamp)
    w.becomes(lamp, code)


def wrong_password_never_used(w: Whys, code: str) -> None:
    lamp = w.add()
    w.rejected(lamp, password="not-this-one")
    found = w.becomes(lamp, code)
    if w.authority == "plugin":
        assert "127.0.0.1" in found["evidence"][0]["text"]


def wrong_password(w: Whys, code: str) -> None:
    lamp = w.add()
    w.seen(lamp)
    w.rejected(lamp, password="not-this-one")
    w.becomes(lamp, code)
    # It is seen at once, too, of a device that was rejected so just before and then accepted.
    w.connect(lamp).disconnect()
    w.becomes(lamp, "disconnected")
    w.rejected(lamp, password="not-this-one")
    began = time.monotonic()
    w.becomes(lamp, code)
    assert time.monotonic() - began < 30, "a minute is what the plugin counts repetitions for"


def wrong_password_old(w: Whys, code: str) -> None:
    lamp = w.add()
    port = w.platform.ports["mqtt_port"]
    device = KeepsBoth(port, lamp.username, lamp.client_id, lamp.topics, lamp.password)
    device.start()
    wait_until(lambda: device.connected, "the device to be there")
    w.platform.cli("device", "rotate", lamp.reference, "--wait", "60s")
    device.stop()
    w.becomes(lamp, "disconnected")
    w.rejected(lamp)
    w.becomes(lamp, code)


def wrong_client_id(w: Whys, code: str) -> None:
    lamp = w.add()
    w.rejected(lamp, client_id="another")
    assert lamp.client_id in w.becomes(lamp, code)["next_step"]


def client_id_of_another(w: Whys, code: str) -> None:
    free, lamp = w.add("drivesafe"), w.add()
    w.rejected(free, client_id=lamp.client_id)
    w.becomes(free, code)


def certificate_revoked(w: Whys, code: str) -> None:
    lamp = w.add()
    client = w.with_certificate(lamp, w.certificate(lamp))
    client.connect()
    w.becomes(lamp, "well")
    w.platform.cli("cert", "revoke", lamp.reference, "--yes")
    client.wait_for_disconnect()
    w.turned_away(client)
    w.becomes(lamp, code)


def certificate_expired(w: Whys, code: str) -> None:
    lamp = w.add()
    w.with_certificate(lamp, w.certificate(lamp)).connect()
    w.becomes(lamp, "well")
    w.end()
    w.becomes(lamp, "disconnected")
    w.turned_away(w.with_certificate(lamp, w.other_certificate(lamp.username, days=-1)))
    assert w.later(lamp, 11 * 86_400_000) == code


def certificate_unknown(w: Whys, code: str) -> None:
    lamp = w.add()
    w.turned_away(w.with_certificate(lamp, w.other_certificate(lamp.username)))
    w.becomes(lamp, code)


def certificate_of_another(w: Whys, code: str) -> None:
    lamp, fan = w.add(), w.add()
    w.turned_away(w.with_certificate(lamp, w.certificate(lamp), username=fan.username))
    w.becomes(lamp, code)
    assert w.why(fan)["code"] == "never_reached"


def tls_failed(w: Whys, code: str) -> None:
    lamp = w.add()
    w.seen(lamp)
    w.turned_away(w.with_certificate(lamp, w.other_certificate(lamp.username, foreign=True)))
    assert "another CA" in w.becomes(lamp, code)["next_step"]


def too_many_connections(w: Whys, code: str) -> None:
    lamp = w.add("drivesafe")
    w.api.put(f"/devices/{lamp.device}/limits", json={"connections": 1}).raise_for_status()
    w.connect(lamp, client_id="why-one")
    w.rejected(lamp, client_id="why-two")
    w.becomes(lamp, "well")  # the other one is its own
    w.end()
    w.connect(lamp, client_id="why-three")
    w.api.put(f"/devices/{lamp.device}/limits", json={"connections": 0}).raise_for_status()
    w.end()
    w.becomes(lamp, "disconnected")
    tenant = f"why-{serial()}"
    one, two = w.add(tenant=tenant), w.add(tenant=tenant)
    w.api.put(f"/tenants/{tenant}/limits", json={"connections": 1}).raise_for_status()
    w.connect(one)
    w.rejected(two)
    w.becomes(two, code)
    assert w.platform.counted("logins_limited") >= 1


def limited(w: Whys, code: str) -> None:
    if w.authority == "plugin":
        _limited_by_the_broker(w, code)
    _disconnected_for_a_time(w, code)


def _disconnected_for_a_time(w: Whys, code: str) -> None:
    """What every authority can do; no other device of the tenant notices."""
    tenant = f"why-{secrets.token_hex(3)}"
    lamp, fan = w.add(tenant=tenant), w.add(tenant=tenant)
    w.api.patch(f"/tenants/{tenant}", json={"disconnect_seconds": 3600}).raise_for_status()
    w.api.put(f"/devices/{lamp.reference}/limits", json={"messages": 1}).raise_for_status()
    before = w.platform.counted("limit_disconnects")
    other = w.connect(fan)

    def disconnected() -> bool:
        if w.platform.counted("limit_disconnects") == before:
            with contextlib.suppress(AssertionError, Refused, OSError):
                client = w.connect(lamp)
                for number in range(30):
                    client.publish(lamp.topics["telemetry"], b'{"values": {"t": %d}}' % number)
        return w.platform.counted("limit_disconnects") > before

    wait_until(disconnected, "the device to be disconnected", timeout=60)
    w.becomes(lamp, code)
    assert "until" in w.why(lamp)["summary"]
    w.rejected(lamp)
    w.becomes(lamp, code)
    other.publish(fan.topics["telemetry"], READING)
    wait_until(lambda: w.platform.stored(fan) == 1, "the other one's message")
    w.api.put(f"/devices/{lamp.reference}/limits", json={"messages": 0}).raise_for_status()
    _back(w, lamp).publish(lamp.topics["telemetry"], READING)


def _back(w: Whys, login: Login) -> MqttClient:
    """Connected again, when the broker allows it."""

    def again() -> MqttClient | None:
        try:
            return w.connect(login)
        except (Refused, OSError, AssertionError):
            return None

    found = wait_until(again, "the device to be accepted again")
    assert found is not None
    return found


def _limited_by_the_broker(w: Whys, code: str) -> None:
    lamp, fan = w.add(), w.add()
    answer = w.api.put(f"/devices/{lamp.device}/limits", json={"messages": 1})
    assert answer.json()["applied_by_broker"] is True
    assert answer.json()["enforced"] is True
    other, sent, began = w.connect(fan), 0, time.monotonic()
    for _ in range(3):  # it comes back and goes on
        client = _back(w, lamp)
        with pytest.raises(AssertionError):  # more than ten at once are not acknowledged
            for number in range(100):
                client.publish(lamp.topics["telemetry"], b'{"values": {"t": %d}}' % number)
                other.publish(fan.topics["telemetry"], b'{"values": {"t": %d}}' % number)
                sent += 1
    w.becomes(lamp, code)
    assert w.why(fan)["code"] == "well"
    assert w.platform.counted("sessions_limited") >= 1
    wait_until(lambda: w.platform.stored(fan) >= sent, "every message of the other one")
    # A burst, and its rate for all the time that this took.
    assert w.platform.stored(lamp) <= 11 + (time.monotonic() - began)
    _limited_tenant(w, fan, code)


def _limited_tenant(w: Whys, fan: Login, code: str) -> None:
    """The limit of a tenant is shared by its devices, and no other tenant notices."""
    tenant = f"why-{secrets.token_hex(3)}"
    one, two = w.add(tenant=tenant), w.add(tenant=tenant)
    w.api.put(f"/tenants/{tenant}/limits", json={"bytes": 1000}).raise_for_status()
    big = b'{"values": {"t": 1}, "filler": "%s"}' % (b"x" * 3000)
    clients = [w.connect(one), w.connect(two)]
    with pytest.raises(AssertionError):
        for number in range(20):
            login = (one, two)[number % 2]
            clients[number % 2].publish(login.topics["telemetry"], big)
    first, second = w.why(one)["code"], w.why(two)["code"]
    wait_until(lambda: code in (w.why(one)["code"], w.why(two)["code"]), f"{first} or {second}")
    w.connect(fan).publish(fan.topics["telemetry"], big)
    w.becomes(fan, "well")


def accounts_unreadable(w: Whys, code: str) -> None:
    lamp = w.add()
    # The first time the platform makes the file again at once, and then not for a minute.
    w.spoil_accounts()
    wait_until(w.accounts_are_whole, "the file to be made again")
    w.spoil_accounts()
    wait_until(lambda: w.file_state() != "ok", "the plugin to notice")
    w.rejected(lamp)
    w.becomes(lamp, code)
    said = w.platform.cli("status", "--json", expect=1).json()["problems"]
    assert any("accounts file (corrupt)" in problem for problem in said), said
    w.platform.cli("broker", "sync", "--yes")
    w.connect(w.add())

    def named() -> bool:
        told = w.platform.cli("status", "--json", expect=None).json()["problems"]
        return any("accounts file" in problem for problem in told)

    wait_until(lambda: not named(), "the trouble to be over")


SITUATIONS: Mapping[str, Callable[[Whys, str], None]] = {
    function.__name__: function
    for function in (
        never_reached,
        well,
        removed,
        disabled,
        broker_down,
        change_pending,
        takeover_loop,
        denied_topic,
        undecodable,
        oversize,
        silent,
        unknown_username,
        no_password,
        certificate_only,
        wrong_password_never_used,
        wrong_password,
        wrong_password_old,
        wrong_client_id,
        client_id_of_another,
        certificate_revoked,
        certificate_expired,
        certificate_unknown,
        certificate_of_another,
        tls_failed,
        too_many_connections,
        limited,
        accounts_unreadable,
    )
} | {"disconnected": well_then_disconnected}
