"""What a batch says of a device's numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.reference import DeviceRef
from mooring.sequences.numbers import RANGES_MAX, Numbers, merge
from mooring.sequences.projection import LOST_MAX, Heard
from tests.support.projecting import CATALOGUE, DEVICES

DEVICE = DeviceRef.of(DEVICES[0], CATALOGUE.get(DEVICES[0].dialect))
NUMBER = st.integers(1, 40)
RANGE = st.tuples(NUMBER, st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1]))
SAID = st.lists(NUMBER | st.lists(RANGE, max_size=4), max_size=30)


@given(st.lists(NUMBER), SAID)
def test_a_batch_counts_as_its_messages_one_by_one(
    before: list[int], said: list[int | list[tuple[int, int]]]
) -> None:
    expected = known = merge(Numbers(), before)
    heard = Heard(DEVICE)
    for one in said:
        if isinstance(one, int):
            heard.number(one)
            expected = merge(expected, [one])
        else:
            heard.gave_up(one)
            expected = merge(expected, [], one)
    assert merge(known, heard.numbers, heard.lost) == expected


def test_numbers_and_losses_in_turn_are_merged_once() -> None:
    """A hostile device: each merge goes through all that is known of its numbers."""
    heard = Heard(DEVICE)
    for number in range(1, 4 * LOST_MAX, 4):
        heard.gave_up([(number, number)])
        heard.number(number + 2)
        heard.number(number)
    assert len(heard.numbers) == len(heard.lost) == LOST_MAX
    heard.gave_up([(4 * LOST_MAX + 1, 4 * LOST_MAX + 1)])
    assert len(heard.lost) == RANGES_MAX
    assert set(Heard.__dataclass_fields__) == {"device", "numbers", "lost"}
    assert merge(Numbers(), heard.numbers, heard.lost).upto == 1
