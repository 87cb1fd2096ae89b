"""What every link does, against a real broker."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable

import mqtt5
import pytest

from mooring.errors import BrokerUnavailable
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Batch, Endpoint, Subscription
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient

SESSION = 600


def endpoint(broker: Mosquitto, name: str = "link") -> Endpoint:
    return Endpoint("127.0.0.1", broker.port, "anybody", "anything", name)


async def opened(broker: Mosquitto, *filters: str, window: int = 1000) -> MqttLink:
    link = MqttLink(endpoint(broker), session_seconds=SESSION, window=window)
    await link.subscribe([Subscription(f) for f in filters])
    await link.start(timeout=10)
    return link


async def take(link: MqttLink, count: int) -> list[Batch]:
    batches: list[Batch] = []
    async with asyncio.timeout(15):
        while sum(len(b.packets) for b in batches) < count:
            batches.append(await link.take(500, 0))
    return batches


def publish(broker: Mosquitto, count: int, *, topic: str = "t/a", qos: int = 1) -> None:
    with MqttClient(broker.port) as client:
        for number in range(count):
            client.publish(topic, str(number), qos=qos)


def publish_many(broker: Mosquitto, count: int) -> None:
    subprocess.run(
        ["mosquitto_pub", "-p", str(broker.port), "-t", "t/a", "-q", "1", "-l"],
        input="".join(f"{number}\n" for number in range(count)).encode(),
        check=True,
        timeout=30,
    )


def payloads(batches: list[Batch]) -> list[int]:
    return [int(p.payload) for b in batches for p in b.packets]


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))  # type: ignore[arg-type]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_come_in_order_whatever_their_quality(broker: Mosquitto, qos: int) -> None:
    async def work() -> None:
        link = await opened(broker, "t/#")
        await asyncio.to_thread(publish, broker, 50, qos=qos)
        batches = await take(link, 50)
        assert payloads(batches) == list(range(50))
        for batch in batches:
            link.acknowledge(batch)
        await link.close()

    run(work)


def test_what_is_acknowledged_does_not_come_again_and_the_rest_does(broker: Mosquitto) -> None:
    async def work() -> None:
        first = await opened(broker, "t/#")
        await asyncio.to_thread(publish, broker, 10)
        packets = [p for b in await take(first, 10) for p in b.packets]
        first.acknowledge(Batch(packets[:4], first.connections, []))
        await asyncio.sleep(0.3)
        await first.close()
        second = await opened(broker, "t/#")
        again = await take(second, 6)
        assert payloads(again) == list(range(4, 10))
        assert all(p.duplicate for b in again for p in b.packets)
        await second.close()

    run(work)


def test_an_acknowledgement_for_an_earlier_connection_is_dropped(broker: Mosquitto) -> None:
    async def work() -> None:
        link = await opened(broker, "t/#")
        await asyncio.to_thread(publish, broker, 3)
        [old] = await take(link, 3)
        old.connection -= 1
        link.acknowledge(old)
        await asyncio.sleep(0.2)
        await link.close()
        again = await opened(broker, "t/#")
        assert payloads(await take(again, 3)) == [0, 1, 2]
        await again.close()

    run(work)


def test_a_resumed_session_with_a_long_queue_does_not_fill_the_memory(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    """Mosquitto 2.0 sends a resumed session's whole queue, whatever our window."""
    window, count = 100, 5000
    broker = start_mosquitto("max_queued_messages 100000")

    async def work() -> None:
        first = await opened(broker, "t/#", window=window)
        await first.close()
        await asyncio.to_thread(publish_many, broker, count)
        held = await opened(broker, "t/#", window=window)
        await take(held, 1)  # in flight and never acknowledged: what sets it off
        await held.close()
        link = await opened(broker, "t/#", window=window)
        seen: list[int] = []
        highest = 0
        async with asyncio.timeout(40):
            while len(seen) < count:
                batch = await link.take(50, 0)
                link.acknowledge(batch)
                seen += [int(p.payload) for p in batch.packets]
                highest = max(highest, len(link._pending))
        assert sorted(set(seen)) == list(range(count))
        # One socket read may come on top of the two windows at which reading stops.
        assert highest < 2 * window + 256 * 1024 // 12
        await link.close()

    run(work)


