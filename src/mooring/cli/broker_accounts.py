"""Accounts: import from another broker, export to another broker, credentials file for one "
"device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.asking import told
from mooring.cli.device_import import announced, new_private_file, read_table, wait_for_all
from mooring.cli.frame import Session, command
from mooring.cli.output import clean
from mooring.cli.words import Reason, Yes
from mooring.errors import Conflict, Invalid
from mooring.later import later

with later():
    from mooring.broker import address as broker_place
    from mooring.broker import foreign
    from mooring.bulk import takeover
    from mooring.wiring import export as run_export

if TYPE_CHECKING:
    from mooring.broker.foreign import Takeover
    from mooring.bulk.takeover import Plan
    from mooring.devices.model import Credentials
    from mooring.dialects.snippets import BrokerAddress

__all__ = ["declare"]

SHOWN_MOST = 50


def import_(
    session: Session,
    *,
    dialect: Annotated[str, typer.Option("--dialect", "-d", help="Dialect of its devices.")],
    passwd: Annotated[
        Path | None, typer.Option("--passwd", help="Password file of the other broker.")
    ] = None,
    acl: Annotated[Path | None, typer.Option("--acl", help="ACL file of the other broker.")] = None,
    dynsec: Annotated[
        Path | None,
        typer.Option(
            "--dynsec", help="dynamic-security.json of the other broker, instead of the two files."
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant", help="Tenant that owns the devices. Default: taken from names and topics."
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="USERNAME=DEVICE, USERNAME=user or USERNAME=-. May be repeated."
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="List every account.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the result without changing anything.")
    ] = False,
    yes: Yes = False,
) -> int | None:
    """Import the accounts and passwords of a broker that Mooring did not set up."""
    found = _read(passwd, acl, dynsec)
    with session.open() as platform:
        made = takeover.plan(
            found,
            platform.catalogue.get(dialect),
            partial(platform.bulk.check, session.actor),
            existing={account.username: account for account in platform.devices.accounts()},
            tenant=tenant,
            named=_named(map_ or ()),
            service=platform.broker_users.service,
        )
        if not session.out.as_json:
            _print_plan(session, made, found, show_all=show_all)
        if dry_run or not made.size:
            if session.out.as_json:
                session.out.document({**_plan_document(made, found), "imported": False})
            else:
                session.out.say("Nothing was changed.")
            return None
        if not announced(session, platform, made.size, yes=yes):
            return 1
        changes = platform.bulk.store(
            session.actor,
            made.devices,
            users=made.users,
            action="device.import",
            reason=f"from {(dynsec or passwd or Path()).name}",
        )
        applied = wait_for_all(session, platform, changes)
    if session.out.as_json:
        document = _plan_document(made, found)
        session.out.document({**document, "imported": True, "accepted_by_broker": applied})
        return None
    session.out.say(
        f"{len(made.devices)} devices and {len(made.users)} broker users imported. "
        + (
            "The broker accepts them."
            if applied
            else "The broker applies the changes when it runs."
        )
    )
    return None


def export(
    session: Session,
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Folder for the files, created if missing.")
    ],
    *,
    form: Annotated[
        str | None,
        typer.Option(
            "--as", help="plugin, dynamic_security or password_file. Default: the current one."
        ),
    ] = None,
) -> None:
    """Write all accounts as Mosquitto files, for a broker that runs elsewhere."""
    with session.open() as platform:
        files, count = run_export.export_accounts(
            platform, directory, form or platform.settings.authority
        )
    if session.out.as_json:
        session.out.document({"accounts": count, "files": [str(path) for path in files]})
        return
    names = " and ".join(str(path) for path in files)
    session.out.say(f"{count} accounts and the platform's own were written to {names}.")
    session.out.note("The files contain password hashes. Protect them like passwords.")


def credentials(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file (mode 0600).")],
    reason: Reason = "",
    yes: Yes = False,
) -> int | None:
    """Give a device a new password and write it to a file for manual provisioning."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        if output.exists():
            raise Conflict(
                f"{output} already exists.", hint="Choose another file name.", code="file_exists"
            )
        question = f"Give {clean(device.reference)} a new password? The old one will be rejected."
        if not session.confirm(question, yes=yes):
            session.out.note("Nothing was changed.")
            return 1
        with new_private_file(output) as write:
            issued = platform.recovery.issue(session.actor, device.username, reason=reason)
            address = broker_place.broker_address(platform.settings)
            write(json.dumps(_credentials(issued.credentials, address), indent=2) + "\n")
        applied = told(platform, issued.changes)
    if session.out.as_json:
        session.out.document({"file": str(output), "accepted_by_broker": applied})
    else:
        session.out.say(f"Wrote the credentials of {clean(device.reference)} to {output}.")
    return None


def _credentials(issued: Credentials, address: BrokerAddress) -> dict[str, Any]:
    device = issued.device
    return {
        "device": device.name,
        "tenant": device.tenant,
        "dialect": device.dialect,
        "username": device.username,
        "password": issued.password,
        "client_id": device.client_id,
        "topics": issued.topics,
        "broker": {
            "host": address.host,
            "port": address.port,
            "tls_port": address.tls_port,
            "ws_port": address.ws_port,
            "cafile": address.cafile,
        },
    }


def declare(app: typer.Typer) -> None:
    """Adds the commands to the noun."""
    command(app, "import")(import_)
    command(app, "export")(export)
    command(app, "credentials")(credentials)


# ---------------------------------------------------------------------- reading


def _read(passwd: Path | None, acl: Path | None, dynsec: Path | None) -> Takeover:

    if (passwd is None) == (dynsec is None) or (acl is not None and passwd is None):
        raise Invalid(
            "No source files were given.",
            hint="Give --passwd FILE (with --acl FILE), or --dynsec FILE.",
            code="which_files",
        )
    if dynsec is not None:
        return foreign.from_dynsec(read_table(dynsec))
    assert passwd is not None
    return foreign.from_files(read_table(passwd), None if acl is None else read_table(acl))


def _named(maps: Sequence[str]) -> dict[str, str]:
    named = {}
    for one in maps:
        username, equals, what = one.rpartition("=")
        if not equals or not username or not what:
            raise Invalid(
                f"{one[:64]!a} is not a valid mapping.",
                hint="Use USERNAME=DEVICE, USERNAME=user, or USERNAME=- to skip the account.",
                code="wrong_map",
            )
        named[username] = what
    return named


# ---------------------------------------------------------------------- printing


def _print_plan(session: Session, made: Plan, found: Takeover, *, show_all: bool) -> None:
    rows = made.rows
    shown = rows if show_all else [row for row in rows if row.notes or row.what != "device"]
    session.out.table(
        ["Username", "Becomes", "Password", "Notes"],
        [
            [row.username, row.becomes, row.password, "; ".join(row.notes)]
            for row in (shown if show_all else shown[:SHOWN_MOST])
        ],
    )
    if len(shown) > SHOWN_MOST and not show_all:
        session.out.note(f"{len(shown) - SHOWN_MOST} more are not shown. Use --all to list them.")
    for note in found.notes:
        session.out.note(note)
    counts = made.counts
    session.out.say(
        f"{counts['device']} devices, {counts['user']} broker users, {counts['skipped']} "
        f"skipped; {counts['needs_password']} need a new password."
    )


def _plan_document(made: Plan, found: Takeover) -> dict[str, Any]:
    return {
        "counts": made.counts,
        "notes": list(found.notes),
        "accounts": [
            {
                "username": row.username,
                "what": row.what,
                "becomes": row.becomes,
                "password": row.password,
                "notes": list(row.notes),
            }
            for row in made.rows
        ],
    }
