"""The simulator's own MQTT 3.1.1 client and fleet, against a real Mosquitto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mooring.dialects import builtin
from mooring.dialects.model import Identity
from mooring.errors import BrokerUnavailable
from mooring.simulate.client import Client, Login, Refused
from mooring.simulate.figures import Figures
from mooring.simulate.fleet import Member, Plan, run_fleet
from mooring.simulate.packets import Will
from mooring.simulate.voice import Voice
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

PATIENCE = 20.0
DIALECTS = {dialect.name: dialect for dialect in builtin()}


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, on the loop that ``mooring simulate`` uses and the other."""
    runner = uvloop.run if request.param == "uvloop" else asyncio.run

    def with_limit(work: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            await asyncio.wait_for(work, 60)

        runner(limited())

    return with_limit


def login(broker: Mosquitto, client_id: str, password: str = "x") -> Login:  # noqa: S107 - no secret
    return Login(broker.host, broker.port, client_id, client_id, password)


async def until(condition: Callable[[], object]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), PATIENCE)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_of_each_qos_goes_out_and_comes_in(run: Run, broker: Mosquitto, qos: int) -> None:
    async def work() -> None:
        heard: list[tuple[str, bytes]] = []
        listener = Client(login(broker, "listener"), on_message=lambda *m: heard.append(m))
        speaker = Client(login(broker, "speaker"))
        await listener.connect()
        assert await listener.subscribe([("room/+", qos)]) == [True]
        await speaker.connect()
        for number in range(300):
            payload = b"x" * number  # every length of the length field's first two sizes
            await asyncio.wait_for(speaker.publish("room/1", payload, qos=qos), PATIENCE)
        await until(lambda: len(heard) == 300)
        assert heard == [("room/1", b"x" * number) for number in range(300)]
        assert speaker.unacknowledged == 0
        speaker.close()
        listener.close()

    run(work())


def test_a_large_message_and_an_empty_topic_level(run: Run, broker: Mosquitto) -> None:
    async def work() -> None:
        heard: list[tuple[str, bytes]] = []
        client = Client(login(broker, "a"), on_message=lambda *m: heard.append(m))
        await client.connect()
        await client.subscribe([("/ä//#", 2)])
        payload = b"\xff\x00" * 200_000
        await client.publish("/ä//b", payload, qos=2)
        await until(lambda: heard)
        assert heard == [("/ä//b", payload)]
        client.close()

    run(work())


def test_a_wrong_password_is_a_refusal(
    run: Run, start_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    from mooring.secrets.verifiers import make

    passwords = tmp_path / "passwords"
    passwords.write_text(f"a:{make('right')}\n", encoding="ascii")
    passwords.chmod(0o700)
    broker = start_mosquitto("allow_anonymous false", f"password_file {passwords}")

    async def work() -> None:
        with pytest.raises(Refused, match="not authorised") as caught:
            await Client(login(broker, "a", "wrong")).connect()
        assert caught.value.connack == 5
        assert "wrong" not in repr(login(broker, "a", "wrong"))
        client = Client(login(broker, "a", "right"))
        await client.connect()
        assert client.connected
        client.close()

    run(work())


def test_no_broker_is_said_with_its_address(run: Run) -> None:
    port = free_port()

    async def work() -> None:
        with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port} cannot be reached"):
            await Client(Login("127.0.0.1", port, "a", "a", "a")).connect()

    run(work())


