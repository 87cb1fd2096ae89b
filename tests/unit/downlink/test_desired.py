"""What is published and what is cleared, from what is wanted and what a broker holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.downlink.desired.rules import Difference, Held, difference, digest

A, B = digest(b"a"), digest(b"b")


def test_what_to_do() -> None:
    wanted = {"same": A, "other": A, "missing": A, "dropped": None, "gone": None, "taken over": A}
    held = {
        "same": Held(A, True),
        "other": Held(B, True),
        "dropped": Held(A, True),
        "taken over": Held(B, False),
        "stray": Held(A, True),
        "of somebody else": Held(A, False),
    }
    assert difference(wanted, held) == Difference(
        ["missing", "other", "taken over"], ["dropped", "stray"]
    )


topics = st.sampled_from("abcdef")
contents = st.sampled_from([A, B])


@given(
    st.dictionaries(topics, st.none() | contents),
    st.dictionaries(topics, st.builds(Held, contents, st.booleans())),
)
def test_applied_once_nothing_is_left_to_do(
    wanted: dict[str, bytes | None], held: dict[str, Held]
) -> None:
    found = difference(wanted, held)
    assert not set(found.publish) & set(found.clear)
    after = {topic: one for topic, one in held.items() if topic not in found.clear}
    for topic in found.publish:
        content = wanted[topic]
        assert content is not None
        after[topic] = Held(content, True)
    assert difference(wanted, after) == Difference([], [])
    for topic, one in held.items():
        if not one.ours and topic not in wanted:
            assert after[topic] == one, "what others retain is left alone"
