"""The command line: nouns, verbs, and the conversion of errors to messages."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring import __version__
from mooring.cli.complaint import complaint_of
from mooring.cli.frame import DataDir, Debug, Globals, Json, NoColor
from mooring.cli.nouns import NOUNS, Commands
from mooring.cli.output import write_anything
from mooring.cli.quick import Group
from mooring.handover import Fork
from mooring.leaving import leave

__all__ = ["app", "main"]


class Root(Group):
    """``mooring`` itself: runs a command and exits with its code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands(NOUNS)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(
                args=words,
                prog_name="mooring",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except Exception as error:  # noqa: BLE001 - the last stop: it becomes a sentence
            if "--debug" in words:
                traceback.print_exception(error)
            complaint = complaint_of(error, _data_dir(words))
            complaint.show(as_json="--json" in words)
            code = complaint.exit_code
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=Root,
    help="Mooring: a secured MQTT platform for fleets of devices.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mooring {__version__}")
        raise typer.Exit


@app.callback()
def mooring(
    context: typer.Context,
    *,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
    no_color: NoColor = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    context.obj = Globals(data_dir, json, debug, no_color)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def _data_dir(words: Sequence[str]) -> Path:
    """Where the details of an error are written, even for an invalid command line."""
    for index, word in enumerate(words):
        if word == "--data-dir" and index + 1 < len(words):
            return Path(words[index + 1])
        if word.startswith("--data-dir="):
            return Path(word.partition("=")[2])
    return Path(os.environ.get("MOORING_DATA_DIR") or ".mooring")


def main() -> None:
    """The program ``mooring``."""
    write_anything()
    try:
        app()
    except Fork as fork:
        sys.argv[1:] = fork.words
    except SystemExit as end:
        leave(end)
    try:
        app()  # out here nothing of the parent's command is on the stack
    except SystemExit as end:
        leave(end)