def test_a_subscription_that_is_refused_is_told(run: Run) -> None:
    """Mosquitto 2.0 grants what an ACL denies and delivers nothing; other brokers say so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"MQTT\x04")
        writer.write(b"\x20\x02\x00\x00")
        await reader.readuntil(b"no/#\x01")
        writer.write(b"\x90\x04\x00\x01\x01")  # in two pieces, as networks deliver
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"\x80")
        await reader.read()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(Login("127.0.0.1", port, "a", "a", "a"), keep_alive=0)
        await client.connect()
        assert await client.subscribe([("open/#", 1), ("no/#", 1)]) == [True, False]
        client.close()
        server.close()

    run(work())


def test_a_server_that_speaks_something_else_is_not_trusted(run: Run) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnavailable):
            await Client(Login("127.0.0.1", port, "a", "a", "a")).connect()
        server.close()

    run(work())


def test_what_was_not_acknowledged_goes_out_again(run: Run, broker: Mosquitto) -> None:
    async def work() -> None:
        lost: list[str] = []
        client = Client(login(broker, "a"), on_lost=lost.append)
        await client.connect()
        await asyncio.to_thread(broker.kill)
        await until(lambda: lost)
        assert not client.connected
        with pytest.raises(BrokerUnavailable):
            client.publish("t", b"1")

        await asyncio.to_thread(broker.start)
        await client.connect()
        # Stopped, the broker takes nothing in: the message stays unacknowledged.
        import os
        import signal

        os.kill(broker.pid, signal.SIGSTOP)
        done = client.publish("t", b"2", qos=1)
        await asyncio.sleep(0)
        assert client.unacknowledged == 1
        os.kill(broker.pid, signal.SIGKILL)
        await until(lambda: not client.connected)
        assert not done.done()
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        await client.connect()
        await asyncio.wait_for(done, PATIENCE)
        assert client.unacknowledged == 0
        client.close()

    run(work())


def test_the_will_is_sent_for_who_vanishes_and_not_for_who_leaves(
    run: Run, broker: Mosquitto
) -> None:
    async def work() -> None:
        heard: list[tuple[str, bytes]] = []
        watcher = Client(login(broker, "w"), on_message=lambda *m: heard.append(m))
        await watcher.connect()
        await watcher.subscribe([("gone/#", 1)])
        leaving, vanishing = Client(login(broker, "l")), Client(login(broker, "v"))
        await leaving.connect(Will("gone/l", b"1", 1, False))
        await vanishing.connect(Will("gone/v", b"2", 1, False))
        leaving.close()
        vanishing.close(farewell=False)
        await until(lambda: heard)
        await watcher.publish("gone/last", b"3")
        await until(lambda: len(heard) == 2)
        assert heard == [("gone/v", b"2"), ("gone/last", b"3")]
        watcher.close()

    run(work())


def test_a_connection_outlives_its_keep_alive(run: Run, broker: Mosquitto) -> None:
    async def work() -> None:
        client = Client(login(broker, "a"), keep_alive=1)
        await client.connect()
        await asyncio.to_thread(broker.wait_for_log, "PINGREQ from a")
        assert client.connected
        client.close()

    run(work())


# ------------------------------------------------------------------------- the fleet


def members(broker: Mosquitto, names: list[str]) -> list[Member]:
    found = []
    for name in names:
        dialect = DIALECTS[name]
        for number in range(3):
            identity = Identity("default", f"{name}-{number}", f"02:00:00:00:00:0{number}")
            client_id = dialect.client_id_of(identity) + name
            found.append(Member(Voice(dialect, identity), login(broker, client_id)))
    return found


def test_a_fleet_of_every_dialect_speaks(run: Run, broker: Mosquitto) -> None:
    plan = Plan(members(broker, sorted(DIALECTS)), rate=20, duration=2.0)
    seen: list[int] = []

    async def work() -> None:
        heard: dict[str, bytes] = {}
        observer = Client(login(broker, "observer"), on_message=heard.__setitem__)
        await observer.connect()
        await observer.subscribe([("#", 2)])
        figures = await run_fleet(plan, lambda now: seen.append(now.sent))
        assert figures.devices == figures.welcomed == 18
        assert figures.refused == figures.broken == figures.held_back == 0
        assert figures.sent > 18 * 10
        assert 0 < figures.acknowledged == figures.confirmable
        assert figures.latencies.count == figures.acknowledged
        assert seen[-1] == figures.sent >= seen[0]
        births = {
            message.topic
            for member in plan.members
            for message in member.voice.birth(1_767_225_600_000)
        }
        assert len(births) >= 15
        await until(lambda: births <= set(heard))
        for payload in heard.values():
            assert isinstance(json.loads(payload), dict)
        observer.close()

    run(work())


def test_a_fleet_hears_and_answers_commands(run: Run, broker: Mosquitto) -> None:
    dialect = DIALECTS["pulse"]
    voice = Voice(dialect, Identity("default", "pump-1"))
    plan = Plan([Member(voice, login(broker, "pump-1"))], rate=5)
    topics = dialect.topics(voice.identity)

    async def work() -> None:
        stop = asyncio.Event()
        progress: list[Figures] = []
        heard: list[tuple[str, bytes]] = []
        platform = Client(login(broker, "platform"), on_message=lambda *m: heard.append(m))
        await platform.connect()
        await platform.subscribe([(topics["reply"], 1), (topics["status"], 1)])
        running = asyncio.create_task(run_fleet(plan, progress.append, stop))
        await until(lambda: heard)  # its birth
        command = b'{"command":"restart","parameters":{},"command_id":"c-77"}'
        await platform.publish(topics["command"], command)
        await until(lambda: any(topic == topics["reply"] for topic, _ in heard))
        reply = json.loads(next(p for topic, p in heard if topic == topics["reply"]))
        assert reply["command_id"] == "c-77"
        heard.clear()
        stop.set()
        figures = await asyncio.wait_for(running, PATIENCE)
        assert (figures.received, figures.commands) == (1, 1)
        await until(lambda: heard)
        assert json.loads(heard[-1][1])["status"] == "offline"
        platform.close()

    run(work())


def test_a_fleet_comes_back_after_the_broker_was_away(run: Run, broker: Mosquitto) -> None:
    plan = Plan(members(broker, ["mooring"]), rate=20)

    async def work() -> None:
        stop = asyncio.Event()
        now: list[Figures] = []
        running = asyncio.create_task(run_fleet(plan, now.append, stop))
        await until(lambda: now and now[-1].acknowledged > 3)
        await asyncio.to_thread(broker.kill)
        await until(lambda: now[-1].connected == 0)
        before = now[-1].acknowledged
        await asyncio.to_thread(broker.start)
        await until(lambda: now[-1].connected == 3 and now[-1].acknowledged > before)
        stop.set()
        figures = await asyncio.wait_for(running, PATIENCE)
        assert figures.broken >= 3
        assert figures.acknowledged == figures.confirmable

    run(work())


def test_a_fleet_that_is_refused_counts_it(
    run: Run, start_mosquitto: Callable[..., Mosquitto]
) -> None:
    broker = start_mosquitto("allow_anonymous false")
    plan = Plan(members(broker, ["mooring"]), rate=20, duration=1.0)

    async def work() -> None:
        figures = await run_fleet(plan, lambda _now: None)
        assert (figures.welcomed, figures.sent) == (0, 0)
        assert figures.refused >= 3

    run(work())
