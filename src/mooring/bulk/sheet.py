"""A table of devices, as a spreadsheet saves it (CSV), to values and back. Pure: text only.

The first line names the columns. ``name`` is needed; the others may be missing or empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mooring.bulk.model import Wrong
from mooring.devices.attributes.model import NAMED
from mooring.devices.attributes.words import read
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import Invalid

__all__ = ["COLUMNS", "CREDENTIAL_COLUMNS", "MOST_ROWS", "Row", "parse", "render"]

COLUMNS = ("name", "dialect", "tenant", "mac", "label", "groups", *NAMED)
FREE = "attribute:"
"""Begins the heading of a column with a free attribute: ``attribute:room``."""

CREDENTIAL_COLUMNS = ("device", "tenant", "dialect", "client_id", "username", "password")

MOST_ROWS = 100_000
"""More in one go would hold the database for too long."""

GROUP_SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Row:
    """One device and the line it is on."""

    line: int
    device: NewDevice


def parse(
    text: str, *, dialect: str | None = None, tenant: str = "default"
) -> tuple[list[Row], list[Wrong]]:
    """Every line: those that can be read, and those that cannot.

    Args:
        text: with a heading; separated by commas, semicolons or tabs.
        dialect: of devices whose line names none.
        tenant: the same.

    Raises:
        Invalid: there is no heading with ``name``, a column is unknown or there twice, or
            there are too many lines.
    """
    text = text.removeprefix("\ufeff")  # spreadsheets write one
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[Row] = []
    wrong: list[Wrong] = []
    columns: Sequence[str] = ()
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _columns(cells)
                continue
            if len(rows) + len(wrong) >= MOST_ROWS:
                raise Invalid(
                    f"The table has more than {MOST_ROWS} devices.",
                    hint="Split it.",
                    code="too_long",
                )
            read = _row(reader.line_num, columns, cells, dialect, tenant)
            (rows if isinstance(read, Row) else wrong).append(read)  # type: ignore[arg-type]
    except csv.Error as exc:
        wrong.append(Wrong(reader.line_num, f"it is not CSV: {exc}."))
    if not columns:
        raise Invalid(
            "The table is empty.",
            hint=f"The first line must name the columns: {','.join(COLUMNS)}.",
            code="no_heading",
        )
    return rows, wrong


def render(credentials: Iterable[Credentials]) -> str:
    """The table for the person who flashes the devices. It holds passwords."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CREDENTIAL_COLUMNS)
    for one in credentials:
        device = one.device
        writer.writerow(
            (
                device.name,
                device.tenant,
                device.dialect,
                device.client_id,
                device.username,
                one.password,
            )
        )
    return out.getvalue()


def _delimiter(text: str) -> str:
    heading = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=heading.count)


def _columns(cells: Sequence[str]) -> list[str]:
    found = [_column(cell.strip()) for cell in cells]
    unknown = [name for name in found if name and name not in COLUMNS and not name.startswith(FREE)]
    if "name" not in found or unknown or len(set(found)) != len(found):
        what = f"has the unknown column {unknown[0]!a}" if unknown else "needs the column name, "
        "and each column once"
        raise Invalid(
            f"The heading {what}.",
            hint=f"The columns are {', '.join(COLUMNS)}, and {FREE}NAME.",
            code="no_heading",
        )
    return found


def _row(
    line: int, columns: Sequence[str], cells: Sequence[str], dialect: str | None, tenant: str
) -> Row | Wrong:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        return Wrong(line, f"it has {len(cells)} cells, the heading {len(columns)}.")
    values = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    speaks = values.get("dialect") or dialect
    if not values.get("name"):
        return Wrong(line, "the device has no name.")
    if not speaks:
        return Wrong(line, "it names no dialect. Use --dialect to set one for all lines.")
    groups = [word.strip() for word in values.get("groups", "").split(GROUP_SEPARATOR)]
    return Row(
        line,
        NewDevice(
            values["name"],
            speaks,
            values.get("tenant") or tenant,
            values.get("label", ""),
            values.get("mac") or None,
            tuple(group for group in groups if group),
            attributes={
                name.removeprefix(FREE): read(name.removeprefix(FREE), value)
                for name, value in values.items()
                if value and (name in NAMED or name.startswith(FREE))
            },
        ),
    )


def _column(cell: str) -> str:
    """A heading in lower case; the name of a free attribute stays as it is written."""
    begins = cell[: len(FREE)].lower() == FREE
    return FREE + cell[len(FREE) :].strip() if begins else cell.lower()
