"""Downloads of firmware over TLS: how fast, and how much memory they take.

``python -m bench.downloads --devices 500``: a server of Mooring's application with a certificate,
on SQLite, and a file for as many devices. Each downloads it in two parts, with ``Range``, over two
connections. Where nginx is installed, it serves the same file to the same client, and the ratio
is printed. Client and server share the machine, so both rates are lower than what a server does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mooring.app import App, open_app
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.ota.links.service import Links
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.updates.protocol import Wanted
from mooring.ota.updates.service import Updates
from mooring.serve.app import create_app
from mooring.serve.connections import Connections, protocol_class
from mooring.settings import Settings
from mooring.store.engine import now_ms
from tests.support.ports import free_port

__all__ = ["main", "measure"]

ASKED = 0.33
"""Of nginx's rate on the same machine."""
AT_ONCE = 50
START_SECONDS = 120.0
NGINX = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
    location / {{ root {folder}/files; }}
  }}
}}
"""


def certificate(folder: Path) -> None:
    """``tls.crt`` and ``tls.key`` for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def settings_of(folder: Path) -> Settings:
    return Settings(
        data_dir=folder / "data",
        firmware_signatures="optional",
        firmware_downloads_max=10_000,
        firmware_downloads_max_per_tenant=10_000,
    )


def links(app: App, devices: int, image: bytes) -> list[str]:
    """A link for each of so many devices."""
    releases = app.service(Releases)
    made = releases.create(SYSTEM, NewRelease("boat", "2.0", "home"))
    with releases.files.receive(len(image)) as incoming:
        incoming.write(image)
        made = releases.add_file(SYSTEM, str(made.id), "boat.bin", incoming)
    releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)
    wanted = []
    for number in range(devices):
        new = NewDevice(f"d{number}", dialect="mooring", tenant="home")
        device = app.devices.add(SYSTEM, new)[0].device
        update = app.service(Updates).offer(SYSTEM, device.reference, str(made.id))
        wanted.append(Wanted(update.id, device.id, made.artifacts[0].id))
    with app.database.write() as connection:
        return app.service(Links).issue(connection, wanted, at=now_ms())


def serve(folder: Path, port: int) -> None:
    """Mooring's HTTP server with TLS, until it is ended."""
    with open_app(settings_of(folder)) as app:
        uvicorn.run(
            create_app(app),
            port=port,
            http=protocol_class(Connections(10_000, 10_000)),
            loop="uvloop",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=str(folder / "tls.crt"),
            ssl_keyfile=str(folder / "tls.key"),
        )


# ---------------------------------------------------------------------- the client


async def fetch(port: int, path: str, asked: str, context: ssl.SSLContext) -> int:
    """Downloads a part over a connection of its own; bytes of its body.

    Raises:
        RuntimeError: another answer than 206.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 20)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes={asked}\r\n"
    writer.write(f"{request}Connection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 206"):
        raise RuntimeError(f"{path}: {head[:200]!r}")
    size = 0
    while block := await reader.read(1 << 18):
        size += len(block)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return size


async def fetch_all(port: int, paths: Sequence[str], size: int) -> float:
    """Every path in two parts, ``AT_ONCE`` at the same time; bytes a second."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(path: str) -> int:
        async with turns:
            half = size // 2
            first = await fetch(port, path, f"0-{half - 1}", context)
            return first + await fetch(port, path, f"{half}-", context)

    begin = time.perf_counter()
    sizes = await asyncio.gather(*map(one, paths))
    seconds = time.perf_counter() - begin
    if set(sizes) != {size}:
        raise RuntimeError(f"Downloads have {sorted(set(sizes))} bytes, not {size}.")
    return sum(sizes) / seconds


# ---------------------------------------------------------------------- both servers


@contextlib.contextmanager
def running(words: Sequence[str | Path], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it accepts connections.

    Raises:
        RuntimeError: it does not.
    """
    with subprocess.Popen(words) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{words[0]} does not start.")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def memory(pid: int) -> tuple[float, float]:
    """Resident memory of a process now, and at most; MB. Linux."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    now, most = (int(facts[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def cpu_seconds(pid: int) -> float:
    """Time on a processor of a process and its children that are over. Linux."""
    total = 0.0
    for one in [pid, *_children(pid)]:
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def timed(port: int, paths: Sequence[str], size: int, pid: int) -> tuple[float, float]:
    """MB a second, and milliseconds of the server's processor time for each MB."""
    before = cpu_seconds(pid)
    rate = uvloop.run(fetch_all(port, paths, size)) / 1e6
    return rate, (cpu_seconds(pid) - before) * 1000 / (len(paths) * size / 1e6)


def measure(devices: int, size: int, *, nginx: str | None = None) -> dict[str, Any]:
    """Downloads of so many devices, and the figures.

    Args:
        size: bytes of the file.
        nginx: the program to compare with.
    """
    image = secrets.token_bytes(size)
    found: dict[str, Any] = {"devices": devices, "bytes": size}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate(folder)
        with open_app(settings_of(folder), upgrade=True) as app:
            paths = links(app, devices, image)
        port = free_port()
        program = [sys.executable, "-m", "bench.downloads", "--serve", folder, "--port", str(port)]
        with running([str(word) for word in program], port) as process:
            uvloop.run(fetch_all(port, paths[:1], size))  # what is imported at the first request
            before, _ = memory(process.pid)
            rate, cost = timed(port, paths, size, process.pid)
            found |= {"mooring_mb_per_second": rate, "mooring_cpu_ms_per_mb": cost}
            after, most = memory(process.pid)
            found |= {"memory_before": before, "memory_after": after, "memory_most": most}
        if nginx is not None:
            port = free_port()
            (folder / "files" / "f").mkdir(parents=True)
            for path in paths:
                (folder / "files" / path.lstrip("/")).write_bytes(image)
            config = folder / "nginx.conf"
            user = "user root;" if os.geteuid() == 0 else ""  # it drops its rights otherwise
            config.write_text(NGINX.format(folder=folder, port=port, user=user))
            with running([nginx, "-c", str(config)], port) as process:
                rate, cost = timed(port, paths, size, process.pid)
                found |= {"nginx_mb_per_second": rate, "nginx_cpu_ms_per_mb": cost}
            found["ratio"] = found["mooring_mb_per_second"] / found["nginx_mb_per_second"]
    return found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.downloads", description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.serve is not None:
        serve(given.serve, given.port)
        return 0
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    found = measure(given.devices, given.bytes, nginx=nginx)
    print(json.dumps(found, indent=2))
    if nginx is None:
        print("nginx is not installed: no ratio.", file=sys.stderr)
    return int(found.get("ratio", 1.0) < ASKED)


if __name__ == "__main__":
    sys.exit(main())
