"""Times, tables and lengths of time as people read and write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cli.output import Output, ago, clean, iso, plain_table
from mooring.durations import seconds_of
from mooring.errors import Invalid

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (0.9, "now"),
        (1, "1 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (172_799, "47 h ago"),
        (172_800, "2 days ago"),
        (-0.5, "now"),
        (-90, "in 90 s"),
        (-200_000, "in 2 days"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(NOW - int(seconds * 1000), NOW) == text


def test_no_time_at_all() -> None:
    assert ago(None) == "never"
    assert iso(None) is None
    assert iso(NOW) == "2026-09-21T14:13:20.000Z"


def test_a_plain_table_is_aligned() -> None:
    text = plain_table(["Name", "Count"], [["a", "1"], ["longer", "12345"]], frozenset({"Count"}))
    assert text == "NAME    COUNT\na           1\nlonger  12345"


@given(st.text())
def test_nothing_a_device_says_can_steer_a_terminal(text: str) -> None:
    shown = clean(text)
    assert all(character.isprintable() or ord(character) > 127 for character in shown)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\n" not in shown


def test_ordinary_text_is_left_alone() -> None:
    assert clean("Küche 3 – 21,5 °C 温度") == "Küche 3 – 21,5 °C 温度"
    assert clean(None) == ""


def test_a_terminal_gets_a_drawn_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    Output().table(["Name"], [["[red]a[/red]"]])
    out = capsys.readouterr().out
    assert "[red]a[/red]" in out  # what a device says is no markup
    assert "─" in out


def test_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=True)
    out.note("beside it")
    with out.progress("Work", 3) as report:
        report(3)
    out.document({"a": "ü"})
    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": "ü"}
    assert "ü" in said.out
    assert said.err == ""


def test_progress_in_a_pipe_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.cli.output.PROGRESS_LINE_SECONDS", 0.0)
    with Output().progress("Adding devices", 3) as report:
        report(2)
    assert capsys.readouterr().err == "Adding devices: 2 of 3\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1.5h", 5400), ("90d", 7_776_000), ("10", 10), (" 2 min ", 120)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0s", "-5s", "5 parsecs", "1e3s", "5s5s", "٣s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(Invalid, match="is not a valid duration"):
        seconds_of(text)
