"""Claim codes as text: made, typed, stored; and names made from hardware ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.credentials.claims import code
from mooring.dialects import check_word
from mooring.errors import Invalid


def test_the_alphabet_has_nothing_that_looks_alike() -> None:
    assert len(set(code.ALPHABET)) == 32
    assert not set("0O1I") & set(code.ALPHABET)


def test_a_new_code_is_read_back_however_it_is_typed() -> None:
    made = code.new()
    assert len(made) == code.LENGTH
    for typed in (made, made.lower(), code.shown(made), f" {code.shown(made).lower()} "):
        assert code.read(typed) == made


@pytest.mark.parametrize(
    "text", ["", "ABCD-234", "ABCD-23456", "ABCD-2340", "ABCD-234O", "ÄBCD-2345", "ABCD_2345"]
)
def test_what_is_no_code(text: str) -> None:
    assert code.read(text) is None


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_none(text: str) -> None:
    found = code.read(text)
    assert found is None or (len(found) == 8 and set(found) <= set(code.ALPHABET))


def test_the_digest_needs_the_key() -> None:
    assert code.digest("ABCD2345", "k1") != code.digest("ABCD2345", "k2")
    assert "ABCD" not in code.digest("ABCD2345", "k1").upper()


@pytest.mark.parametrize("written", ["AA:BB:CC:DD:EE:FF", "aabb.ccdd.eeff", "aa-bb-cc-dd-ee-ff"])
def test_one_address_however_it_is_written(written: str) -> None:
    assert code.hardware_key(written) == "aabbccddeeff"
    assert code.device_name(written) == "aabbccddeeff"


def test_serial_numbers() -> None:
    assert code.hardware_key(" SN-42 ") == code.hardware_key("sn-42")
    assert code.device_name("SN/42 +x") == "SN-42-x"


@pytest.mark.parametrize("text", ["", "   ", "a\nb", "x" * 129, "a\0b"])
def test_what_is_no_hardware_id(text: str) -> None:
    with pytest.raises(Invalid):
        code.hardware_key(text)


@given(st.text(min_size=1, max_size=128))
def test_a_name_is_safe_in_topics_or_refused(text: str) -> None:
    try:
        name = code.device_name(text)
    except Invalid:
        return
    check_word(name, "device name")
