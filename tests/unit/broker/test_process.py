"""Mosquitto as a child process, with the real program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.broker import ports
from mooring.broker.config import BrokerConfig, Listener, PasswordFile, render
from mooring.broker.connection import Connection, Endpoint, answers
from mooring.broker.installation import find_dynsec_plugin, find_mosquitto, parse_version, version
from mooring.broker.process import BrokerProcess
from mooring.errors import BrokerUnavailable, Conflict, NotFound
from mooring.secrets import verifiers
from tests.support.ports import free_port


class Box:
    """A folder with a configuration for one Mosquitto that knows one account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.passwords = folder / "passwd"
        self.passwords.write_text(f"one:{verifiers.make('secret')}\n")
        (folder / "acl").write_text("user one\ntopic readwrite #\n")
        for file in (self.passwords, folder / "acl"):
            file.chmod(0o600)
        self.log = folder / "broker.log"
        self.conf = folder / "mosquitto.conf"
        self.endpoint = Endpoint(port=self.port, username="one", password="secret")
        self.write(Listener(self.port))

    def write(self, *listeners: Listener) -> None:
        config = BrokerConfig(
            listeners=listeners,
            access=PasswordFile(self.passwords, self.folder / "acl"),
            persistence=self.folder,
            log=self.log,
            run_as_root=os.geteuid() == 0,
        )
        self.conf.write_text(render(config))

    def process(self) -> BrokerProcess:
        return BrokerProcess(self.conf, self.endpoint, listens=[("127.0.0.1", self.port)])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        for _ in iter(condition, True):
            await asyncio.sleep(0.02)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def run(process: BrokerProcess, body: Callable[[BrokerProcess], Coroutine[Any, Any, None]]) -> None:
    """Run ``body`` in a loop of its own and stop the broker whatever happens."""

    async def main() -> None:
        try:
            await body(process)
        finally:
            await process.stop()

    asyncio.run(main())


def test_it_starts_answers_and_stops(box: Box) -> None:
    async def body(process: BrokerProcess) -> None:
        assert process.pid is None
        await process.start()
        await process.wait_ready()
        pid = process.pid
        assert pid is not None
        await process.start()  # a second time changes nothing
        assert process.pid == pid
        owner = ports.port_owner(box.port)
        assert owner is not None
        assert (owner.pid, owner.name) == (pid, "mosquitto")
        assert await process.stop() == 0
        assert not process.running
        assert not await answers(box.endpoint, within=1)
        assert (box.folder / "mosquitto.db").exists()
        assert box.process().output.stat().st_mode & 0o777 == 0o600

    run(box.process(), body)


def test_our_account_is_let_in_and_a_wrong_one_is_named(box: Box) -> None:
    async def body(process: BrokerProcess) -> None:
        await process.restart()
        async with await Connection.open(box.endpoint) as connection:
            await connection.subscribe(["a/#"])
            await connection.publish("a/b", b"hello")
            packets = {type(await connection.read()).__name__ for _ in range(2)}
            assert packets == {"PublishPacket", "PubAckPacket"}
        wrong = Endpoint(port=box.port, username="one", password="guess")
        with pytest.raises(BrokerUnavailable, match="rejects one: not authorized") as caught:
            await Connection.open(wrong)
        assert caught.value.slug == "broker_refused"
        assert "guess" not in repr(wrong) + str(caught.value)
        assert await answers(wrong)  # refused, but it answers

    run(box.process(), body)


def test_a_reload_reads_the_password_file_again(box: Box) -> None:
    async def body(process: BrokerProcess) -> None:
        await process.restart()
        box.passwords.write_text(f"one:{verifiers.make('other')}\n")
        process.reload()
        fresh = Endpoint(port=box.port, username="one", password="other")
        async with asyncio.timeout(10):
            while True:
                try:
                    connection = await Connection.open(fresh)
                except BrokerUnavailable:
                    await asyncio.sleep(0.02)
                    continue
                await connection.close()
                return

    run(box.process(), body)