def test_subscriptions_change_on_the_way(broker: Mosquitto) -> None:
    async def work() -> None:
        link = await opened(broker, "t/a")
        await link.subscribe([Subscription("t/b")])
        await asyncio.to_thread(publish, broker, 1, topic="t/a")
        await asyncio.to_thread(publish, broker, 1, topic="t/b")
        [batch] = await take(link, 1)
        assert [p.topic for p in batch.packets] == ["t/b"]
        await link.close()

    run(work)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publishing(broker: Mosquitto, qos: int) -> None:
    async def work() -> None:
        with MqttClient(broker.port) as listener:
            listener.subscribe("down/#", qos=2)
            link = await opened(broker)
            await link.publish("down/x", b"hello", qos=qos)
            link.publish_many([("down/y", b"1"), ("down/y", b"2")])
            messages = await asyncio.to_thread(listener.collect, 3)
            # QoS 2 takes two round trips more, so what came later may be delivered before it.
            assert sorted(m.payload for m in messages) == [b"1", b"2", b"hello"]
            await link.close()

    run(work)


def test_a_broker_that_restarts_is_found_again(broker: Mosquitto) -> None:
    async def work() -> None:
        states: list[bool] = []
        link = await opened(broker, "t/#")
        link.on_state = states.append
        await asyncio.to_thread(broker.restart)
        async with asyncio.timeout(20):
            while states[-1:] != [True]:  # noqa: ASYNC110 - the callback is a plain one
                await asyncio.sleep(0.05)
        await asyncio.to_thread(publish, broker, 2)
        assert payloads(await take(link, 2)) == [0, 1]
        assert states == [False, True]
        await link.close()

    run(work)


def test_nobody_there_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def work() -> None:
        link = MqttLink(Endpoint("127.0.0.1", port, "u", "hunter2hunter2", "c"))
        with pytest.raises(BrokerUnavailable, match="cannot be reached") as caught:
            await link.start(timeout=10)
        assert "hunter2" not in str(caught.value) + repr(link.endpoint)

    run(work)


# A malformed property, and a topic that is not UTF-8, on which the codec panics.
UNREADABLE = {
    "property": b"\x32\x0a" + b"\x00\x03t/a" + b"\x00\x02" + b"\x02\x7f\x00",
    "topic": b"\x32\x0b" + b"\x00\x05t/\xff\xed\xa0" + b"\x00\x02" + b"\x00" + b"2",
}


# The codec's panic leaves the decoder's own error behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", [1000, 30, 1], ids=["whole", "in-two", "byte-by-byte"])
@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
def test_a_packet_the_codec_cannot_read_is_handed_over_and_stops_nothing(
    bad: bytes, cut: int
) -> None:
    """A server of our own that sends an unreadable PUBLISH between good ones."""
    good = mqtt5.PublishPacket("t/a", b"1", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1).write()
    last = mqtt5.PublishPacket("t/a", b"3", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=3).write()
    received: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(mqtt5.ConnAckPacket().write())
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = good + bad + last
            for at in range(0, len(stream), cut):
                peer.sendall(stream[at : at + cut])
                time.sleep(0.002)
            peer.settimeout(5)
            while b"\x40\x02\x00\x03" not in b"".join(received):
                received.append(peer.recv(4096))

    thread = threading.Thread(target=serve)
    thread.start()

    async def work() -> None:
        link = MqttLink(Endpoint("127.0.0.1", server.getsockname()[1], "u", "p", "c"))
        await link.start(timeout=10)
        packets, broken = [], []
        while len(packets) + len(broken) < 3:
            batch = await link.take(10, 0.05)
            packets += batch.packets
            broken += batch.broken
            link.acknowledge(batch)
        assert [p.payload for p in packets] == [b"1", b"3"]
        assert [(b.packet_id, b.qos) for b in broken] == [(2, 1)]
        assert broken[0].topic in ("t/a", r"t/\xff\xed\xa0")
        await asyncio.to_thread(thread.join, 10)
        await link.close()

    run(work)
    server.close()
    said = b"".join(received)
    assert b"\x40\x02\x00\x01" in said
    assert b"\x40\x02\x00\x02" in said
