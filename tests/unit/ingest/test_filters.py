from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.topics import filter_covers, filters_overlap, topic_matches
from mooring.ingest.filters import overlapping, widest_of

level = st.sampled_from(["a", "b", "$x", ""])
topics = st.lists(level, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda some, end: "/".join([*some, *end]),
    st.lists(st.one_of(level, st.just("+")), min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(bool)


@given(filters, filters, topics)
def test_what_covers_a_filter_covers_its_topics(wide: str, narrow: str, topic: str) -> None:
    if filter_covers(wide, narrow) and topic_matches(narrow, topic):
        assert topic_matches(wide, topic)
    assert filter_covers(wide, wide)


@given(st.lists(filters, max_size=8), st.lists(filters, max_size=3), topics)
def test_the_widest_cover_what_all_cover(some: list[str], known: list[str], topic: str) -> None:
    widest = widest_of(some, known)
    assert set(widest) <= set(some)
    if any(topic_matches(one, topic) for one in some):
        assert any(topic_matches(one, topic) for one in (*widest, *known))
    assert not any(filter_covers(one, other) for one in widest for other in widest if one != other)


@given(st.lists(filters, unique=True, max_size=6))
def test_filters_that_have_nothing_in_common_need_no_look(some: list[str]) -> None:
    numbers = {one: n for n, one in enumerate(some, start=1)}
    found = overlapping(numbers)
    for one in some:
        shared = any(filters_overlap(one, other) for other in some if other != one)
        assert (one in found) == shared
