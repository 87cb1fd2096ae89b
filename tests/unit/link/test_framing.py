"""Where packets begin and end, and what a connection makes of a packet in many reads."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import PublishPacket, QoS

from mooring.link.connection import Connection
from mooring.link.framing import NotMqtt, frame, missing
from mooring.link.protocol import Broken, Endpoint


def test_a_length_of_five_bytes_is_not_mqtt() -> None:
    with pytest.raises(NotMqtt):
        frame(b"\x30\xff\xff\xff\xff\x01", 0)
    assert missing(b"\x30\xff\xff\xff\xff\x01", 0) == 1


@given(st.binary(max_size=20_000), st.integers(0, 5))
def test_the_frame_of_a_packet_is_all_of_it(payload: bytes, before: int) -> None:
    whole = b"\x00" * before + PublishPacket("t", payload).write()
    found = frame(whole, before)
    assert found is not None
    assert found[1] == len(whole)
    for end in {before + 1, before + 2, before + 3, len(whole) - 1} & set(range(len(whole))):
        if end > before:
            cut = whole[:end]
            # Never more than is really missing: it would wait for bytes that do not come.
            assert 1 <= missing(cut, before) <= len(whole) - end


class Owner:
    """Of a connection without a socket."""

    endpoint = Endpoint("x", 1, "u", "p", "c")
    session_seconds, window = 0, 10

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.bytes = 0
        self.broken: list[Broken] = []

    def arrived(self, packets: list[PublishPacket], size: int) -> None:
        self.payloads += [bytes(packet.payload) for packet in packets]
        self.bytes += size

    def refused_by_codec(self, broken: Broken) -> None:
        self.broken.append(broken)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the codec
@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    st.lists(st.integers(1, 900), min_size=1, max_size=20),
    st.booleans(),
)
def test_packets_arrive_however_the_stream_is_cut(
    sizes: list[int], cuts: list[int], spoiled: bool
) -> None:
    payloads = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    packets = [
        PublishPacket("t", payload, qos=QoS.AT_LEAST_ONCE, packet_id=number + 1).write()
        for number, payload in enumerate(payloads)
    ]
    if spoiled:  # its topic is not UTF-8
        packets.insert(1, b"\x32\x08\x00\x02\xff\xfe\x00\x63\x00x")
    stream = b"".join(packets)

    async def work() -> Owner:
        owner = Owner()
        connection = Connection(owner)
        connection._open = True
        at = turn = 0
        while at < len(stream):
            end = at + cuts[turn % len(cuts)]
            connection.data_received(stream[at:end])
            at, turn = end, turn + 1
        return owner

    owner = asyncio.run(work())
    assert owner.payloads == payloads
    assert [(one.qos, one.packet_id) for one in owner.broken] == ([(1, 99)] if spoiled else [])
