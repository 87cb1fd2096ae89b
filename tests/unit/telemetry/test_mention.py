"""A payload that holds a metric is never passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.meaning import flatten
from mooring.telemetry.mention import mentions

Keys = st.one_of(st.text(max_size=6), st.sampled_from(["a", "a.b", "0", "gps", "lat", '"', "é"]))
Bodies = st.recursive(
    st.one_of(st.integers(), st.text(max_size=5), st.booleans()),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(Keys, below, max_size=4)),
    max_leaves=12,
)


@given(Bodies.filter(lambda body: isinstance(body, dict | list)), st.booleans())
def test_every_metric_of_a_payload_is_mentioned(body: Any, ascii_only: bool) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only)
    for metric in flatten(body)[0]:
        assert mentions(text, metric), (text, metric)


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ("temperature", True),
        ("gps.lat", True),
        ("x.y", True),
        ("list.1", True),
        ("absent", False),
        ("e", False),
        ("temp", False),
        ("gps.lon", False),
    ],
)
def test_others_are_passed_over(metric: str, found: bool) -> None:
    text = '{"temperature":1,"gps":{"lat":2},"x.y":3,"list":[1,2],"word":"e lon"}'
    assert mentions(text, metric) is found
