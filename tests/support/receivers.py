"""Real receivers of notifications on free loopback ports: HTTP with and without TLS, SMTP,
Alertmanager."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.ports import free_port
from tests.support.programs import find_program
from tests.support.waiting import wait_until

__all__ = ["Got", "HttpReceiver", "MailReceiver", "alertmanager", "certificate"]


@dataclass(frozen=True)
class Got:
    """One request.

    Attributes:
        headers: names in lower case.
    """

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, for localhost and 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "receiver.pem", folder / "receiver.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@dataclass
class HttpReceiver:
    """Answers requests as it is told, each connection in a thread.

    Attributes:
        answers: bytes of the next answers; the last one stays.
        delay: seconds before an answer.
        endless: after the answer bytes follow until the client ends.
    """

    files: tuple[Path, Path] | None = None
    answers: list[bytes] = field(default_factory=lambda: [b"HTTP/1.1 204 No Content\r\n\r\n"])
    delay: float = 0.0
    endless: bytes = b""
    got: list[Got] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._tls: ssl.SSLContext | None = None
        if self.files is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*self.files)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://localhost:{self.port}/hook"

    def __enter__(self) -> HttpReceiver:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._socket.close()

    def answer(self, *statuses: int) -> None:
        self.answers = [f"HTTP/1.1 {one} X\r\n\r\n".encode() for one in statuses]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        try:
            if self._tls is not None:
                raw = self._tls.wrap_socket(raw, server_side=True)
            with raw, raw.makefile("rb") as reader:
                self._read(reader)
                self._ended.wait(self.delay)
                with self._lock:
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                raw.sendall(answer)
                while self.endless and not self._ended.is_set():
                    raw.sendall(self.endless)
        except OSError:
            return  # the client has gone

    def _read(self, reader: Any) -> None:
        line = reader.readline().decode().strip()
        headers: dict[str, str] = {}
        while header := reader.readline().decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", "0")))
        with self._lock:
            self.got.append(Got(line, headers, body))


class MailReceiver:
    """An SMTP server (aiosmtpd)."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.got.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    @contextmanager
    def running(self) -> Iterator[int]:
        """Its port."""
        from aiosmtpd.controller import Controller

        controller = Controller(self, hostname="127.0.0.1", port=free_port())
        controller.start()
        try:
            yield int(controller.port)
        finally:
            controller.stop()


_CONFIGURATION = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """The base URL of a running Alertmanager that tells nobody."""
    name = "prometheus-alertmanager"
    program = find_program(name, package=name)
    configuration = folder / "alertmanager.yml"
    configuration.write_text(_CONFIGURATION, encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [
            program,
            f"--config.file={configuration}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/-/ready"), "Alertmanager", timeout=60)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        time.sleep(0.05)
        return False
