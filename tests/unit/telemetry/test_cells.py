"""Nothing in an export begins a formula, and numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.telemetry.cells import safe_cell
from mooring.telemetry.export import _csv


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("=1+1", "'=1+1"),
        ("=HYPERLINK(A1)", "'=HYPERLINK(A1)"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\n-5", "'\n-5"),
        ("-5", "-5"),
        ("-1.5e3", "-1.5e3"),
        ("+7", "+7"),
        (-5, -5),
        (None, None),
        ('{"a":"=1"}', '{"a":"=1"}'),
        ("", ""),
    ],
)
def test_a_cell(value: object, found: object) -> None:
    assert safe_cell(value) == found


@given(st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False)), min_size=1))
def test_no_cell_of_a_file_begins_a_formula(row: list[object]) -> None:
    (cells,) = list(csv.reader(io.StringIO(_csv([row]).decode(), newline="")))[:1] or [[]]
    for cell in cells:
        if cell.startswith(("=", "@", "\t", "\r", "\n", "+", "-")):
            float(cell)
