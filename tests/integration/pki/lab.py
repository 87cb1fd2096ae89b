"""A real Mosquitto with our certificates, configured the way ``mooring up`` does it."""

from __future__ import annotations

import os
import select
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mooring.broker.config import LOG_TYPES, BrokerConfig, Listener, PasswordFile, Tls, render
from mooring.pki.bundle import DeviceBundle
from mooring.pki.model import KeyType
from mooring.pki.service import PkiService
from mooring.secrets import verifiers
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.pki.ledger import MemoryLedger

HOST = "localhost"
PASSWORD = "correct horse"
DEVICE = "acme-1"  # no colon: a password file cannot hold one
OK = "connected"


class Clock:
    """The real time, or some days beside it."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass(frozen=True)
class Attempt:
    """How a connection ended: ``result`` is ``OK``, or OpenSSL's or the broker's word."""

    result: str
    version: str | None = None
    resumed: bool = False
    session: ssl.SSLSession | None = None


class Lab:
    """One CA, one broker: a plain, a TLS and a client-certificate listener."""

    def __init__(self, directory: Path, key_type: KeyType = KeyType.EC_P256) -> None:
        self.directory = directory
        self.clock = Clock()
        self.ledger = MemoryLedger()
        self.pki = PkiService(
            directory, self.ledger, hosts=[HOST], key_type=key_type, machine=[], clock=self.clock
        )
        self.clock.offset = timedelta(days=-100)  # so that there can be certificates of the past
        self.pki.init()
        self.clock.offset = timedelta(0)
        self.port, self.mtls_port = free_port(), free_port()
        self.broker = self._broker()

    def _broker(self) -> Mosquitto:
        passwords, access = self.directory / "passwords", self.directory / "access"
        passwords.write_text(f"{DEVICE}:{verifiers.make(PASSWORD)}\n")
        access.write_text("pattern readwrite devices/%u/#\n")
        for secret in (passwords, access):
            secret.chmod(0o600)
        paths = self.pki.paths
        tls = Tls(paths.server_cert, paths.server_key, ca=paths.trust, crl=paths.crl)
        plain = free_port()
        config = self.directory / "mosquitto.conf"
        config.write_text(
            render(
                BrokerConfig(
                    listeners=(
                        Listener(plain),
                        Listener(self.port, tls=tls),
                        Listener(self.mtls_port, tls=tls, require_certificate=True),
                    ),
                    access=PasswordFile(passwords, access),
                    persistence=self.directory,
                    log_types=(*LOG_TYPES, "subscribe"),
                    run_as_root=os.geteuid() == 0,
                )
            )
        )
        return Mosquitto(self.directory / "broker", config=config, port=plain)

    def __enter__(self) -> Lab:
        self.broker.start()
        # It listens before it handles signals: a SIGHUP in between would end it.
        self.broker.wait_for_log(" running\n")
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.stop()

    def reload(self) -> None:
        """SIGHUP, and wait until the broker is done with it.

        It says when it begins. It is done when it answers again; a SIGHUP before that is lost.
        """
        before = self.broker.log().count("Reloading config")
        self.broker.reload()
        wait_until(lambda: self.broker.log().count("Reloading config") > before, "the reload")
        with socket.create_connection(("127.0.0.1", self.broker.port), timeout=20) as plain:
            plain.sendall(_connect(None))
            assert plain.recv(4) == b"\x20\x02\x00\x05"

    def context(
        self,
        device: DeviceBundle | None = None,
        *,
        trust: bytes | None = None,
        version: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        """A client: with a device's certificate, trusting what it was given."""
        text = trust or self.pki.paths.trust.read_bytes()
        context = ssl.create_default_context(cadata=text.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python's default from 3.13 on
        if version is not None:
            context.minimum_version = context.maximum_version = version
            if version < ssl.TLSVersion.TLSv1_2:
                context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL itself would refuse
        if device is not None:
            self.load(context, device)
        return context

    def load(self, context: ssl.SSLContext, device: DeviceBundle) -> None:
        folder = self.directory / device.info.serial
        folder.mkdir(exist_ok=True)
        for name, data in device.pem_files().items():
            (folder / name).write_bytes(data)
        context.load_cert_chain(folder / "device.crt", folder / "device.key")

    def attempt(
        self,
        context: ssl.SSLContext,
        *,
        port: int | None = None,
        host: str = HOST,
        login: tuple[str, str] | None = (DEVICE, PASSWORD),
        session: ssl.SSLSession | None = None,
    ) -> Attempt:
        """Handshake, CONNECT, CONNACK; at the TLS listener unless told otherwise."""
        try:
            with (
                socket.create_connection(("127.0.0.1", port or self.port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname=host, session=session) as tls,
            ):
                _hear_out(tls)
                tls.sendall(_connect(login))
                answer = tls.recv(4)
                result = OK if answer == b"\x20\x02\x00\x00" else answer.hex() or "closed"
                return Attempt(result, tls.version(), bool(tls.session_reused), tls.session)
        except ssl.SSLCertVerificationError as exc:
            return Attempt(exc.verify_message)
        except ssl.SSLError as exc:
            return Attempt(str(exc.reason))
        except ConnectionError as exc:
            return Attempt(type(exc).__name__)

    def attempt_certificate(
        self,
        device: DeviceBundle | None,
        *,
        trust: bytes | None = None,
        version: ssl.TLSVersion | None = None,
    ) -> str:
        """The result at the listener for client certificates."""
        context = self.context(device, trust=trust, version=version)
        return self.attempt(context, port=self.mtls_port, login=None).result


def _hear_out(tls: ssl.SSLSocket) -> None:
    """Take in the server's verdict on our certificate before sending anything.

    In TLS 1.3 a client is done before the server has looked at its certificate; then comes a
    session ticket or an alert, and the alert is lost if we write into a closed connection.
    """
    if tls.version() != "TLSv1.3":
        return
    ready, _, _ = select.select([tls], [], [], 20)
    assert ready, "neither a ticket nor an alert"
    tls.setblocking(False)
    with suppress(ssl.SSLWantReadError):  # a ticket is not for us to read
        tls.recv(1)
    tls.settimeout(20)


def _connect(login: tuple[str, str] | None) -> bytes:
    """An MQTT 3.1.1 CONNECT [MQTT-3.1], clean session, no client id."""
    flags, fields = 0x02, [b""]
    if login is not None:
        flags |= 0xC0
        fields += [text.encode() for text in login]
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + (60).to_bytes(2, "big")
    body += b"".join(len(text).to_bytes(2, "big") + text for text in fields)
    return b"\x10" + bytes([len(body)]) + body