def test_a_taken_port_names_its_owner(box: Box) -> None:
    async def body(process: BrokerProcess) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", box.port))
            other.listen()
            with pytest.raises(Conflict, match=f"process {os.getpid()}") as caught:
                await process.start()
            assert caught.value.context["port"] == box.port
            assert process.pid is None

    run(box.process(), body)


def test_mistakes_in_the_configuration_are_repeated(box: Box) -> None:
    box.conf.write_text(box.conf.read_text() + "no_such_option true\n")

    async def body(process: BrokerProcess) -> None:
        await process.start()
        with pytest.raises(BrokerUnavailable, match="no_such_option"):
            await process.wait_ready()

    run(box.process(), body)


def test_its_end_is_seen(box: Box) -> None:
    async def body(process: BrokerProcess) -> None:
        await process.restart()
        assert process.pid is not None
        watch = asyncio.create_task(process.wait())
        os.kill(process.pid, signal.SIGKILL)
        assert await watch == -signal.SIGKILL
        with pytest.raises(BrokerUnavailable):
            process.reload()

    run(box.process(), body)


def test_a_broker_that_ignores_sigterm_is_killed(box: Box) -> None:
    stubborn = box.folder / "stubborn"
    stubborn.write_text(
        f"#!{sys.executable}\nimport signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    stubborn.chmod(0o700)
    process = BrokerProcess(box.conf, box.endpoint, binary=stubborn)

    async def body(process: BrokerProcess) -> None:
        await process.start()
        await until(lambda: "ready" in process.output.read_text())
        assert await process.stop(within=0.1) == -signal.SIGKILL

    run(process, body)


def test_a_broker_left_by_a_killed_parent_is_replaced(box: Box) -> None:
    orphan = subprocess.Popen(
        [str(find_mosquitto()), "-c", str(box.conf)], stderr=subprocess.DEVNULL
    )
    try:

        async def body(process: BrokerProcess) -> None:
            await until(lambda: not ports.is_free(box.port))
            found = process.leftover()
            assert found is not None
            assert found.pid == orphan.pid
            await process.start()
            await process.wait_ready()
            assert process.pid != orphan.pid

        run(box.process(), body)
        assert orphan.wait(10) == 0
    finally:
        orphan.kill()
        orphan.wait()


def test_somebody_elses_mosquitto_is_left_alone(box: Box) -> None:
    other = box.folder / "other.conf"
    other.write_text(box.conf.read_text())
    orphan = subprocess.Popen([str(find_mosquitto()), "-c", str(other)], stderr=subprocess.DEVNULL)
    try:

        async def body(process: BrokerProcess) -> None:
            await until(lambda: not ports.is_free(box.port))
            with pytest.raises(Conflict, match=f"mosquitto \\(process {orphan.pid}\\)"):
                await process.start()

        run(box.process(), body)
        assert orphan.poll() is None
    finally:
        orphan.terminate()
        orphan.wait()


def test_something_else_on_the_port_is_no_broker() -> None:
    async def main() -> None:
        async def mumble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x00\x00 no MQTT")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(mumble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert not await answers(Endpoint(port=port), within=2)
        server.close()

    asyncio.run(main())


def test_the_installation_is_found() -> None:
    assert version(find_mosquitto()) >= (2, 0, 11)
    assert find_dynsec_plugin().name == "mosquitto_dynamic_security.so"
    with pytest.raises(NotFound):
        find_mosquitto(Path("/nonexistent/mosquitto"))
    with pytest.raises(NotFound):
        find_dynsec_plugin(Path("/nonexistent/plugin.so"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT", (2, 0, 11)),
        ("x\nmosquitto version 2.1.2 (build 1)", (2, 1, 2)),
        ("command not found", None),
    ],
)
def test_versions(text: str, expected: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == expected


PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:075B 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 00000000:22B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""


@pytest.mark.parametrize(("port", "inodes"), [(1883, {"4711"}), (8883, {"4713"}), (1, set())])
def test_only_listening_sockets_own_a_port(port: int, inodes: set[str]) -> None:
    assert ports.listening_inodes(PROC_NET_TCP, port) == inodes
