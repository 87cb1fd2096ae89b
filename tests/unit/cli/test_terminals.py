"""What devices and people chose, on terminals of every kind."""

from __future__ import annotations

import io
import json
import sys

import pytest

from mooring.cli import export, telemetry
from mooring.cli.output import Output, write_anything
from mooring.telemetry.model import Point, Reading


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_a_label_that_the_terminal_cannot_show(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    write_anything()
    Output().table(["Label"], [["Küche \N{SNOWMAN} \N{PARTY POPPER}"]])
    Output(as_json=True).document({"label": "\N{PARTY POPPER}"})
    lines = written.getvalue().decode(encoding).splitlines()
    assert "che" in lines[1]
    assert json.loads(lines[2]) == {"label": "\N{PARTY POPPER}"}


def test_an_export_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    shown = export._for_a_terminal("a,\x1b[2Jb,\x9b1m,\u202ec\r\nd,\N{PARTY POPPER}\r\n".encode())
    assert shown == b"a,\\x1b[2Jb,\\x9b1m,\\u202ec\nd,\\U0001f389\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_values_as_csv_cannot_steer_a_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file keeps what was said."""
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", written)
    values = {"label": "\x1b[2Jx", "\x9b1m": 1}
    telemetry._write_csv(None, [Reading("status", "status", 1, 2, "device", values, {})], [])
    telemetry._write_csv("\x1b]0;x", [], [Point(1, "\u202eevil", "status", 2, "device")])
    steering = {"\x1b", "\x9b", "\u202e"} & set(written.getvalue())
    assert bool(steering) is not terminal
