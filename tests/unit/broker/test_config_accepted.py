"""The whole configuration, read by the real Mosquitto: every listener, both authorities.

2.0 has no way to check a file without running it, so it is run.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mooring.broker import access_list, dynsec_file, password_lines
from mooring.broker.config import (
    LOG_TYPES,
    BrokerConfig,
    DynamicSecurity,
    Listener,
    PasswordFile,
    Tls,
    render,
)
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.installation import find_dynsec_plugin
from mooring.broker.log import LogEvent, LogKind, parse_line
from mooring.broker.ports import listening_inodes
from mooring.broker.process import BrokerProcess
from mooring.broker.tail import LogTail
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from tests.support.ports import free_port

SERVICE = Account("service", verifiers.make("secret"), Rights(("#",), ("#",)))


def write_certificates(folder: Path) -> Tls:
    """A CA, its empty CRL, a server's and a client's certificate (``meter``)."""
    now = datetime.now(UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test ca")])

    def issue(name: str, key: ec.EllipticCurvePrivateKey, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    for name in ("localhost", "meter"):
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.pem").write_bytes(issue(name, key, False).public_bytes(pem))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    (folder / "ca.pem").write_bytes(issue("test ca", ca_key, True).public_bytes(pem))
    crl = x509.CertificateRevocationListBuilder().issuer_name(ca_name)
    crl = crl.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
    (folder / "ca.crl").write_bytes(crl.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    return Tls(
        folder / "localhost.pem", folder / "localhost.key", folder / "ca.pem", folder / "ca.crl"
    )


def write_accounts(folder: Path, kind: str) -> DynamicSecurity | PasswordFile:
    if kind == "dynsec":
        file = folder / "dynamic-security.json"
        file.write_text(dynsec_file.render([], SERVICE))
        return DynamicSecurity(find_dynsec_plugin(), file)
    assert SERVICE.verifier is not None
    (folder / "passwd").write_text(password_lines.render({SERVICE.username: SERVICE.verifier}))
    (folder / "acl").write_text(
        access_list.render(access_list.AccessList(users={SERVICE.username: SERVICE.rights}))
    )
    return PasswordFile(folder / "passwd", folder / "acl")


def events(log: Path) -> list[LogEvent]:
    return [event for line in log.read_text().splitlines() if (event := parse_line(line))]


def assert_on_ipv4_only(port: int) -> None:
    """2.0 binds an IPv4 WebSocket listener to every interface, as IPv6, unless told otherwise."""
    table = Path("/proc/net/tcp6")
    if table.exists():
        assert not listening_inodes(table.read_text(), port)


@pytest.mark.parametrize("kind", ["dynsec", "password_file"])
def test_every_listener_works_and_the_log_says_so(tmp_path: Path, kind: str) -> None:
    tls = write_certificates(tmp_path)
    plain, secure, websocket, certificates = (free_port() for _ in range(4))
    config = BrokerConfig(
        listeners=(
            Listener(plain),
            Listener(secure, tls=tls, max_connections=100),
            Listener(websocket, websockets=True),
            Listener(certificates, tls=tls, require_certificate=True),
        ),
        access=write_accounts(tmp_path, kind),
        persistence=tmp_path,
        log=tmp_path / "broker.log",
        pid_file=tmp_path / "pid",
        run_as_root=os.geteuid() == 0,
    )
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(render(config))
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.check_hostname = False
    with_certificate = ssl.create_default_context(cafile=str(tls.ca))
    with_certificate.check_hostname = False
    with_certificate.load_cert_chain(tmp_path / "meter.pem", tmp_path / "meter.key")
    login = Endpoint(port=plain, username="service", password="secret")
    process = BrokerProcess(
        conf, login, listens=[(listener.address, listener.port) for listener in config.listeners]
    )

    async def main() -> None:
        try:
            await process.restart()
            for endpoint in (login, replace(login, port=secure, tls=context)):
                connection = await Connection.open(endpoint)
                await connection.close()
            with pytest.raises(BrokerUnavailable):  # TLS only
                await Connection.open(replace(login, port=secure), within=2)
            with pytest.raises(BrokerUnavailable):  # certificates only
                await Connection.open(replace(login, port=certificates, tls=context), within=5)
            meter = Endpoint(port=certificates, tls=with_certificate)
            connection = await Connection.open(meter, client_id="meter-1")
            await connection.close()
            with pytest.raises(BrokerUnavailable, match="rejects"):
                await Connection.open(replace(login, password="wrong"))
            reader, writer = await asyncio.open_connection("127.0.0.1", websocket)
            writer.write(
                b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            assert b"101" in await reader.readline()
            writer.close()
            assert int((tmp_path / "pid").read_text()) == process.pid
            for port in (plain, secure, websocket, certificates):
                assert_on_ipv4_only(port)
        finally:
            await process.stop()

    asyncio.run(main())
    said = events(tmp_path / "broker.log")
    kinds = {event.kind for event in said}
    assert {
        LogKind.STARTING,
        LogKind.RUNNING,
        LogKind.CONNECTION,
        LogKind.CONNECTED,
        LogKind.DISCONNECTED,
        LogKind.REFUSED,
        LogKind.STOPPING,
    } <= kinds
    assert all(event.time is not None for event in said)
    [seen] = [event for event in said if event.client_id == "meter-1" and event.username]
    assert (seen.username, seen.protocol, seen.address) == ("meter", "5", "127.0.0.1")


@pytest.mark.parametrize("kind", ["dynsec", "password_file"])
def test_denials_can_be_switched_on_and_off_while_it_runs(tmp_path: Path, kind: str) -> None:
    """2.0 logs a denied message at level debug only, and debug logs every packet."""
    port = free_port()
    access = write_accounts(tmp_path, kind)
    lamp = Account("lamp", verifiers.make("secret"), Rights(("m/up",), ()))
    if isinstance(access, DynamicSecurity):
        access.file.write_text(dynsec_file.render([lamp], SERVICE))
    else:
        hashes_of = {a.username: a.verifier for a in (lamp, SERVICE) if a.verifier is not None}
        access.passwords.write_text(password_lines.render(hashes_of))
        rights = access_list.AccessList(users={a.username: a.rights for a in (lamp, SERVICE)})
        access.access_list.write_text(access_list.render(rights))
    quiet = BrokerConfig(
        listeners=(Listener(port),),
        access=access,
        persistence=tmp_path,
        log=tmp_path / "broker.log",
        run_as_root=os.geteuid() == 0,
    )
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(render(quiet))
    login = Endpoint(port=port, username="lamp", password="secret")
    process = BrokerProcess(conf, login, listens=[("127.0.0.1", port)])

    async def switch(config: BrokerConfig) -> None:
        tail = LogTail(tmp_path / "broker.log")
        conf.write_text(render(config))
        process.reload()
        async with asyncio.timeout(10):
            async for lines in tail.follow(poll=0.02):
                if any(e and e.kind is LogKind.RELOADED for e in map(parse_line, lines)):
                    break
        tail.close()

    async def main() -> None:
        try:
            await process.restart()
            connection = await Connection.open(login, client_id="lamp-1")
            for config, topic in (
                (quiet, "first"),
                (replace(quiet, log_types=(*LOG_TYPES, "debug")), "second"),
                (quiet, "third"),
            ):
                await switch(config)
                await connection.publish(topic, b"x")
                await connection.read()  # its acknowledgement: the line is written
            await connection.close()
        finally:
            await process.stop()

    asyncio.run(main())
    denied = [e for e in events(tmp_path / "broker.log") if e.kind is LogKind.DENIED_PUBLISH]
    assert [(event.client_id, event.topic, event.qos) for event in denied] == [
        ("lamp-1", "second", 1)
    ]
