"""``mooring telemetry export``: messages to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.frame import Session, command
from mooring.cli.output import clean
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.store import engine
    from mooring.telemetry import export as telemetry_export
    from mooring.telemetry import when

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.telemetry.export import Record

__all__ = ["declare"]


class FormatWord(StrEnum):
    """``mooring.telemetry.export.FileFormat`` as an option value."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def export(
    session: Session,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
        ),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Include every device.")] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Include every device of this tenant.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Start time (inclusive): -1h, today, 2026-02-13T12:00Z."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End time (exclusive).")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only this channel. Needs one device.")
    ] = None,
    file_format: Annotated[
        FormatWord, typer.Option("--format", help="File format.")
    ] = FormatWord.CSV,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file. Default: standard output."),
    ] = None,
) -> None:
    """Write stored messages to a file."""
    if [reference is not None, everything, tenant is not None].count(True) != 1:
        raise Invalid(
            "No device was selected.",
            hint="Use `mooring telemetry export DEVICE`, --tenant NAME, or --all.",
            code="usage",
        )
    if output is None and (session.out.as_json or file_format is FormatWord.PARQUET):
        raise Invalid("This format needs an output file.", hint="Use --output FILE.", code="usage")
    now = engine.now_ms()
    span = (
        when.parse_when(start, now) if start else 0,
        when.parse_when(end, now) if end else when.LATEST_MS,
    )
    with session.open() as platform:
        if reference is not None:
            device = platform.devices.get(session.actor, reference)
            pages = platform.exports.of_device(session.actor, device, *span, channel=channel)
        else:
            pages = platform.exports.of_many(session.actor, *span, tenant=tenant)
        written = _write(session, platform, pages, file_format, output)
    if session.out.as_json:
        session.out.document({"messages": written, "file": str(output)})
    else:
        session.out.note(f"{written} messages.")


def _write(
    session: Session,
    platform: App,
    pages: Iterator[list[Record]],
    file_format: FormatWord,
    output: Path | None,
) -> int:

    written = 0
    with ExitStack() as stack:
        report = stack.enter_context(session.out.count("Exporting", "messages"))

        def counted() -> Iterator[list[Record]]:
            nonlocal written
            for page in pages:
                yield page
                written += len(page)
                report(written)

        file: Any = sys.stdout.buffer
        shown: Callable[[bytes], bytes] = bytes
        if output is None and sys.stdout.isatty():
            shown = _for_a_terminal
        if output is not None:
            file = stack.enter_context(_created(output))
        if file_format is FormatWord.PARQUET:
            platform.exports.parquet(counted(), file)
        else:
            for piece in platform.exports.text(counted(), telemetry_export.FileFormat(file_format)):
                file.write(shown(piece))
            file.flush()
    return written


def _for_a_terminal(piece: bytes) -> bytes:
    """Replaces control characters on a terminal; a file or pipe gets the original."""
    lines = piece.decode().splitlines(keepends=True)
    text = "".join(clean(line.rstrip("\r\n")) + "\n" for line in lines)
    return text.encode(sys.stdout.encoding, "backslashreplace")


def _created(path: Path) -> Any:
    try:
        return path.open("wb")
    except OSError as exc:
        raise Invalid(
            f"The file {path} cannot be written: {exc.strerror}.", hint="Choose another file."
        ) from exc


def declare(app: typer.Typer) -> None:
    """Adds the command to ``mooring telemetry``."""
    command(app, "export")(export)
