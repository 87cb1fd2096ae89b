"""The simulator's MQTT 3.1.1 packets, bytes for bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.simulate import packets
from mooring.simulate.packets import Acknowledged, ConnAck, NotMqtt, Pong, Publish, Reader, SubAck

TOPICS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


def test_connect_is_as_the_standard_has_it() -> None:
    will = packets.Will("w", b"bye", 2, True)
    found = packets.connect("id", username="u", password="pw", keep_alive=60, clean=True, will=will)
    # [MQTT-3.1.2]: user name, password, will retain, will QoS 2, will flag, clean session
    assert found == (
        b"\x10\x1d\x00\x04MQTT\x04\xf6\x00\x3c\x00\x02id\x00\x01w\x00\x03bye\x00\x01u\x00\x02pw"
    )
    plain = packets.connect("id", username="u", password="pw", keep_alive=0, clean=False)
    assert plain == b"\x10\x15\x00\x04MQTT\x04\xc0\x00\x00\x00\x02id\x00\x01u\x00\x02pw"


def test_subscribe_and_acknowledgements() -> None:
    assert packets.subscribe(10, [("a", 1), ("b/#", 2)]) == (
        b"\x82\x0c\x00\x0a\x00\x01a\x01\x00\x03b/#\x02"
    )
    assert packets.puback(258) == b"\x40\x02\x01\x02"
    assert packets.pubrec(258) == b"\x50\x02\x01\x02"
    assert packets.pubrel(258) == b"\x62\x02\x01\x02"
    assert packets.pubcomp(258) == b"\x70\x02\x01\x02"


@given(
    TOPICS,
    st.binary(max_size=20_000),
    st.integers(0, 2),
    st.booleans(),
    st.integers(1, 65535),
)
def test_a_message_comes_out_as_it_went_in(
    topic: str, payload: bytes, qos: int, retain: bool, number: int
) -> None:
    data = packets.publish(topic, payload, qos=qos, retain=retain, packet_id=number)
    assert list(Reader().feed(data)) == [Publish(topic, payload, qos, number if qos else 0)]
    assert bool(data[0] & 1) is retain


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_packets_come_out_whole_however_the_bytes_arrive(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(
        packets.publish("t", payload, qos=1, retain=False, packet_id=7) + b"\xd0\x00"
        for payload in payloads
    )
    reader = Reader()
    found = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += list(reader.feed(stream[:size]))
        stream = stream[size:]
    assert found == [p for payload in payloads for p in (Publish("t", payload, 1, 7), Pong())]


def test_what_a_broker_answers() -> None:
    data = b"\x20\x02\x01\x05" + b"\x90\x04\x00\x09\x01\x80" + b"\x62\x02\x00\x03"
    assert list(Reader().feed(data)) == [
        ConnAck(5, session_present=True),
        SubAck(9, (1, 0x80)),
        Acknowledged(6, 3),
    ]


def test_a_repetition_is_marked_but_never_at_qos_0() -> None:
    assert packets.publish("t", b"", qos=1, retain=False, packet_id=1, again=True)[0] & 8
    assert not packets.publish("t", b"", qos=0, retain=False, again=True)[0] & 8


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n" * 4,
        b"\x36\x05\x00\x01t\x00\x01",  # QoS 3
        b"\x60\x02\x00\x01",  # PUBREL without its flag
        b"\x30\xff\xff\xff\xff\x01",  # a length of more than four bytes [MQTT-2.2.3]
        b"\x30\x01\x00",  # a topic that is cut off
        b"\x30\x04\x00\x02\xff\xff",  # no UTF-8
        b"\x10\x00",  # CONNECT is for brokers
        b"\x20\x00",
        b"\x90\x01\x00",
        b"\xf0\x00",
    ],
)
def test_what_is_no_mqtt_is_an_error(data: bytes) -> None:
    with pytest.raises(NotMqtt):
        list(Reader().feed(data))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        for packet in Reader().feed(data):
            assert isinstance(packet, ConnAck | Publish | Acknowledged | SubAck | Pong)
    except NotMqtt as exc:
        assert exc.message.endswith(".")
