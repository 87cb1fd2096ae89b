"""A load generator that costs little: QoS 1 publishes written in blocks over a few sockets.

    python bench/generator.py --port 1883 --username U --password-env VAR --topic T --rate 20000

Prints one JSON document: sent, acknowledged, seconds, and when it began (monotonic clock).
Each payload is a 230-byte reading of its own, with a time and a number. The rate is kept by
blocks of a hundredth of a second; without ``--rate`` it sends as fast as the broker
acknowledges.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK_SECONDS = 0.01
WINDOW = 60  # unacknowledged messages a connection; below any broker's inflight limit
SILENCE_SECONDS = 30  # without an acknowledgement at the end, before it gives up

# Where in a payload the microsecond stands at which it was made, for who measures delays.
STAMP = slice(10, 26)


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def remaining(length: int) -> bytes:
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)


def connect_packet(client_id: str, username: str, password: str) -> bytes:
    flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)
    body = string("MQTT") + bytes([4, flags]) + struct.pack("!H", 60) + string(client_id)
    if username:
        body += string(username)
    if password:
        body += string(password)
    return b"\x10" + remaining(len(body)) + body


def _sensors(number: int) -> bytes:
    return (
        f'{{"temperature":{20 + number % 100 / 10:.1f},"humidity":{50 + number % 300 / 10:.1f},'
        f'"gasPpm":{400 + number % 50},"voltageV":{229 + number % 20 / 10:.1f},"powerW":'
        f'{number % 1500}.5,"flame":false}}'
    ).encode()


# Written beforehand: what the generator needs of the machine, those it measures have not.
SENSORS = [_sensors(number) for number in range(1500)]


def payload(number: int, size: int) -> bytes:
    """A reading of ``size`` bytes with six sensors."""
    now = time.time_ns() // 1000
    text = b'{"sentUs":%d,"timestamp":%d,"n":%d,"sensors":%b,"metadata":{"pad":"' % (
        now,
        now // 1000,
        number,
        SENSORS[number % len(SENSORS)],
    )
    return b'%b%b"}}' % (text, b"x" * (size - len(text) - 3))


@dataclass
class Client:
    """One connection: what it may still send and what came back.

    ``heads`` are its packets up to the packet id, one for each topic.
    """

    sock: socket.socket
    heads: list[bytes]
    next_id: int = 1
    turn: int = 0
    in_flight: int = 0
    acknowledged: int = 0
    rest: bytes = b""
    out: bytearray = field(default_factory=bytearray)

    def add(self, number: int, size: int) -> None:
        packet_id = self.next_id.to_bytes(2, "big")
        self.out += b"%b%b%b" % (self.heads[self.turn], packet_id, payload(number, size))
        self.next_id = self.next_id % 65535 + 1
        self.turn = (self.turn + 1) % len(self.heads)
        self.in_flight += 1

    def flush(self) -> None:
        if self.out:
            try:
                sent = self.sock.send(self.out)
            except BlockingIOError:
                return
            del self.out[:sent]

    def read(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the broker closed the connection")
        data = self.rest + data
        whole = len(data) // 4 * 4  # every PUBACK of MQTT 3.1.1 has four bytes
        self.rest = data[whole:]
        self.in_flight -= whole // 4
        self.acknowledged += whole // 4


def open_client(host: str, port: int, login: dict[str, Any], size: int) -> Client:
    """Logs in. A login has username, password, client_id and topic, or several ``topics``,
    which are used in turn; its payloads have ``size`` bytes."""
    sock = socket.create_connection((host, port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect_packet(login["client_id"], login["username"], login["password"]))
    answer = sock.recv(4)
    if answer[3:] != b"\x00":
        raise ConnectionError(f"the broker refuses {login['username']}: {answer!r}")
    sock.setblocking(False)
    topics = login.get("topics") or [login["topic"]]
    names = [string(topic) for topic in topics]
    return Client(sock, [b"\x32" + remaining(len(name) + 2 + size) + name for name in names])


def run(
    clients: Sequence[Client],
    *,
    rate: float,
    seconds: float,
    count: int,
    size: int,
    window: int,
    block: float = BLOCK_SECONDS,
) -> dict[str, float]:
    """Sends until the time or the count is over, then waits for the acknowledgements."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.sock, selectors.EVENT_READ, client)
    start = heard = time.monotonic()
    sent, turn, wait = 0, 0, (block / 2 if rate else 0.001)
    end = start + seconds if seconds else float("inf")
    while True:
        now = time.monotonic()
        sending = now < end and (not count or sent < count)
        if not sending and not any(c.in_flight or c.out for c in clients):
            break
        if now > heard + SILENCE_SECONDS:
            break
        if sending:
            due = int((now - start) * rate) - sent if rate else 1_000_000
            if count:
                due = min(due, count - sent)
            for _ in clients:
                if due <= 0:
                    break  # the next round begins with the next client: none stays silent
                client = clients[turn % len(clients)]
                turn += 1
                room = min(due, window - client.in_flight)
                for _ in range(room):
                    client.add(sent, size)
                    sent += 1
                due -= max(room, 0)
        for client in clients:
            client.flush()
        for key, _ in selector.select(wait):
            key.data.read()
            heard = now
    ended = time.monotonic()
    acknowledged = sum(c.acknowledged for c in clients)
    return {
        "sent": sent,
        "acknowledged": acknowledged,
        "started_at": start,
        "ended_at": ended,
        "seconds": round(ended - start, 3),
        "rate": round(acknowledged / (ended - start), 1),
        "cpu_seconds": time.process_time(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--username", default="")
    parser.add_argument("--password-env", default="BENCH_PASSWORD")
    parser.add_argument(
        "--logins", help="JSON file: a list of {username, password, client_id, topic or topics}"
    )
    parser.add_argument("--topic", default="bench")
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0: all it can")
    parser.add_argument("--seconds", type=float, default=10, help="0: until --count is reached")
    parser.add_argument("--count", type=int, default=0, help="messages at most; 0: any number")
    parser.add_argument("--size", type=int, default=230)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--block", type=float, default=BLOCK_SECONDS, help="seconds, with --rate")
    options = parser.parse_args()
    if not (options.seconds or options.count):
        parser.error("give --seconds or --count")
    if options.logins:
        logins = json.loads(Path(options.logins).read_text(encoding="utf-8"))
    else:
        logins = [
            {
                "username": options.username,
                "password": os.environ.get(options.password_env, ""),
                "client_id": "bench",
                "topic": options.topic,
            }
        ]
    clients = [open_client(options.host, options.port, one, options.size) for one in logins]
    done = run(
        clients,
        rate=options.rate,
        seconds=options.seconds,
        count=options.count,
        size=options.size,
        window=options.window,
        block=options.block,
    )
    print(json.dumps(done))


if __name__ == "__main__":
    main()
