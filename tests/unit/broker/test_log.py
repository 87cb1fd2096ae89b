"""Mosquitto's sentences, and the file they stand in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.log import LogKind, parse_line
from mooring.broker.tail import LogTail

# As 2.0.11 writes them; where 2.1 differs it follows.
SENTENCES: list[tuple[str, LogKind, dict[str, Any]]] = [
    (
        "New connection from 127.0.0.1:54565 on port 8883.",
        LogKind.CONNECTION,
        {"address": "127.0.0.1", "port": 54565, "listener": 8883, "client_id": None},
    ),
    (
        "New connection from fd00::2:54565 on port 8883.",
        LogKind.CONNECTION,
        {"address": "fd00::2", "port": 54565},
    ),
    (
        "New client connected from 127.0.0.1:54565 as lamp-3 (p2, c1, k60, u'lamp').",
        LogKind.CONNECTED,
        {
            "client_id": "lamp-3",
            "username": "lamp",
            "protocol": "3.1.1",
            "clean": True,
            "keep_alive": 60,
        },
    ),
    (
        "New client connected from ::ffff:127.0.0.1:32935 as ws1 (p5, c0, k0).",
        LogKind.CONNECTED,
        {"address": "127.0.0.1", "port": 32935, "username": None, "protocol": "5", "clean": False},
    ),
    (
        "New client connected from 10.0.0.9:1 as a b (p4, c1, k30, u'x y').",
        LogKind.CONNECTED,
        {"client_id": "a b", "username": "x y", "protocol": "3.1.1"},
    ),
    ("Client lamp disconnected.", LogKind.DISCONNECTED, {"client_id": "lamp", "reason": ""}),
    (
        "Client lamp [10.0.0.9:4711] disconnected.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "address": "10.0.0.9", "port": 4711, "reason": ""},
    ),
    (
        "Client lamp closed its connection.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "reason": "closed its connection"},
    ),
    (
        "Client lamp [::1:4711] closed its connection.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "address": "::1", "reason": "closed its connection"},
    ),
    (
        "Client lamp has exceeded timeout, disconnecting.",
        LogKind.DISCONNECTED,
        {"reason": "exceeded timeout"},
    ),
    (
        "Client lamp been disconnected by administrative action.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "reason": "administrative action"},
    ),
    (
        "Client <unknown> disconnected due to protocol error.",
        LogKind.DISCONNECTED,
        {"client_id": None, "reason": "protocol error"},
    ),
    (
        "Client lamp disconnected: Connection reset by peer.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "reason": "Connection reset by peer"},
    ),
    (
        "Client lamp already connected, closing old connection.",
        LogKind.TAKEN_OVER,
        {"client_id": "lamp"},
    ),
    (
        "Client lamp [10.0.0.9:4711] disconnected: session taken over.",
        LogKind.TAKEN_OVER,
        {"client_id": "lamp", "address": "10.0.0.9"},
    ),
    (
        "Client <unknown> disconnected, not authorised.",
        LogKind.REFUSED,
        {"client_id": None, "address": None},
    ),
    (
        "Client lamp [10.0.0.9:4711] disconnected: not authorised.",
        LogKind.REFUSED,
        {"client_id": "lamp", "address": "10.0.0.9", "port": 4711},
    ),
    (
        "Client lamp disconnected, no longer authorised.",
        LogKind.DISCONNECTED,
        {"client_id": "lamp", "reason": "not authorised"},
    ),
    (
        "Denied PUBLISH from lamp-3 (d0, q1, r0, m12, 'm/it's/up', ... (1 bytes))",
        LogKind.DENIED_PUBLISH,
        {"client_id": "lamp-3", "topic": "m/it's/up", "qos": 1},
    ),
    (
        "Denied SUBSCRIBE from lamp-3 (q1, '#')",
        LogKind.DENIED_SUBSCRIBE,
        {"client_id": "lamp-3", "topic": "#", "qos": 1},
    ),
    (
        "Outgoing messages are being dropped for client slow.",
        LogKind.DROPPING,
        {"client_id": "slow"},
    ),
    (
        "Client connection from 10.0.0.9 denied: max_connections exceeded.",
        LogKind.TOO_MANY_CLIENTS,
        {"address": "10.0.0.9"},
    ),
    (
        "Client connection from 10.0.0.9 failed: error:0A0000C7:SSL routines::"
        "peer did not return a certificate.",
        LogKind.TLS_FAILED,
        {
            "address": "10.0.0.9",
            "reason": "error:0A0000C7:SSL routines::peer did not return a certificate",
        },
    ),
    (
        "OpenSSL Error[0]: error:0A000418:SSL routines::tlsv1 alert unknown ca",
        LogKind.TLS_FAILED,
        {"address": None},
    ),
    (  # 2.1.2
        "OpenSSL Error while trying to get the error[0]: error:0A000086:SSL routines::certificate "
        "verify failed",
        LogKind.TLS_FAILED,
        {"address": None, "reason": "error:0A000086:SSL routines::certificate verify failed"},
    ),
    (
        "dynsec: svc-c/svc | createClient | username=n1 | password=*****",
        LogKind.ACCOUNT_CHANGED,
        {"client_id": "svc-c", "username": "svc", "reason": "createClient"},
    ),
    ("mosquitto version 2.0.11 starting", LogKind.STARTING, {}),
    ("mosquitto version 2.0.11 running", LogKind.RUNNING, {}),
    ("mosquitto version 2.0.11 terminating", LogKind.STOPPING, {}),
    ("Reloading config.", LogKind.RELOADED, {}),
    (
        "Error: Invalid password hash type for user also, removing entry.",
        LogKind.ERROR,
        {"reason": "Invalid password hash type for user also, removing entry."},
    ),
    (
        "Warning: Mosquitto should not be run as root/administrator.",
        LogKind.WARNING,
        {"reason": "Mosquitto should not be run as root/administrator."},
    ),
]


@pytest.mark.parametrize(("sentence", "kind", "fields"), SENTENCES)
def test_sentences(sentence: str, kind: LogKind, fields: dict[str, Any]) -> None:
    event = parse_line(f"2026-11-21T08:39:41+0000: {sentence}\n")
    assert event is not None
    assert event.kind is kind
    assert event.text == sentence
    assert event.time == datetime(2026, 11, 21, 8, 39, 41, tzinfo=UTC)
    assert {name: getattr(event, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("1795250381: ", datetime(2026, 11, 21, 8, 39, 41, tzinfo=UTC)),
        (
            "2026-11-21T09:39:41+0100: ",
            datetime(2026, 11, 21, 9, 39, 41, tzinfo=timezone(timedelta(hours=1))),
        ),
        ("2026-11-21T09:39:41: ", None),  # no zone: no moment
        ("2026-13-41T09:39:41+0000: ", None),
        ("", None),
    ],
)
def test_times(stamp: str, time: datetime | None) -> None:
    event = parse_line(f"{stamp}Reloading config.")
    assert event is not None
    assert event.time == time


@pytest.mark.parametrize(
    "line",
    [
        "",
        "2026-11-21T08:39:41+0000: Saving in-memory database to /var/lib//mosquitto.db.",
        "Received PUBLISH from lamp (d0, q1, r0, m10, 'm/lamp/up', ... (1 bytes))",
        "Sending PUBACK to lamp (m10, rc0)",
        "Config loaded from /etc/mosquitto.conf.",
        "Opening ipv4 listen socket on port 8883.",
        "\tm/lamp/down (QoS 1)",
        "No will message specified.",
        "lamp-3 1 m/lamp/down",  # log_type subscribe: it begins with what a device chose
    ],
)
def test_other_lines_are_no_events(line: str) -> None:
    assert parse_line(line) is None


CLIENT_IDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=60)


@given(st.one_of(st.sampled_from([s for s, _, _ in SENTENCES]), CLIENT_IDS))
def test_no_client_id_speaks_for_another(client_id: str) -> None:
    """A client chooses its id; whatever it is, the lines about it are about it."""
    for line in (
        f"New client connected from 10.0.0.9:1 as {client_id} (p2, c1, k60, u'lamp').",
        f"Client {client_id} disconnected.",
        f"Client {client_id} closed its connection.",
        f"Client {client_id} has exceeded timeout, disconnecting.",
        f"Client {client_id} already connected, closing old connection.",
        f"Denied PUBLISH from {client_id} (d0, q1, r0, m2, 'x', ... (1 bytes))",
    ):
        event = parse_line(line)
        assert event is not None
        assert event.client_id in (client_id, None)


@given(st.text(max_size=200))
def test_no_line_is_an_error(line: str) -> None:
    parse_line(line)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_whole_new_lines_come(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    tail = LogTail(log)
    assert tail.read() == []
    append(log, "one\ntw")
    assert tail.read() == ["one"]
    append(log, "o\nthree\n")
    assert tail.read() == ["two", "three"]
    assert LogTail(log, from_start=True).read() == ["old", "one", "two", "three"]
    tail.close()


def test_a_rotated_file_is_read_to_its_end_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    tail = LogTail(log)
    append(log, "one\n")
    log.rename(tmp_path / "log.1")
    append(tmp_path / "log.1", "two\n")
    assert tail.read() == ["one", "two"]
    assert tail.read() == []  # between two files
    log.write_text("three\n")
    assert tail.read() == ["three"]
    tail.close()


def test_a_truncated_file_starts_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a long first line\n")
    tail = LogTail(log)
    log.write_text("new\n")
    assert tail.read() == ["new"]
    tail.close()


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "log")
    assert tail.read() == []
    append(tmp_path / "log", "first\n")
    assert tail.read() == ["first"]
    tail.close()


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    tail = LogTail(log)
    append(log, "x" * 200_000)
    assert [len(line) for line in tail.read()] == [65536]
    append(log, "\nnext\n")
    assert tail.read() == ["", "next"]
    tail.close()


def test_following(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")

    async def main() -> list[str]:
        tail, found = LogTail(log), []
        async with asyncio.timeout(20):
            writer = asyncio.get_running_loop().call_later(0.05, append, log, "one\ntwo\n")
            async for lines in tail.follow(poll=0.01):
                found += lines
                break
        writer.cancel()
        tail.close()
        return found

    assert asyncio.run(main()) == ["one", "two"]
