"""What TLS costs: plain against TLS in one run, on one Mosquitto, over loopback.

    python -m bench.tls [--messages 4000] [--connects 150] [--json FILE]

Four figures, each beside the one commonly given and the one that is within reach: bytes on the
wire, round trip of a QoS 1 message, CPU of the broker for it, and the time to connect (TCP,
handshake, CONNECT to CONNACK), full and resumed, without and with a client certificate.

Ways are taken in turn, block by block, so that whatever else the machine does meets them alike.
Times are given as the median and as the tenth percentile: what it takes when nothing else gets in
between, which on a busy machine is the figure to compare.
The broker has the configuration `mooring up` writes; certificates are those of the private CA
(P-256), the protocol TLS 1.3.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from bench.generator import connect_packet, payload, remaining, string
from mooring.broker.config import BrokerConfig, Listener, PasswordFile, Tls, render
from mooring.broker.installation import find_mosquitto, version
from mooring.pki.ensure import ensure
from mooring.pki.files import PkiFiles
from mooring.pki.issue import issue_device
from mooring.pki.keys import key_pem, make_key
from mooring.pki.model import KeyType
from mooring.secrets import verifiers
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

__all__ = ["measure", "table"]

HOST = "localhost"
USERNAME, PASSWORD = "bench", verifiers.new_password()
TOPIC = "devices/bench/telemetry"
SIZE = 230
BLOCK = 100  # messages of one way before the next one's turn
WINDOW = 50  # unacknowledged messages while CPU is measured


@dataclass(frozen=True, slots=True)
class Way:
    """One listener and how a client comes to it."""

    name: str
    port: int
    context: ssl.SSLContext | None = None
    login: bool = True

    def connect(self, session: ssl.SSLSession | None = None) -> socket.socket:
        """TCP, handshake, CONNECT and CONNACK."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock: socket.socket = raw
        if self.context is not None:
            sock = self.context.wrap_socket(raw, server_hostname=HOST, session=session)
        name, password = (USERNAME, PASSWORD) if self.login else ("", "")
        sock.sendall(connect_packet(f"bench-{self.name.replace(' ', '-')}", name, password))
        answer = sock.recv(4)
        if answer != b"\x20\x02\x00\x00":
            raise AssertionError(f"{self.name}: CONNACK {answer.hex()}")
        return sock


# ------------------------------------------------------------------ the stand


@contextmanager
def stand(directory: Path) -> Iterator[tuple[Mosquitto, list[Way]]]:
    """A broker with a plain, a TLS and a client-certificate listener."""
    paths = ensure(directory, [HOST], datetime.now(UTC), machine=[])
    ca = PkiFiles(directory).authority()
    assert ca is not None
    key = make_key(KeyType.EC_P256)
    certificate = issue_device(
        ca,
        USERNAME,
        key.public_key(),
        now=datetime.now(UTC),
        serial=x509.random_serial_number(),
    )
    bundle = directory / "device.pem"
    bundle.write_bytes(key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    passwords, access = directory / "passwords", directory / "access"
    passwords.write_text(f"{USERNAME}:{verifiers.make(PASSWORD)}\n", encoding="utf-8")
    access.write_text("pattern readwrite devices/%u/#\n", encoding="utf-8")
    for secret in (passwords, access):
        secret.chmod(0o600)
    ports = [free_port() for _ in range(3)]
    tls = Tls(paths.server_cert, paths.server_key, paths.trust, paths.crl)
    config = BrokerConfig(
        listeners=(
            Listener(ports[0]),
            Listener(ports[1], tls=tls),
            Listener(ports[2], tls=tls, require_certificate=True),
        ),
        access=PasswordFile(passwords, access),
        persistence=directory,
        log=directory / "broker.log",
        run_as_root=os.geteuid() == 0,
    )
    file = directory / "mosquitto.conf"
    file.write_text(render(config), encoding="utf-8")
    plain_tls, mutual = _context(paths.trust), _context(paths.trust)
    mutual.load_cert_chain(bundle)
    with Mosquitto(directory / "broker", config=file, port=ports[0]) as broker:
        yield (
            broker,
            [
                Way("plain", ports[0]),
                Way("TLS", ports[1], plain_tls),
                Way("mutual TLS", ports[2], mutual, login=False),
            ],
        )


def _context(trust: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trust)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def publish_packet(number: int) -> bytes:
    head = string(TOPIC) + (number % 65_535 + 1).to_bytes(2, "big")
    body = payload(number, SIZE)
    return b"\x32" + remaining(len(head) + len(body)) + head + body


# ------------------------------------------------------------------ bytes


def bytes_a_message(ways: list[Way]) -> dict[str, float]:
    """Bytes of one PUBLISH and its PUBACK inside TCP."""
    tls = ways[1]
    sizes = {"publish": float(len(publish_packet(1))), "puback": 4.0}
    assert tls.context is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    channel = tls.context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with socket.create_connection(("127.0.0.1", tls.port), timeout=20) as raw:

        def pump(step: Any) -> Any:
            while True:
                try:
                    answer = step()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(65_536))
                else:
                    if outgoing.pending:
                        raw.sendall(outgoing.read())
                    return answer

        pump(channel.do_handshake)
        channel.write(connect_packet("bench-bytes", USERNAME, PASSWORD))
        raw.sendall(outgoing.read())
        assert pump(lambda: channel.read(4)) == b"\x20\x02\x00\x00"
        channel.write(publish_packet(1))
        record = outgoing.read()
        raw.sendall(record)
        answer = raw.recv(65_536)
        incoming.write(answer)
        assert len(channel.read(16)) == 4
    return {
        "plain": sizes["publish"] + sizes["puback"],
        "TLS": float(len(record) + len(answer)),
        "publish_more": len(record) - sizes["publish"],
        "puback_more": len(answer) - sizes["puback"],
    }


