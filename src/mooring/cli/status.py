"""``mooring status``: processes, stored data and problems."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.clock import problem_of
from mooring.cli.frame import Session, command, verbs
from mooring.cli.output import ago, clean, iso
from mooring.later import later

with later():
    from mooring import clock
    from mooring.alerts import service as alerts_service
    from mooring.broker import answers as broker_answers
    from mooring.broker import open_ids
    from mooring.device_settings import service as device_settings
    from mooring.store import clock as stored
    from mooring.telemetry import problems
    from mooring.wiring import choice as run_choice

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.pki.fleet.service import Health
    from mooring.telemetry.model import Overview, ProcessInfo

__all__ = ["app"]

app = verbs()

SHOWN = {"dead_letters"}
WATCH_SECONDS = 2.0


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
            found = [one.text for one in problems.of_overview(overview, broker_answers=answers)]
            found += _clock_problems(platform)
            found += _authority_problems(platform) if answers else []
            found += _dialect_problems(platform)
            found += certificates.problems
            if watch and sys.stdout.isatty():
                typer.echo("\x1b[H\x1b[2J", nl=False)
            if session.out.as_json:
                document = _document(overview, answers, found)
                document["broker"] |= _authority(platform)
                document["alerts_open"] = _alerts(session, platform)
                session.out.document(
                    {
                        **document,
                        "certificates": _certificates(certificates),
                        "open": _open(platform),
                        "refused_settings": _refused(session, platform),
                    }
                )
            else:
                _print(session, platform, overview, found)
                for line in (
                    *certificates.reminders,
                    *_open(platform),
                    *_refused(session, platform),
                ):
                    session.out.say(clean(line))
            if not watch:
                return 1 if found else 0
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


def _refused(session: Session, platform: App) -> list[str]:
    """Devices that do not take their settings: for a person, and no problem of the platform."""
    settings = platform.service(device_settings.DeviceSettings)
    return settings.refusing(session.actor)


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
        ("open alerts", _alert_words(_alerts(session, platform))),
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


def _alerts(session: Session, platform: App) -> dict[str, int]:
    """Severity → open alerts, the most severe first."""
    found = platform.service(alerts_service.Alerts).open_by_severity(session.actor)
    return {severity.word: number for severity, number in found.items()}


def _alert_words(found: dict[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in found.items()) or "0"


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
