"""``mooring dialect``: the declarations of fleets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring import __version__
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import clean
from mooring.errors import InvalidDialect
from mooring.later import later

with later():
    from mooring import dialects
    from mooring.audit import log as audit_log
    from mooring.broker import address as broker_place
    from mooring.dialects import asyncapi as dialects_asyncapi
    from mooring.dialects import capability as dialects_capability
    from mooring.dialects import documents
    from mooring.ingest import following
    from mooring.store import versions

if TYPE_CHECKING:
    from mooring.dialects import Catalogue, Dialect
    from mooring.errors import InvalidDialect

__all__ = ["app"]

app = noun("Dialects: channels, usernames and payload shapes of fleets.")

BROKEN = 2
FOLLOW_SECONDS = 10.0  # for every process to use them

Name = Annotated[str, typer.Argument(metavar="DIALECT", help="Name of the dialect.")]


@command(app, "list")
def list_(session: Session) -> None:
    """List all dialects, included ones and yours."""
    catalogue = _catalogue(session)
    if session.out.as_json:
        session.out.document(
            {
                "dialects": [_document(d) for d in catalogue.all()],
                "broken": _broken_document(catalogue),
            }
        )
        return
    _print_dialects(session, catalogue)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show a dialect with its channels, username and client ID."""
    dialect = _catalogue(session).get(name)
    if session.out.as_json:
        session.out.document(_document(dialect))
        return
    session.out.facts(
        [
            ("dialect", dialect.name),
            ("title", dialect.title),
            *([("about", dialect.description)] if dialect.description else []),
            ("username", dialect.username),
            ("client id", dialect.client_id + ("" if dialect.client_id_fixed else ", not fixed")),
            ("tenant", "in its topics" if dialect.tenanted else "not in its topics"),
            ("MAC address", "needed" if dialect.needs_mac else "not needed"),
            ("from", dialect.source),
            *dialects_capability.lines(dialects_capability.capabilities(dialect)),
        ]
    )
    session.out.say()
    session.out.table(
        ["Channel", "Direction", "Kind", "QoS", "Retain", "Topic"],
        [
            [c.name, c.direction, c.kind, c.qos, "yes" if c.retain else "", c.topic]
            for c in dialect.channels
        ],
    )


@command(app, "check")
def check(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Dialect files.")],
) -> int:
    """Report all mistakes in dialect files. Exit code 2 if there are any."""
    results: list[dict[str, Any]] = []
    for file in files:
        try:
            dialect = dialects.load_file(file)
        except InvalidDialect as error:
            results.append({"file": str(file), "ok": False, **_mistakes(error)})
            if not session.out.as_json:
                _print_mistakes(session, file, error)
        else:
            results.append({"file": str(file), "ok": True, "dialect": dialect.name})
            if not session.out.as_json:
                size = len(dialect.channels)
                session.out.say(
                    f"{clean(file)} is valid: dialect {dialect.name} with "
                    f"{size} {'channel' if size == 1 else 'channels'}."
                )
    if session.out.as_json:
        session.out.document({"files": results})
    return 0 if all(result["ok"] for result in results) else BROKEN


@command(app, "asyncapi")
def asyncapi(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DIALECT]...", help="Names of the dialects. Default: all."),
    ] = None,
) -> None:
    """Print dialects as one AsyncAPI 3 document."""
    settings, _ = session.settings()
    address = broker_place.broker_address(settings)
    catalogue = _catalogue(session)
    wanted = [catalogue.get(name) for name in names] if names else catalogue.all()
    url = f"mqtts://{address.network_host}:{address.tls_port}"
    session.out.document(dialects_asyncapi.document(wanted, server_url=url, version=__version__))


@command(app, "reload")
def reload(session: Session) -> int:
    """Reload the dialects of the data directory in running processes, and wait until ingest is
    subscribed to their topics and the broker grants their rights. Exit code 2 if a dialect is
    invalid."""

    with session.open() as platform:
        catalogue = platform.catalogue  # read from the directory just now
        with platform.database.write() as connection:
            versions.bump(connection, "dialects")
            audit_log.record(
                connection, session.actor, "dialect.reload", str(platform.settings.dialects_dir)
            )
        followed = following.wait_followed(platform.database, FOLLOW_SECONDS)
    if not followed:
        session.out.note(
            f"After {FOLLOW_SECONDS:g} s not every process uses the new dialects. "
            "They are applied as soon as possible. See `mooring status`."
        )
    if session.out.as_json:
        session.out.document(
            {
                "followed": followed,
                "dialects": [_document(d) for d in catalogue.all()],
                "broken": _broken_document(catalogue),
            }
        )
    else:
        _print_dialects(session, catalogue)
    return BROKEN if catalogue.broken else 0


# ---------------------------------------------------------------------- what is printed


def _catalogue(session: Session) -> Catalogue:

    settings, _ = session.settings()
    return dialects.load_all(settings.dialects_dir)


def _print_dialects(session: Session, catalogue: Catalogue) -> None:
    session.out.table(
        ["Dialect", "Channels", "Title", "From"],
        [[d.name, len(d.channels), d.title, d.source] for d in catalogue.all()],
        right=["Channels"],
    )
    for path, error in catalogue.broken.items():
        session.out.note("")
        _print_mistakes(session, path, error)


def _print_mistakes(session: Session, file: Path, error: InvalidDialect) -> None:
    mistakes = error.context["mistakes"]
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    session.out.note(f"{clean(file)} has {count}:")
    for found in mistakes:
        line = f"line {found['line']}: " if found["line"] else ""
        hint = f" {found['hint']}" if found["hint"] else ""
        session.out.note(f"  {line}{clean(found['where'])}: {clean(found['message'] + hint)}")


def _mistakes(error: InvalidDialect) -> dict[str, Any]:
    return {"mistakes": error.context["mistakes"]}


def _broken_document(catalogue: Catalogue) -> list[dict[str, Any]]:
    return [{"file": str(path), **_mistakes(error)} for path, error in catalogue.broken.items()]


def _document(dialect: Dialect) -> dict[str, Any]:
    """As HTTP shows it, with the file on this machine."""
    return {**documents.dialect(dialect), "source": dialect.source}
