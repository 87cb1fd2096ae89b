"""The size of packets, at the bounds of the length field [MQTT-2.2.3]."""

from __future__ import annotations

import pytest

from mooring.device_settings.packets import check_packet
from mooring.dialects.outgoing import packet_bytes
from mooring.errors import Invalid


@pytest.mark.parametrize(
    ("topic", "length", "qos", "size"),
    [
        ("a/b", 3, 0, 2 + 2 + 3 + 3),
        ("a/b", 3, 1, 2 + 2 + 3 + 2 + 3),
        ("é", 0, 2, 2 + 2 + 2 + 2),
        ("t", 127 - 5, 1, 2 + 127),
        ("t", 128 - 5, 1, 3 + 128),
        ("t", 16_383 - 5, 1, 3 + 16_383),
        ("t", 16_384 - 5, 1, 4 + 16_384),
    ],
)
def test_the_size_of_a_packet(topic: str, length: int, qos: int, size: int) -> None:
    assert packet_bytes(topic, b"x" * length, qos) == size


def test_both_numbers_are_in_the_error() -> None:
    check_packet("t", b"x" * 10, 1, 0)
    check_packet("t", b"x" * 10, 1, 17)
    with pytest.raises(Invalid) as refusal:
        check_packet("t", b"x" * 10, 1, 16)
    assert refusal.value.context == {"bytes": 17, "most": 16}
