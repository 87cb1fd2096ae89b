"""Which CA a device says it relies on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.wiring.sightings import reported


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, []),
        ("not json", []),
        ("[]", []),
        ('{"firmware":"1.4.0"}', []),
        ('{"ca":"AB:CD"}', ["AB:CD"]),
        ('{"ca":"one two"}', ["one", "two"]),
        ('{"ca":["one"]}', []),
        ('{"ca":{"sha256":"one"}}', []),
        ('{"ca":7}', []),
        ('{"ca":""}', []),
    ],
)
def test_reported(metadata: str | None, said: list[str]) -> None:
    assert reported(metadata) == said


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | st.dictionaries(st.just("ca"), _JSON).map(json.dumps))
def test_whatever_a_device_sends_is_a_list_of_words(metadata: str) -> None:
    assert all(isinstance(word, str) and word for word in reported(metadata))
