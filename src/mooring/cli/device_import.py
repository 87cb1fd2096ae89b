"""``mooring device import``: many devices from a table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command
from mooring.cli.words import Yes
from mooring.errors import Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.bulk.sheet import Wrong

__all__ = ["declare", "read_table", "refuse_wrong", "wait_for_all"]

SHOWN_MOST = 20
APPLY_SECONDS = 120.0


def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV table of devices.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where credentials are written (0600).")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", "-d", help="For lines that name none.")
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", help="The same.")] = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every line and add nothing.")
    ] = False,
    yes: Yes = False,
) -> int | None:
    """Add every device of a CSV table, or none, and write their credentials to a file."""
    from mooring.bulk import sheet  # noqa: PLC0415 - start-up time
    from mooring.bulk.service import FEW, Entry  # noqa: PLC0415

    if output is None and not dry_run:
        raise Invalid(
            "Nothing says where the passwords are to go.",
            hint="Give --output FILE; they are shown nowhere else.",
            code="no_output",
        )
    if output is not None and output.exists():
        raise Invalid(f"{output} exists.", hint="Name a file that does not.", code="file_exists")
    rows, wrong = sheet.parse(read_table(file), dialect=dialect, tenant=tenant)
    with session.open() as platform:
        entries = [Entry(row.line, row.device) for row in rows]
        with session.out.progress("checking", len(entries)) as told:
            checked, more = platform.bulk.check(session.actor, entries, told)
        refuse_wrong([*wrong, *more], file)
        if dry_run or not checked:
            if session.out.as_json:
                session.out.document({"devices": len(checked), "added": 0})
            else:
                session.out.say(f"{len(checked)} devices can be added. Nothing was.")
            return None
        if len(checked) > FEW and not _announced(session, platform, len(checked), yes=yes):
            return 1
        assert output is not None
        with session.out.progress("passwords", len(checked)) as told:
            checked, secrets = platform.bulk.new_passwords(checked, told)
        # Before the commit: a password that only the broker knows would be lost.
        with _safe_file(output, sheet.render(secrets)):
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
        f"{len(checked)} devices are added; their credentials are in {output}. "
        + ("The broker accepts them." if applied else "The broker learns of them when it runs.")
    )
    return None


def declare(app: typer.Typer) -> None:
    """Adds the command to the noun."""
    command(app, "import")(import_)


def read_table(file: Path) -> str:
    """The text of a file somebody named.

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


def refuse_wrong(wrong: list[Wrong], file: Path) -> None:
    """Raises ``Invalid`` with the first lines that cannot be taken, if there are any."""
    if not wrong:
        return
    shown = sorted(wrong, key=lambda one: one.line)
    lines = "\n".join(str(one) for one in shown[:SHOWN_MOST])
    rest = f"\nThere are {len(wrong) - SHOWN_MOST} more." if len(wrong) > SHOWN_MOST else ""
    raise Invalid(
        f"{len(wrong)} lines of {file} cannot be taken; nothing was added.\n{lines}{rest}",
        hint="Correct them and try again; `--dry-run` checks without adding.",
        code="wrong_lines",
        lines=[{"line": one.line, "why": one.why} for one in shown],
    )


def _announced(session: Session, platform: App, number: int, *, yes: bool) -> bool:
    if platform.settings.auth_mode == "dynamic_security":
        session.out.note(
            f"To take over {number} devices at once the broker restarts once: every device is "
            "disconnected and connects again."
        )
        if not session.confirm(f"Add {number} devices now?", yes=yes):
            session.out.note("Nothing was added.")
            return False
    else:
        session.out.note(f"To take over {number} devices the broker reloads its files once.")
    return True


def wait_for_all(session: Session, platform: App, changes: list[int]) -> bool:
    """Waits until the broker has taken everything over, where something runs that tells it."""
    from mooring.access.waiting import wait_applied  # noqa: PLC0415 - start-up time
    from mooring.cli.asking import is_up  # noqa: PLC0415

    if not is_up(platform):
        return False
    session.out.note("Waiting for the broker …")
    return wait_applied(platform.database, changes, APPLY_SECONDS)


class _safe_file:  # noqa: N801 - used like a function
    """The file is complete under another name before the block, and has its own after it."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise Unavailable(f"{self._part} cannot be written: {exc.strerror}.") from exc

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()
