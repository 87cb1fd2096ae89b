"""Cursors."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.web.paging import decode, encode

NUMBERS = st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(NUMBERS, TEXTS)
def test_a_cursor_comes_back(number: int, text: str) -> None:
    cursor = encode((number, text))
    assert decode(cursor, int, str) == (number, text)
    assert cursor.replace("-", "").replace("_", "").isalnum()


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "a",
        "é",
        b64("{}"),
        b64("[]"),
        b64("[1,2]"),
        b64('["1"]'),
        b64("[true]"),
        b64("[1.0]"),
        b64("[null]"),
        b64(f"[{2**63}]"),
        b64("[" * 1500),
        encode((1,)) + "=x",
    ],
)
def test_what_is_no_cursor_of_a_list_by_number(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(cursor, int)
    assert caught.value.slug == "invalid_cursor"


@pytest.mark.parametrize("text", ['["a\\u0000"]', '["\\ud800"]', "[1]"])
def test_what_is_no_cursor_of_a_list_by_name(text: str) -> None:
    with pytest.raises(Invalid):
        decode(b64(text), str)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_one_error(text: str) -> None:
    try:
        decode(text, int, str, str, str)
    except Invalid:
        return
