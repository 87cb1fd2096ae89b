"""Turns an exception into a message on standard error and an exit code.

One sentence, then what to do. A traceback is shown only with ``--debug``; otherwise it is kept in
a file that the message names.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import typer

from mooring.cli.output import clean
from mooring.errors import MooringError

__all__ = ["INTERRUPTED", "Complaint", "complaint_of", "keep_traceback"]

INTERRUPTED = 130
USAGE = 2


class Complaint:
    """An error message, ready to print."""

    def __init__(
        self, message: str, hint: str, *, code: str, exit_code: int, **context: Any
    ) -> None:
        self.message = message
        self.hint = hint
        self.code = code
        self.exit_code = exit_code
        self.context = context

    def show(self, *, as_json: bool) -> None:
        """On standard error: text, or one JSON document."""
        if as_json:
            error: dict[str, Any] = {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "exit_code": self.exit_code,
            }
            if self.context:
                error["context"] = self.context
            text = json.dumps({"error": error}, ensure_ascii=False, default=str)
        else:
            lines = [*self.message.split("\n"), *self.hint.split("\n")]
            text = "\n".join(clean(line) for line in lines if line)
        print(text, file=sys.stderr, flush=True)


def complaint_of(error: BaseException, data_dir: Path) -> Complaint:
    """The complaint about an exception; keeps the traceback of an unexpected one."""
    if isinstance(error, MooringError):
        return Complaint(
            error.message,
            error.hint,
            code=error.slug,
            exit_code=error.exit_code,
            **error.context,
        )
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, typer.Abort):
        return Complaint("Nothing was done.", "", code="aborted", exit_code=1)
    name = type(error).__name__
    kept = keep_traceback(error, data_dir)
    where = f"The details are in {kept}." if kept else "Run the command again with --debug for "
    "details."
    return Complaint(
        f"An unexpected error occurred ({name}).",
        f"{where} Please report it if it happens again.",
        code="internal",
        exit_code=1,
    )


def keep_traceback(error: BaseException, data_dir: Path) -> Path | None:
    """Appends the traceback to the log directory, for its owner only; ``None`` if it cannot."""
    link: BaseException | None = error
    while link is not None:
        if hasattr(link, "hide_parameters"):
            link.hide_parameters = True  # SQLAlchemy prints a statement's values otherwise
        link = link.__cause__ or link.__context__
    path = data_dir / "logs" / "cli-errors.log"
    try:
        if not data_dir.is_dir():
            return None
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(time.strftime("--- %Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
            file.writelines(traceback.format_exception(error))
    except OSError:
        return None  # the complaint then says to use --debug
    return path


def _usage(error: typer.TyperException) -> Complaint:
    message = " ".join(error.format_message().split())
    if not message.endswith((".", "?")):
        message += "."
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "mooring"
    return Complaint(message, f"See `{path} --help`.", code="usage", exit_code=USAGE)
