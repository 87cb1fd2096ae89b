"""One device at full speed: another tenant's device is stored all the same, and what the flood was
is counted completely. How long that takes: ``python -m bench.neighbour``."""

from __future__ import annotations

import json
import threading

import pytest

from bench.neighbour import FLOODS
from tests.attacks.stand import Attacked
from tests.support.raw_mqtt import publish_packet
from tests.support.waiting import wait_until

# Large ones fewer than a device may send at a time.
NUMBERS = {"small": 4000, "1 MB": 15, "bad JSON": 2000, "250 metrics": 1000}
OURS = 30
# Where a message of the attacker can be.
COUNTED = ("messages_stored", "dead_letters", "dead_letters_dropped")


@pytest.mark.attack("floods the platform at full speed")
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_one_device_loses_no_message_of_another_tenant(
    attacked: Attacked, flood: str
) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    platform = attacked.platform
    before = sum(platform.counted(name) for name in COUNTED)
    client = attacked.login(attacker)
    number = NUMBERS[flood]
    payload = FLOODS[flood]()
    # QoS 1, as fast as the broker takes it; its acknowledgements are read meanwhile.
    packets = [
        publish_packet(attacker.topics["telemetry"], payload, packet_id=place % 65_535 + 1)
        for place in range(number)
    ]
    acknowledged: list[int] = []

    def listen() -> None:
        while len(acknowledged) < number and (got := client.receive()) is not None:
            acknowledged.append(got[0])

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    quiet = attacked.client(victim)
    ours = iter(range(OURS))
    for place, packet in enumerate(packets):
        client.send(packet)
        if place % max(1, number // OURS) == 0 and (own := next(ours, None)) is not None:
            said = json.dumps({"values": {"n": own}, "seq": own + 1}).encode()
            quiet.publish(victim.topics["telemetry"], said, qos=1)
    left = sum(1 for _ in ours)
    wait_until(lambda: platform.stored(victim) == OURS - left, "the victim's messages", timeout=120)
    listening.join(120)
    assert len(acknowledged) == number  # none of them was denied, so none may be missing

    def found() -> int:
        return sum(platform.counted(name) for name in COUNTED) - before

    wait_until(lambda: found() >= number + OURS - left, "every message to be counted", timeout=120)
    assert found() == number + OURS - left
    rows = platform.rows(
        "SELECT m.payload FROM messages m JOIN devices d ON d.id = m.device_id"
        " WHERE d.username = ? ORDER BY m.id",
        victim.username,
    )
    order = [json.loads(row[0])["values"]["n"] for row in rows]
    assert order == list(range(OURS - left))


@pytest.mark.attack("sends more bytes than the platform can store")
def test_a_device_is_held_to_a_rate_where_nothing_acknowledged_is_lost(attacked: Attacked) -> None:
    """Without any setting. Only the plugin can reject a message before it is acknowledged."""
    attacker, victim = attacked.attacker(), attacked.victim()
    platform = attacked.platform
    before = sum(platform.counted(name) for name in COUNTED)
    limited = platform.counted("sessions_limited")
    client = attacked.login(attacker)
    quiet = attacked.client(victim)
    payload = b'{"values":{"t":1},"note":"' + b"x" * 1_000_000 + b'"}'
    acknowledged = 0
    number = 40  # twice as much as it may send at a time
    for place in range(number):
        try:
            client.send(publish_packet(attacker.topics["telemetry"], payload, packet_id=place + 1))
            if client.receive() is None:
                break
        except OSError:
            break
        acknowledged += 1
    quiet.publish(victim.topics["telemetry"], b'{"values":{"n":1}}', qos=1)
    wait_until(lambda: platform.stored(victim) == 1, "the victim's message", timeout=60)
    if attacked.combination.authority != "plugin":
        assert acknowledged == number
    else:
        assert 0 < acknowledged < number
        wait_until(lambda: platform.counted("sessions_limited") > limited, "it to be counted")

    def found() -> int:
        return sum(platform.counted(name) for name in COUNTED) - before - 1

    wait_until(lambda: found() >= acknowledged, "every message to be counted", timeout=60)
    assert found() == acknowledged
