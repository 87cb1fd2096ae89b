"""``mooring status``: processes, stored data and problems."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.clock import problem_of
from mooring.cli.frame import Session, command, verbs
from mooring.cli.output import ago, clean, iso
from mooring.later import later

with later():
    from mooring import clock
    from mooring.broker import answers as broker_answers
    from mooring.broker import open_ids
    from mooring.store import clock as stored
    from mooring.wiring import choice as run_choice

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.pki.fleet.service import Health
    from mooring.telemetry.model import Overview, ProcessInfo

__all__ = ["ROLES", "app", "problems_of"]

app = verbs()

ROLES = ("up", "ingest", "serve", "keeper", "worker")  # one of each must run
SHOWN = {"dead_letters"}
NEARLY = 0.9  # of the connections of one port
WATCH_SECONDS = 2.0
FAILURES_SHOWN = 2  # in a row; a single one is over when it is read


def problems_of(overview: Overview, *, broker_answers: bool) -> list[str]:
    """Problems, a sentence each; empty if none exist. Pure."""
    alive = [process for process in overview.processes if process.alive]
    if not alive and not broker_answers:
        return ["Mooring is not running. Start it with `mooring up`."]
    problems = []
    if not broker_answers:
        problems.append("The broker does not answer.")
    running = {process.role for process in alive}
    problems += [
        f"No `mooring {role}` process is running." for role in ROLES if role not in running
    ]
    problems += [
        f"{process.name} is not connected to the broker."
        for process in alive
        if process.detail.get("connected") is False
    ]
    problems += [_full(process.detail) for process in alive if _is_nearly_full(process.detail)]
    problems += [
        f"The worker {worker.name} of `mooring {process.role}` failed "
        f"{worker.failures_in_a_row} times in a row: {worker.error}"
        for process in alive
        for worker in process.workers
        if worker.failures_in_a_row >= FAILURES_SHOWN
    ]
    problems += [
        f"{worker.rows_postponed} {'row' if worker.rows_postponed == 1 else 'rows'} of the worker "
        f"{worker.name} failed; the last one: {worker.row_error}"
        for process in alive
        for worker in process.workers
        if worker.rows_postponed
    ]
    if overview.broker_changes_error:
        number = overview.broker_changes_pending
        what = "pending broker change" if number == 1 else "pending broker changes"
        problems.append(f"{number} {what}: {overview.broker_changes_error}")
    return problems


@command(app)
def status(
    session: Session,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Repeat every two seconds.")] = False,
) -> int:
    """Show processes, stored data and problems. Exit code 0 only if there are no problems."""
    with session.open() as platform:
        while True:
            overview = platform.telemetry.overview(session.actor)
            answers = broker_answers.broker_answers(platform.settings)
            certificates = platform.certificates.health(platform.settings)
            problems = problems_of(overview, broker_answers=answers)
            problems += _clock_problems(platform)
            problems += _authority_problems(platform) if answers else []
            problems += _dialect_problems(platform)
            problems += certificates.problems
            if watch and sys.stdout.isatty():
                typer.echo("\x1b[H\x1b[2J", nl=False)
            if session.out.as_json:
                document = _document(overview, answers, problems)
                document["broker"] |= _authority(platform)
                session.out.document(
                    {
                        **document,
                        "certificates": _certificates(certificates),
                        "open": _open(platform),
                    }
                )
            else:
                _print(session, platform, overview, problems)
                for line in (*certificates.reminders, *_open(platform)):
                    session.out.say(clean(line))
            if not watch:
                return 1 if problems else 0
            time.sleep(WATCH_SECONDS)


def _clock_problems(platform: App) -> list[str]:

    with platform.database.read() as connection:
        reading = clock.read()
        found = problem_of(stored.known(connection, reading), reading)
    return [found] if found else []


def _authority_problems(platform: App) -> list[str]:
    trouble = platform.diagnosis.authority_trouble()
    if not trouble:
        return []
    return [
        f"The broker's plugin cannot use its accounts file ({trouble}). Connected devices stay "
        "connected; unknown ones are rejected. Run `mooring broker sync` to create the file again."
    ]


def _dialect_problems(platform: App) -> list[str]:
    """Of the files as they are when the command starts."""
    return [
        f"The dialect file {path} is invalid. Processes that start reject its devices. Run "
        f"`mooring dialect check {path}` to list the mistakes."
        for path in platform.catalogue.broken
    ]


def _open(platform: App) -> list[str]:
    """Risks that the broker cannot prevent with these settings."""
    settings = platform.settings
    said = open_ids.open_client_ids(
        settings.authority,
        platform.devices.accounts() if settings.authority == "dynamic_security" else (),
        managed=settings.broker == "managed",
        username_is_client_id=settings.username_is_client_id,
    )
    return [said] if said else []


def _print(session: Session, platform: App, overview: Overview, problems: Sequence[str]) -> None:
    session.out.table(
        ["Process", "State", "Pid", "Host", "Since", "Figures"],
        [
            [p.role, _state(p), p.pid, p.host, ago(p.started_at), _figures(p)]
            for p in overview.processes
        ],
        right=["Pid"],
        empty="No process of Mooring has reported.",
    )
    session.out.say()
    session.out.table(
        ["Worker", "Process", "State", "Failures", "Bad rows", "Last failure"],
        [
            [w.name, p.role, w.phase, w.failures, w.rows_postponed, clean(w.error or w.row_error)]
            for p in overview.processes
            if p.alive
            for w in p.workers
        ],
        right=["Failures", "Bad rows"],
        empty="No worker has reported.",
    )
    session.out.say()
    counts = [
        ("devices", overview.devices),
        ("devices reporting online", overview.online),
        ("devices connected", overview.connected),
        ("unknown devices", overview.strangers),
        ("dead letters", overview.dead_letters),
        ("pending broker changes", overview.broker_changes_pending),
        ("open downlinks", overview.downlinks_open),
        ("authority", _authority_words(platform)),
        *(
            (name.replace("_", " "), value)
            for name, value in sorted(overview.counters.items())
            if name not in SHOWN  # as they lie there; the counter holds all there ever were
        ),
        ("data", platform.settings.data_dir.absolute()),
    ]
    session.out.facts(counts)
    session.out.say()
    session.out.say("\n".join(clean(line) for line in problems) if problems else "All is well.")


def _authority(platform: App) -> dict[str, Any]:
    """The broker's authority, and why it is not Mooring's plugin if the settings ask for it."""
    choice = run_choice.read_choice(platform.settings.data_dir)
    return {
        "authority": platform.settings.authority,
        "authority_reason": choice.why if choice is not None else "",
        "authority_hint": choice.remedy if choice is not None else "",
    }


def _authority_words(platform: App) -> str:
    found = _authority(platform)
    words = str(found["authority"]).replace("_", " ")
    why = " ".join(filter(None, (found["authority_reason"], found["authority_hint"])))
    return f"{words} ({why})" if why else words


def _state(process: ProcessInfo) -> str:
    return "running" if process.alive else f"silent, last report {ago(process.beat_at)}"


def _is_nearly_full(detail: Mapping[str, Any]) -> bool:
    count, most = detail.get("connections"), detail.get("connections_most")
    return isinstance(count, int) and isinstance(most, int) and count >= most * NEARLY


def _full(detail: Mapping[str, Any]) -> str:
    return (
        f"The broker has {detail['connections']} of {detail['connections_most']} connections on "
        "one port; Raise max_connections, or the limit on open files."
    )


def _figures(process: ProcessInfo) -> str:
    """``connected, devices 6, stored 1204``: flags as words, numbers with their name."""
    return ", ".join(
        (name if value else f"not {name}") if isinstance(value, bool) else f"{name} {value}"
        for name, value in process.detail.items()
        if value is not None
    ).replace("_", " ")


def _document(overview: Overview, answers: bool, problems: Sequence[str]) -> dict[str, Any]:
    return {
        "ok": not problems,
        "problems": list(problems),
        "broker": {"answers": answers},
        "processes": [
            {
                "name": p.name,
                "role": p.role,
                "pid": p.pid,
                "host": p.host,
                "started_at": iso(p.started_at),
                "beat_at": iso(p.beat_at),
                "alive": p.alive,
                "detail": p.detail,
                "workers": [asdict(worker) for worker in p.workers],
            }
            for p in overview.processes
        ],
        "devices": overview.devices,
        "online": overview.online,
        "connected": overview.connected,
        "strangers": overview.strangers,
        "dead_letters": overview.dead_letters,
        "broker_changes_pending": overview.broker_changes_pending,
        "broker_changes_error": overview.broker_changes_error,
        "downlinks_open": overview.downlinks_open,
        "counters": overview.counters,
    }


def _certificates(health: Health) -> dict[str, Any] | None:
    if health.report is None:
        return None
    return {
        **{
            each.name: {"days_left": each.days_left, "level": str(each.level)}
            for each in health.report.platform
        },
        "devices": {str(level): count for level, count in health.report.devices.items()},
        "reminders": list(health.reminders),
    }
