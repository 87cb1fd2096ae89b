"""Which topics the platform publishes to."""

from __future__ import annotations

import pytest

from mooring.dialects.sendable import check_topic
from mooring.errors import Invalid


def malformed(number: int) -> bool:
    """Control characters and non-characters, as [MQTT-1.5.4] and Unicode name them."""
    return (
        number < 0x20
        or 0x7F <= number <= 0x9F
        or 0xFDD0 <= number <= 0xFDEF
        or number & 0xFFFE == 0xFFFE
    )


def test_a_character_that_ends_the_connection_is_rejected_on_every_plane() -> None:
    bounds = {0x1F, 0x20, 0x7E, 0x7F, 0x9F, 0xA0, 0xFDCF, 0xFDD0, 0xFDEF, 0xFDF0}
    ends = {plane << 16 | last for plane in range(17) for last in (0xFFFD, 0xFFFE, 0xFFFF)}
    for number in sorted(bounds | ends | set(range(1, 0x20))):
        topic = f"a/{chr(number)}/b"
        if malformed(number):
            with pytest.raises(Invalid):
                check_topic(topic)
        else:
            check_topic(topic)