# ------------------------------------------------------------------ round trip and CPU


def round_trips(ways: list[Way], broker: Mosquitto, count: int) -> dict[str, dict[str, float]]:
    """Microseconds from PUBLISH to PUBACK, one message at a time."""
    socks = {way.name: way.connect() for way in ways}
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    spent = dict.fromkeys(times, 0.0)
    number = 0
    for block in range(count // BLOCK + 2):
        for name, sock in socks.items():
            before = cpu_seconds(broker.pid)
            for _ in range(BLOCK):
                packet = publish_packet(number)
                number += 1
                start = time.perf_counter_ns()
                sock.sendall(packet)
                answer = sock.recv(4)
                took = time.perf_counter_ns() - start
                assert answer[:1] == b"\x40"
                if block >= 2:  # the first ones warm caches up
                    times[name].append(took / 1000)
            if block >= 2:
                spent[name] += cpu_seconds(broker.pid) - before
    for sock in socks.values():
        sock.close()
    return {
        name: {
            **spread(found),
            "cpu": spent[name] / len(found) * 1e6,
        }
        for name, found in times.items()
    }


def streams(ways: list[Way], broker: Mosquitto, count: int) -> dict[str, float]:
    """CPU of the broker for a message, in microseconds, when they come close together."""
    spent: dict[str, list[float]] = {way.name: [] for way in ways}
    socks = {way.name: way.connect() for way in ways}
    number = 0
    for turn in range(6):
        for name, sock in socks.items():
            before = cpu_seconds(broker.pid)
            for _ in range(count // WINDOW // 5):
                for _ in range(WINDOW):
                    sock.sendall(publish_packet(number))
                    number += 1
                left = 4 * WINDOW
                while left:
                    left -= len(sock.recv(left))
            if turn:
                done = count // WINDOW // 5 * WINDOW
                spent[name].append((cpu_seconds(broker.pid) - before) / done * 1e6)
    for sock in socks.values():
        sock.close()
    return {name: statistics.median(found) for name, found in spent.items()}


def cpu_seconds(pid: int) -> float:
    """What a process has used, in user and kernel, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


# ------------------------------------------------------------------ connecting


def connects(ways: list[Way], count: int) -> dict[str, dict[str, float]]:
    """Milliseconds to connect; ``resumed`` with the ticket of an earlier one."""
    tickets = {way.name: _ticket(way) for way in ways if way.context is not None}
    times: dict[str, list[float]] = {}
    for turn in range(count + 5):
        for way in ways:
            for resumed in (False, True) if way.context is not None else (False,):
                start = time.perf_counter_ns()
                sock = way.connect(tickets[way.name] if resumed else None)
                took = (time.perf_counter_ns() - start) / 1e6
                if isinstance(sock, ssl.SSLSocket):
                    assert bool(sock.session_reused) is resumed, way.name
                    if resumed:  # a ticket is for one use; each connection brings the next
                        tickets[way.name] = sock.session
                sock.close()
                if turn >= 5:
                    times.setdefault(f"{way.name}{' resumed' if resumed else ''}", []).append(took)
    return {name: spread(found) for name, found in times.items()}


def spread(times: list[float]) -> dict[str, float]:
    """Percentiles."""
    cuts = statistics.quantiles(times, n=100)
    return {"p10": cuts[9], "p50": cuts[49], "p99": cuts[98]}


def _ticket(way: Way) -> ssl.SSLSession | None:
    sock = way.connect()
    assert isinstance(sock, ssl.SSLSocket)
    session = sock.session
    sock.close()
    return session


# ------------------------------------------------------------------ the whole


def measure(*, messages: int = 4000, connections: int = 150) -> dict[str, Any]:
    """All figures; see the table for what they mean."""
    with tempfile.TemporaryDirectory(prefix="mooring-tls-") as name, stand(Path(name)) as found:
        broker, ways = found
        size = bytes_a_message(ways)
        single = round_trips(ways, broker, messages)
        close = streams(ways, broker, messages)
        joined = connects(ways, connections)
    return {
        "broker": ".".join(map(str, version(find_mosquitto()))),
        "openssl": ssl.OPENSSL_VERSION,
        "python": machine.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "payload_bytes": SIZE,
        "bytes": {
            "plain": size["plain"],
            "tls": size["TLS"],
            "publish_more": size["publish_more"],
            "puback_more": size["puback_more"],
            "more_percent": (size["TLS"] / size["plain"] - 1) * 100,
        },
        "round_trip_us": single,
        "stream_cpu_us": close,
        "connect_ms": joined,
        "resumed_to_full": joined["TLS resumed"]["p10"] / joined["TLS"]["p10"],
        "mutual_resumed_to_full": joined["mutual TLS resumed"]["p10"] / joined["mutual TLS"]["p10"],
    }


def table(found: dict[str, Any]) -> str:
    """The figures beside those commonly given and those within reach."""
    trip, size, join = found["round_trip_us"], found["bytes"], found["connect_ms"]
    stream = found["stream_cpu_us"]
    single = {way: figures["cpu"] for way, figures in trip.items()}
    rows = [
        (
            "bytes of a message and its PUBACK",
            f"{size['plain']:.0f}",
            f"{size['tls']:.0f}",
            f"+{size['more_percent']:.0f} %; +{size['publish_more']:.0f} a packet",
            "+4 %",
            "+22 a packet",
        ),
        *(
            (
                f"round trip, QoS 1, {at}, us",
                f"{trip['plain'][at]:.0f}",
                f"{trip['TLS'][at]:.0f}",
                f"{trip['TLS'][at] - trip['plain'][at]:+.0f} us",
                "+1-2 ms",
                "+25 us",
            )
            for at in ("p10", "p50")
        ),
        *(
            (
                f"broker CPU a message, {how}, us",
                f"{cpu['plain']:.1f}",
                f"{cpu['TLS']:.1f}",
                f"{(cpu['TLS'] / cpu['plain'] - 1) * 100:+.0f} %",
                "+1-3 %",
                "",
            )
            for how, cpu in (("one at a time", single), ("close together", stream))
        ),
        *(
            (
                f"connect, {way}, {at}, ms",
                f"{join['plain'][at]:.2f}",
                f"{join[way][at]:.2f}",
                f"+{join[way][at] - join['plain'][at]:.2f} ms",
                "+50-200 ms",
                "",
            )
            for way in ("TLS", "mutual TLS")
            for at in ("p10", "p50")
        ),
        *(
            (
                f"connect, {way} resumed, {at}, ms",
                "",
                f"{join[f'{way} resumed'][at]:.2f}",
                f"{join[f'{way} resumed'][at] / join[way][at]:.2f} of full",
                "",
                "0.70 of full",
            )
            for way in ("TLS", "mutual TLS")
            for at in ("p10", "p50")
        ),
    ]
    head = ("", "plain", "TLS 1.3", "TLS costs", "commonly given", "within reach")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    about = (
        f"Mosquitto {found['broker']}, {found['openssl']}, {found['cores']} cores, load "
        f"{found['load']:.1f}, P-256, {found['payload_bytes']}-byte payload, loopback."
    )
    return "\n".join([*lines, "", about])


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tls", description=__doc__)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--connects", type=int, default=150)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(words)
    found = measure(messages=options.messages, connections=options.connects)
    sys.stdout.write(table(found) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
