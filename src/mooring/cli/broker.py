"""``mooring broker``: the broker's files, accounts and log."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import backup, broker_accounts, broker_users
from mooring.cli.asking import ask, is_up
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import clean
from mooring.cli.words import Yes, read_password
from mooring.errors import Conflict, Invalid, NotFound
from mooring.later import later

with later():
    import asyncio

    from mooring import files as text_files
    from mooring import settings as settings_module
    from mooring.broker import config as broker_config
    from mooring.broker import migrate as broker_migrate
    from mooring.broker import requests as broker_requests
    from mooring.broker import tail as broker_tail
    from mooring.devices import reconcile
    from mooring.wiring import broker as run_broker
    from mooring.wiring import follow as run_follow
    from mooring.wiring import migrate as moving
    from mooring.wiring import tls as run_tls
    from mooring.wiring import try_login as run_try_login

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.broker.rehearsal import Proof

__all__ = ["app"]

app = noun("The MQTT broker: its files, its accounts, its log.")
app.add_typer(broker_users.app, name="users")
broker_accounts.declare(app)
backup.declare(app)

KIND_WORDS = {
    "missing": "missing",
    "stale": "stale password",
    "wrong_rights": "wrong rights",
    "extra": "extra",
}


class Authority(StrEnum):
    """Authority that decides which devices the broker accepts."""

    PLUGIN = "plugin"
    DYNAMIC_SECURITY = "dynamic_security"
    PASSWORD_FILE = "password_file"  # noqa: S105 - a mode's name


# ---------------------------------------------------------------------- files


@command(app, "config")
def config(
    session: Session,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file instead of standard output.")
    ] = None,
) -> None:
    """Print mosquitto.conf as generated from the settings."""
    with session.open() as platform:
        files = run_broker.BrokerFiles(platform.settings)
        text = broker_config.render(
            run_broker.broker_config(platform.settings, files, run_tls.prepare_tls(platform))
        )
    if output is not None:
        text_files.write_atomically(output, text)
    if session.out.as_json:
        session.out.document({"file": str(output or files.config), "text": text})
    elif output is not None:
        session.out.say(f"Written to {output}.")
    else:
        session.out.say(text.rstrip())


@command(app, "reload")
def reload(session: Session) -> None:
    """Reload the broker's files. No client is disconnected."""
    with session.open() as platform:
        ask(platform, session.actor.name, broker_requests.RequestAction.RELOAD)
    if session.out.as_json:
        session.out.document({"reloaded": True})
    else:
        session.out.say("Reload requested.")


CHATTER = (": Received ", ": Sending ", ": Saving in-memory database to ")


@command(app, "logs")
def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Number of lines.")] = 50,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Include every packet, ping and save.")
    ] = False,
) -> None:
    """Print the end of the broker's log."""
    settings, _ = session.settings()
    path = run_broker.BrokerFiles(settings).log
    if not path.exists() and not follow:
        raise NotFound(
            f"The broker log {path} does not exist.",
            hint="A managed broker writes it when `mooring up` runs. For another broker, see its "
            "own log_dest.",
            code="no_broker_log",
        )
    tail = broker_tail.LogTail(path, from_start=True)
    end: deque[str] = deque(maxlen=lines)
    while batch := tail.read():
        end.extend(line for line in batch if everything or not _is_chatter(line))
    if session.out.as_json and not follow:
        session.out.document({"file": str(path), "lines": list(end)})
        return
    for line in end:
        session.out.say(clean(line))
    while follow:
        for line in tail.read() or ():
            if everything or not _is_chatter(line):
                session.out.say(clean(line))
        time.sleep(0.3)


def _is_chatter(line: str) -> bool:
    """Routine lines that carry no information."""
    return any(words in line for words in CHATTER)


# ---------------------------------------------------------------------- accounts


@command(app, "sync")
def sync(
    session: Session,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the differences without changing anything.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Compare the broker's accounts with the database and fix differences."""
    with session.open() as platform:
        report = _full(platform, session, dry_run=True)
        differences = report["differences"]
        if not session.out.as_json:
            _print_differences(session, differences)
        if dry_run or not differences:
            if session.out.as_json:
                session.out.document(report)
            return 1 if differences else 0
        if report["needs_restart"]:
            session.out.note(
                f"{len(report['needs_restart'])} passwords require one broker restart. All "
                f"devices are disconnected and reconnect."
            )
            if not session.confirm("Restart the broker now?", yes=yes):
                session.out.note("Nothing was changed.")
                return 1
        report = _full(platform, session, dry_run=False)
    if session.out.as_json:
        session.out.document(report)
    else:
        how = " The broker was restarted." if report["restarted"] else ""
        session.out.say(f"Mended.{how}")
    return 0


def _full(platform: App, session: Session, *, dry_run: bool) -> Mapping[str, Any]:
    """The comparison, by the running platform if there is one, else by this process."""
    action = (
        broker_requests.RequestAction.COMPARE if dry_run else broker_requests.RequestAction.SYNC
    )
    if platform.settings.broker == "managed" or is_up(platform):
        return ask(platform, session.actor.name, action)

    async def run() -> dict[str, Any]:
        reconciler = reconcile.Reconciler(
            platform.database,
            platform.devices,
            platform.instance,
            run_broker.build_authority(platform),
            run_broker.service_endpoint(platform),
        )
        return run_follow.report_document(await reconciler.full(dry_run=dry_run))

    return asyncio.run(run())


def _print_differences(session: Session, differences: Sequence[Mapping[str, str]]) -> None:
    session.out.table(
        ["Username", "Difference", "Detail"],
        [[d["username"], KIND_WORDS.get(d["kind"], d["kind"]), d["detail"]] for d in differences],
        empty="The broker's accounts match the database.",
    )


# ---------------------------------------------------------------------- trying a login


@command(app, "test")
def test(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Device or username. Default: the platform's own account."
        ),
    ] = None,
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    password_env: Annotated[
        str | None,
        typer.Option("--password-env", help="Environment variable that holds the password."),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Connect over TLS.")] = False,
) -> int:
    """Try to log in, and print the broker's answer and its reason."""
    with session.open() as platform:
        password = None
        if name is not None:
            password = _password(session, from_stdin=password_stdin, variable=password_env)
        options = run_try_login.TlsOptions(platform.settings) if tls else None
        answer = run_try_login.try_login(platform, session.actor, name, password, options)
    if session.out.as_json:
        session.out.document(
            {
                "username": answer.username,
                "host": answer.host,
                "port": answer.port,
                "accepted": answer.accepted,
                "reason": answer.reason,
                "message": answer.message,
            }
        )
    else:
        session.out.say(clean(answer.message))
    return 0 if answer.accepted else 1


