"""A table of devices, as spreadsheets save it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.bulk import sheet
from mooring.bulk.model import Wrong
from mooring.bulk.sheet import Row
from mooring.devices.model import Credentials, Device, NewDevice
from mooring.errors import Invalid


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_separator_and_line_ending(separator: str, ending: str, mark: str) -> None:
    lines = [["name", "MAC", "label"], ["trap-1", "AA:BB:CC:DD:EE:01", "In the hall"]]
    text = mark + ending.join(separator.join(cells) for cells in lines) + ending
    rows, wrong = sheet.parse(text, dialect="mousetrap", tenant="acme")
    assert wrong == []
    assert rows == [
        Row(2, NewDevice("trap-1", "mousetrap", "acme", "In the hall", "AA:BB:CC:DD:EE:01"))
    ]


def test_a_line_says_more_than_the_options() -> None:
    text = 'name,dialect,tenant,groups\na,iotflow,one,"north; south"\nb,,,\n'
    rows, wrong = sheet.parse(text, dialect="drivesafe", tenant="two")
    assert wrong == []
    assert [row.device for row in rows] == [
        NewDevice("a", "iotflow", "one", "", None, ("north", "south")),
        NewDevice("b", "drivesafe", "two"),
    ]


def test_lines_that_cannot_be_taken_are_named() -> None:
    text = 'name,dialect\n,drivesafe\nb,\nc,drivesafe,1,2\nd,drivesafe\n\n"e'
    rows, wrong = sheet.parse(text)
    assert [row.device.name for row in rows] == ["d"]
    assert [one.line for one in wrong] == [2, 3, 4, 7]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "device,dialect\nx,y\n", "name,name\na,b\n", "name,colour\na,red\n"]
)
def test_a_heading_is_needed(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        sheet.parse(text)
    assert refused.value.slug == "no_heading"


def test_there_is_an_end() -> None:
    text = "name\n" + "x\n" * (sheet.MOST_ROWS + 1)
    with pytest.raises(Invalid, match="more than"):
        sheet.parse(text, dialect="drivesafe")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rows, wrong = sheet.parse(text, dialect="drivesafe")
    except Invalid:
        return
    assert all(isinstance(row, Row) for row in rows)
    assert all(isinstance(one, Wrong) for one in wrong)


def test_credentials_are_read_back() -> None:
    device = Device(1, "acme", 'a,"b', "", "drivesafe", None, "a", "a", True, 0)
    text = sheet.render([Credentials(device, "secret")])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["device"] == 'a,"b'
    assert row["password"] == "secret"
    assert tuple(row) == sheet.CREDENTIAL_COLUMNS
