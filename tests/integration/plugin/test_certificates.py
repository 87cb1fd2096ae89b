"""Logins by certificate: its common name and its serial decide."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.accounts_db import SERVICE, AccountsDb, Watch, facts
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient, Refused
from tests.support.ports import free_port

Connect = Callable[..., MqttClient]
Names = list[tuple[x509.ObjectIdentifier, str]]


class Ca:
    """A throw-away CA and what it signs, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
        self.ca = self._write("ca", self._sign(self.name, self.key, 1, ca=True), self.key)

    def issue(self, file: str, names: Names, serial: int) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
        return self._write(file, self._sign(subject, key, serial), key)

    def client(self, file: str, names: Names, serial: int) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca[0]))
        context.check_hostname = False
        context.load_cert_chain(*self.issue(file, names, serial))
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int, *, ca: bool = False
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _write(
        self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> tuple[Path, Path]:
        paths = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths


CN = NameOID.COMMON_NAME
LONG_SERIAL = 0x0ABC_0000_1111_2222_3333_4444_5555_6666_7777_8888


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path)


@pytest.fixture
def tls_port(ca: Ca, accounts: AccountsDb, start_broker: Callable[..., Mosquitto]) -> int:
    server, key = ca.issue("server", [(CN, "localhost")], 2)
    port = free_port()
    start_broker(
        accounts.path,
        f"listener {port} 127.0.0.1",
        f"cafile {ca.ca[0]}",
        f"certfile {server}",
        f"keyfile {key}",
        "require_certificate true",
    )
    return port


@pytest.fixture
def tls_watch(ca: Ca, tls_port: int, accounts: AccountsDb, connect: Connect) -> Watch:
    context = ca.client("service", [(CN, SERVICE)], 0x5E)
    accounts.run([("INSERT INTO certificate VALUES('5e', ?)", (SERVICE,))], [SERVICE])
    return Watch(connect(None, None, port=tls_port, tls=context, client_id="mooring-w"))


def certify(accounts: AccountsDb, serial: str, username: str) -> int:
    row = ("INSERT INTO certificate VALUES(?, ?)", (serial, username))
    return accounts.run([row], [username])


def test_a_certificate_is_a_login_until_its_row_is_gone(
    accounts: AccountsDb, connect: Connect, ca: Ca, tls_port: int, tls_watch: Watch
) -> None:
    accounts.put(facts("pump", None, publish=("x/\x01",), values=("pump",)))
    tls_watch.apply(certify(accounts, format(LONG_SERIAL, "x"), "pump"))
    shown = ca.client("pump", [(CN, "pump")], LONG_SERIAL)
    pump = connect(None, None, port=tls_port, tls=shown, client_id="p")
    assert tls_watch.event("login", user="pump")["with"] == "certificate"
    pump.publish("x/pump", b"")
    connect("pump", None, port=tls_port, tls=shown, client_id="q")  # says the same name
    tls_watch.apply(accounts.run([("DELETE FROM certificate WHERE username='pump'", ())], ["pump"]))
    pump.wait_for_disconnect()
    assert tls_watch.event("gone", client="p")["why"] == "certificate_unknown"
    with pytest.raises(Refused):
        connect(None, None, port=tls_port, tls=shown, client_id="p")
    assert tls_watch.event("refused", user="pump")["why"] == "certificate_unknown"


@pytest.mark.parametrize(
    ("names", "serial", "username", "why"),
    [
        ([(CN, "pump")], 0x10, "fan", "certificate_of_another"),
        ([(CN, "pump")], 0x11, None, "certificate_unknown"),  # revoked, or never issued
        ([(CN, "fan")], 0x10, None, "certificate_unknown"),  # the serial is pump's
        ([(NameOID.ORGANIZATION_NAME, "pump")], 0x10, None, "certificate_unknown"),
        ([(CN, "pump\0")], 0x10, None, "certificate_unknown"),
        ([(CN, "gone")], 0x12, None, "unknown_username"),
        ([(CN, "shut")], 0x13, None, "locked"),
    ],
)
def test_another_certificate_is_refused(
    accounts: AccountsDb,
    connect: Connect,
    ca: Ca,
    tls_port: int,
    tls_watch: Watch,
    *,
    names: Names,
    serial: int,
    username: str | None,
    why: str,
) -> None:
    accounts.put(facts("pump"), facts("fan"), facts("shut", locked=True))
    for row in (("10", "pump"), ("12", "gone"), ("13", "shut")):
        seq = certify(accounts, *row)
    tls_watch.apply(seq)
    shown = ca.client("one", names, serial)
    with pytest.raises(Refused):  # the right password does not help
        connect(username, "secret" if username else None, port=tls_port, tls=shown, client_id="p")
    assert tls_watch.event("refused")["why"] == why