def _password(session: Session, *, from_stdin: bool, variable: str | None) -> str:

    if variable is not None:
        value = os.environ.get(variable, "")
        if not value:
            raise Invalid(
                f"The variable {variable} is not set.",
                hint="Set it to the password, or omit the option to be prompted.",
                code="no_password_given",
            )
        return value
    if from_stdin or not sys.stdin.isatty():
        return read_password(from_stdin=True) or ""
    answer: str = typer.prompt("Password", hide_input=True, err=True)
    return answer


# ---------------------------------------------------------------------- another authority


@command(app, "migrate")
def migrate(
    session: Session,
    *,
    to: Annotated[Authority, typer.Option("--to", help="The authority to move to.")],
    rehearse_only: Annotated[
        bool,
        typer.Option("--rehearse-only", help="Verify every account without changing anything."),
    ] = False,
    yes: Yes = False,
) -> int:
    """Move all accounts to another authority. Devices keep their passwords."""
    mode = broker_migrate.Mode(to.value)
    with session.open() as platform:
        if platform.settings.authority == mode.value and not rehearse_only:
            raise Conflict(
                f"The broker already uses {mode.words}.",
                hint="Use `--rehearse-only` to verify its accounts.",
                code="already_migrated",
            )
        broker_migrate.require(moving.planned(platform, mode))
        proof = _rehearse(session, platform, mode)
        if proof.problems:
            _print_problems(session, proof)
            return 1
        _say_proof(session, proof, mode.words)
        if rehearse_only:
            if session.out.as_json:
                session.out.document({"to": mode.value, **_proof_document(proof)})
            return 0
        if platform.settings.broker == "managed" and not is_up(platform):
            file = moving.settings_file(platform.settings)
            moving.write_setting(file, "auth_mode", mode.value)
            result: Mapping[str, Any] = {"at_next_start": True}
            said = f"The next `mooring up` uses {mode.words}, as set in {file}."
        else:
            session.out.note(
                "The broker restarts once. All devices are disconnected and reconnect with their "
                "current passwords."
            )
            if not session.confirm(f"Move to {mode.words} now?", yes=yes):
                session.out.note("Nothing was changed.")
                return 1
            result = ask(
                platform,
                session.actor.name,
                broker_requests.RequestAction.MIGRATE,
                {"to": mode.value},
            )
            said = f"{result['accounts']} accounts moved to {mode.words}. {_undone_by(mode.value)}"
    if session.out.as_json:
        session.out.document({"to": mode.value, **_proof_document(proof), **result})
    else:
        session.out.say(said.strip())
    return 0


def _rehearse(session: Session, platform: App, mode: Any) -> Proof:

    total = len(platform.devices.accounts())
    with session.out.progress("rehearsal", total) as told:
        return asyncio.run(moving.rehearse(platform, mode, told))


def _say_proof(session: Session, proof: Proof, words: str) -> None:
    if not session.out.as_json:
        session.out.say(
            f"Verified with {words} on a separate broker: {proof.accounts} accounts with their "
            f"current passwords, {proof.publishes} topics to publish, {proof.subscribes} to "
            f"subscribe, and no other rights."
        )


def _print_problems(session: Session, proof: Proof) -> None:
    if session.out.as_json:
        session.out.document(_proof_document(proof))
        return
    session.out.table(
        ["Username", "Problem"], [[name, why] for name, why in sorted(proof.problems.items())]
    )
    session.out.note("Nothing was changed.")


def _proof_document(proof: Proof) -> dict[str, Any]:
    return {
        "accounts": proof.accounts,
        "publishes": proof.publishes,
        "subscribes": proof.subscribes,
        "problems": proof.problems,
    }


def _undone_by(mode: str) -> str:
    """Environment variables that would undo the move at the next start."""
    for name in settings_module.variable_names(
        "auth_mode", settings_module.Settings.model_fields["auth_mode"]
    ):
        if os.environ.get(name, mode) != mode:
            return f"Remove {name} from the environment, or the next start undoes this."
    return ""
