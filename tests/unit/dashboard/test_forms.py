"""What is typed: mistakes are said at the field, and an address never fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dashboard.forms import Form, FormInvalid, Query, row_number

PAIRS = st.lists(st.tuples(st.sampled_from(["a", "b", "n"]), st.text(max_size=400)))


@given(PAIRS)
def test_a_query_never_fails(pairs: list[tuple[str, str]]) -> None:
    query = Query(pairs)
    assert len(query.text("a")) <= 300
    assert 1 <= query.number("n", 5, ge=1, le=9) <= 9
    assert query.choice("b", ["x", "y"]) in {"", "x", "y"}
    assert query.with_(a="1", b=None).startswith("?")
    assert len(query.many("a")) <= 50
    query.flag("b")


@given(PAIRS)
def test_a_form_keeps_what_was_typed(pairs: list[tuple[str, str]]) -> None:
    form = Form(pairs)
    assert Form.held(form.encoded()).pairs == form.pairs


def test_mistakes_are_collected() -> None:
    form = Form(
        [("name", " "), ("days", "5x"), ("kind", "z"), ("note", "a\x07"), ("long", "x" * 9)]
    )
    form.text("name", "Name", needed=True)
    form.number("days", "Days", ge=1, le=30)
    form.choice("kind", "Kind", ("a", "b"))
    form.text("note", "Note")
    form.text("long", "Long", max=5)
    form.confirmed("confirm", "pump-1")
    with pytest.raises(FormInvalid) as found:
        form.check()
    assert found.value.fields == {
        "name": "Name is missing.",
        "days": "'5x' is not valid. Use a whole number from 1 to 30.",
        "kind": "Kind: select one of a, b.",
        "note": "Note contains control characters. Remove them.",
        "long": "Long has 9 characters. The maximum is 5.",
        "confirm": "Type pump-1 to confirm.",
    }


@pytest.mark.parametrize("digits", [19, 400, 5000])
def test_a_whole_number_of_many_digits_is_wrong_at_its_field(digits: int) -> None:
    form = Form([("n", "9" * digits)])
    form.number("n", "N", ge=1, le=2**53)
    assert "n" in form.wrong
    assert row_number("9" * digits) is None and row_number("9" * 18) == 10**18 - 1


@pytest.mark.parametrize("text", ["nan", "inf", "1e400", "-1", "31", "", "１"])
def test_numbers_out_of_bounds(text: str) -> None:
    form = Form([("n", text)])
    found = form.number("n", "N", ge=0, le=30, whole=False)
    assert form.wrong or 0 <= found <= 30
