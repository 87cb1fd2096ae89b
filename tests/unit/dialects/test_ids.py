"""Words that fill topic levels, and MAC addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import check_text, check_word, normal_mac, topic_matches, valid_topic_name
from mooring.errors import Invalid


@pytest.mark.parametrize(
    "word",
    [
        "d1",
        "ESP32_001",
        "AA:BB:CC:DD:EE:FF",
        "Küche",
        "a b",
        "a$",
        "1",
        "v1.2",
        "100%",
        "é" * 64,
        "x" * 128,
    ],
)
def test_good_words(word: str) -> None:
    check_word(word, "device id")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "is empty"),
        ("a/b", "'/'"),
        ("+", "'+'"),
        ("a#", "'#'"),
        ("{device}", "'{'"),
        ("$SYS", "begins with '$'"),
        (" a", "white space"),
        ("a\n", "white space"),
        ("a\u00a0", "white space"),
        ("a\0b", "U+0000"),
        ("a\x7fb", "U+007F"),
        ("a\x85b", "U+0085"),
        ("a\u2028b", "U+2028"),
        ("a\ud800", "U+D800"),
        (".", "dots"),
        ("..", "dots"),
        ("lamp%c", "%c"),
        ("%u", "%u"),
        ("a\u202eb", "U+202E"),
        ("a\u2066b", "U+2066"),
        ("a\u200bb", "U+200B"),
        ("a\u200db", "U+200D"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00a0b", "U+00A0"),
        ("a\u3164b", "U+3164"),
        ("a\ufe0fb", "U+FE0F"),
        ("a\uffffb", "U+FFFF"),
        ("x" * 129, "129 bytes"),
        ("é" * 65, "130 bytes"),
    ],
)
def test_bad_words(word: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_word(word, "device id")
    assert why in caught.value.message
    assert "device id" in caught.value.message
    caught.value.message.encode()  # can be printed, whatever the word held


@pytest.mark.parametrize("label", ["", "Küche", "👩\u200d🚒", "می\u200cخواهم", "a b"])
def test_good_labels(label: str) -> None:
    check_text(label, "label")


@pytest.mark.parametrize("label", ["a\u202eb", "a\x1b[2J", "a\nb", "a\u200bb", "\u2028"])
def test_bad_labels(label: str) -> None:
    with pytest.raises(Invalid, match="label"):
        check_text(label, "label")


@given(st.text(max_size=12))
def test_an_accepted_word_is_one_level_and_nothing_else(word: str) -> None:
    try:
        check_word(word, "id")
    except Invalid:
        return
    assert valid_topic_name(f"a/{word}/b")
    assert topic_matches("a/+/b", f"a/{word}/b")
    assert topic_matches("+/b", f"{word}/b")


@pytest.mark.parametrize(
    "written",
    [
        "AA:BB:CC:0D:EE:FF",
        "aa-bb-cc-0d-ee-ff",
        "aabb.cc0d.eeff",
        "AABBCC0DEEFF",
        " aa bb cc 0d ee ff ",
    ],
)
def test_macs_of_every_style(written: str) -> None:
    assert normal_mac(written) == "aabbcc0deeff"


@pytest.mark.parametrize(
    "written",
    ["", "aa:bb:cc:dd:ee", "aa:bb-cc:dd:ee:ff", "gg:bb:cc:dd:ee:ff", "aabbccddeeff0", "ａ" * 12],
)
def test_no_macs(written: str) -> None:
    with pytest.raises(Invalid):
        normal_mac(written)
