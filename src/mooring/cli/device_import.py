"""``mooring device import``: many devices from a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.asking import told
from mooring.cli.frame import Session, command
from mooring.cli.words import Yes
from mooring.errors import Conflict, Invalid, NotFound, Unavailable
from mooring.later import later

with later():
    from mooring.bulk import model as bulk_model
    from mooring.bulk import service as bulk_service
    from mooring.bulk import sheet

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.bulk.model import Wrong

__all__ = ["announced", "declare", "new_private_file", "read_table", "wait_for_all"]

SHOWN_MOST = 20
APPLY_SECONDS = 120.0


def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file of devices.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file for the credentials (mode 0600)."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", "-d", help="Dialect of lines that name none.")
    ] = None,
    tenant: Annotated[
        str, typer.Option("--tenant", help="Tenant of lines that name none.")
    ] = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every line without adding devices.")
    ] = False,
    yes: Yes = False,
) -> int | None:
    """Add all devices of a CSV file, or none, and write their credentials to a file."""
    if output is None and not dry_run:
        raise Invalid(
            "No output file for the passwords was given.",
            hint="Use --output FILE. They are not shown anywhere else.",
            code="no_output",
        )
    if output is not None and output.exists():
        raise Conflict(
            f"{output} already exists.", hint="Choose another file name.", code="file_exists"
        )
    rows, wrong = sheet.parse(read_table(file), dialect=dialect, tenant=tenant)
    with session.open() as platform:
        entries = [bulk_model.Entry(row.line, row.device) for row in rows]
        with session.out.progress("checking", len(entries)) as progress:
            checked, more = platform.bulk.check(session.actor, entries, progress)
        _refuse_wrong([*wrong, *more], file)
        if dry_run or not checked:
            if session.out.as_json:
                session.out.document({"devices": len(checked), "added": 0})
            else:
                session.out.say(f"{len(checked)} devices can be added. Nothing was added.")
            return None
        if len(checked) > bulk_service.FEW and not announced(
            session, platform, len(checked), yes=yes
        ):
            return 1
        assert output is not None
        with session.out.progress("passwords", len(checked)) as progress:
            checked, secrets = platform.bulk.new_passwords(checked, progress)
        # Before the commit: a password that only the broker knows would be lost.
        with new_private_file(output) as write:
            write(sheet.render(secrets))
            changes = platform.bulk.store(
                session.actor, checked, secrets=secrets, reason=f"import of {file.name}"
            )
        applied = wait_for_all(session, platform, changes)
    if session.out.as_json:
        session.out.document(
            {
                "devices": len(checked),
                "added": len(checked),
                "file": str(output),
                "accepted_by_broker": applied,
            }
        )
        return None
    session.out.say(
        f"{len(checked)} devices added. Their credentials are in {output}. "
        + (
            "The broker accepts them."
            if applied
            else "The broker applies the changes when it runs."
        )
    )
    return None


def declare(app: typer.Typer) -> None:
    """Adds the command to the noun."""
    command(app, "import")(import_)


def read_table(file: Path) -> str:
    """The text of the file.

    Raises:
        NotFound: it cannot be read.
        Invalid: it is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as exc:
        raise NotFound(
            f"{file} cannot be read: {exc.strerror}.", hint="Check the path.", code="no_file"
        ) from exc
    except UnicodeDecodeError as exc:
        raise Invalid(
            f"{file} is not UTF-8 text.", hint="Save it as CSV in UTF-8.", code="not_text"
        ) from exc


def _refuse_wrong(wrong: list[Wrong], file: Path) -> None:
    """Raises ``Invalid`` with the first invalid lines, if there are any."""
    if not wrong:
        return
    shown = sorted(wrong, key=lambda one: one.line)
    lines = "\n".join(str(one) for one in shown[:SHOWN_MOST])
    rest = f"\nThere are {len(wrong) - SHOWN_MOST} more." if len(wrong) > SHOWN_MOST else ""
    raise Invalid(
        f"{len(wrong)} lines of {file} are invalid. Nothing was added.\n{lines}{rest}",
        hint="Correct them and try again. `--dry-run` checks without adding.",
        code="wrong_lines",
        lines=[{"line": one.line, "why": one.why} for one in shown],
    )


def announced(session: Session, platform: App, number: int, *, yes: bool) -> bool:
    if platform.settings.authority == "plugin":
        return True  # nothing restarts and nothing is reloaded
    if platform.settings.authority == "dynamic_security":
        session.out.note(
            f"Adding {number} devices restarts the broker once. All devices are disconnected and "
            f"reconnect."
        )
        if not session.confirm(f"Add {number} devices now?", yes=yes):
            session.out.note("Nothing was added.")
            return False
    else:
        session.out.note(f"Adding {number} devices makes the broker reload its files once.")
    return True


def wait_for_all(session: Session, platform: App, changes: list[int]) -> bool:
    """Waits until the broker has applied all changes, if a running process applies them."""
    session.out.note("Waiting for the broker …")
    return told(platform, changes, APPLY_SECONDS)


@contextmanager
def new_private_file(path: Path) -> Iterator[Callable[[str], None]]:
    """Gives a function that writes the file; it has its own name when the block ends well.

    Until then it is complete under another name: what it holds is not lost when the process
    ends between the commit that follows and the renaming.

    Raises:
        Unavailable: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")

    def write(text: str) -> None:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise Unavailable(f"{part} cannot be written: {exc.strerror}.") from exc
    try:
        yield write
    except Exception:  # not Ctrl-C: what was written may be in force already
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
