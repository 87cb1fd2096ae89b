"""What every command shares: the common options and the session.

``command`` declares a verb. Its function takes a ``Session`` first and its own options after;
``--data-dir``, ``--json``, ``--debug`` and ``--no-color`` are added, so they are understood
after the verb as well as before the noun. What the function returns is the exit code (``None``
is 0). Nothing heavy is imported here, because scripts pay for every import on each call.
"""

from __future__ import annotations

import functools
import getpass
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mooring.cli.output import Output
from mooring.cli.quick import Group
from mooring.cli.quick import Verb as QuickVerb
from mooring.errors import Invalid, NotFound
from mooring.later import later

with later():
    from mooring import app as mooring_app
    from mooring import settings
    from mooring.identity import actor as access_actor

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.settings import Origin, Settings

__all__ = ["GLOBAL_OPTIONS", "Globals", "Session", "command", "is_on_disk", "noun", "verbs"]

Verb = TypeVar("Verb", bound=Callable[..., int | None])

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory. Default: .mooring")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="Disable colours.")]

GLOBAL_OPTIONS: dict[str, tuple[Any, Any]] = {
    "data_dir": (DataDir, None),
    "json": (Json, False),
    "debug": (Debug, False),
    "no_color": (NoColor, False),
}


@dataclass(frozen=True, slots=True)
class Globals:
    """The options that every command accepts."""

    data_dir: Path | None = None
    json: bool = False
    debug: bool = False
    no_color: bool = False

    def over(self, outer: Globals) -> Globals:
        """These options where given, otherwise the outer ones."""
        return Globals(
            self.data_dir or outer.data_dir,
            self.json or outer.json,
            self.debug or outer.debug,
            self.no_color or outer.no_color,
        )


class Session:
    """One run of one command: its output, its actor and the platform."""

    def __init__(self, options: Globals) -> None:
        self.options = options
        self.out = Output(as_json=options.json, color=not options.no_color)

    @functools.cached_property
    def actor(self) -> access_actor.Actor:
        """A user who can read the data directory has administrator rights."""
        return access_actor.Actor(f"cli:{_login_name()}", access_actor.Role.ADMIN, None, "local")

    def flags(self, **flags: Any) -> dict[str, Any]:
        """Settings given on the command line, for ``settings.load``."""
        given = {"data_dir": self.options.data_dir, **flags}
        return {name: value for name, value in given.items() if value not in (None, ())}

    def settings(self, **flags: Any) -> tuple[Settings, dict[str, Origin]]:

        return settings.load(self.flags(**flags))

    @contextmanager
    def open(self, *, upgrade: bool = False, **flags: Any) -> Iterator[App]:
        """The platform's parts for this command.

        Args:
            upgrade: create or migrate the database first.
            flags: settings given on the command line.

        Raises:
            NotFound: the data directory was never set up.
        """

        settings, _ = self.settings(**flags)
        if not upgrade and is_on_disk(settings) and not settings.sqlite_path.exists():
            raise NotFound(
                f"No Mooring installation was found in {settings.data_dir}.",
                hint="Run `mooring up` to create one, or set the directory with --data-dir or "
                "MOORING_DATA_DIR.",
                code="not_set_up",
            )
        with mooring_app.open_app(settings, upgrade=upgrade) as app:
            yield app

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Asks before an action that cannot be undone.

        Raises:
            Invalid: there is no terminal and ``--yes`` was not given.
        """
        if yes:
            return True
        if self.options.json or not sys.stdin.isatty():
            raise Invalid(
                "This needs confirmation. Nothing was done.",
                hint="Use --yes to proceed without confirmation.",
                code="confirmation_needed",
            )
        return typer.confirm(question, err=True)


def command(app: typer.Typer, name: str | None = None, **options: Any) -> Callable[[Verb], Verb]:
    """Declares a command of ``app`` whose function takes a ``Session`` first."""

    def declare(verb: Verb) -> Verb:
        own = inspect.signature(verb, eval_str=True)
        _, *parameters = own.parameters.values()
        added = [
            inspect.Parameter(
                word, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for word, (annotation, default) in GLOBAL_OPTIONS.items()
        ]
        context = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )

        def run(context: typer.Context, **given: Any) -> int | None:
            here = Globals(**{word: given.pop(word) for word in GLOBAL_OPTIONS})
            outer = context.find_root().obj
            session = Session(here.over(outer) if isinstance(outer, Globals) else here)
            return verb(session, **given)

        run.__name__ = verb.__name__
        run.__doc__ = verb.__doc__
        signature = own.replace(
            parameters=[context, *(_keyword(p) for p in parameters), *added],
            return_annotation=inspect.Signature.empty,
        )
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        app.command(name, cls=QuickVerb, **options)(run)
        return verb

    return declare


def noun(help_text: str) -> typer.Typer:
    """A group of verbs; without a verb it prints its help."""
    app = typer.Typer(
        cls=Group,
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        invoke_without_command=True,
    )

    @app.callback()
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help(), err=True)
            raise typer.Exit(2)

    return app


def verbs() -> typer.Typer:
    """The holder of commands that follow ``mooring`` directly."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def is_on_disk(settings: Settings) -> bool:
    """Whether the database is the SQLite file in the data directory."""
    return settings.database_url is None or not settings.database_url.get_secret_value()


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _login_name() -> str:

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        return str(os.getuid())
