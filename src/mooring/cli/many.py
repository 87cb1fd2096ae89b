"""Options and output of commands that act on many devices: each starts a job."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.frame import Session
from mooring.cli.output import clean, iso
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.jobs import documents, model, rules, selection, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mooring.app import App
    from mooring.groups.selector import Selector
    from mooring.jobs.model import Job, NewJob
    from mooring.jobs.rules import Plan

__all__ = [
    "AllDevices",
    "AtOnce",
    "Group",
    "Named",
    "NoWait",
    "OfTenant",
    "Pace",
    "StopAfter",
    "StopShare",
    "Wait",
    "Where",
    "follow",
    "job_document",
    "new_job",
    "of_dialect",
    "pace_of",
    "plan_of",
    "report",
    "selector_of",
    "shown",
    "start",
]

LOOK_SECONDS = 0.2
REASONS = 10  # failed devices that are listed at the end
NOT_DONE = 1

Named = Annotated[
    list[str] | None, typer.Option("--device", help="Select this device; may be repeated.")
]
AllDevices = Annotated[bool, typer.Option("--all", help="Select every device of the tenant.")]
OfTenant = Annotated[str, typer.Option("--tenant", help="Tenant that owns the devices.")]
Where = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="QUERY", help='Select by a query, such as "type = pump and online".'
    ),
]
Group = Annotated[
    str | None, typer.Option("--group", "-g", help="Select the devices of this group.")
]
Pace = Annotated[
    str,
    typer.Option("--pace", help="Rate at which devices are started, such as 10/s. 0: no limit."),
]
AtOnce = Annotated[
    int | None, typer.Option("--at-once", min=1, help="Devices without an outcome at most.")
]
StopAfter = Annotated[
    int | None, typer.Option("--stop-after", min=1, help="Failures that stop the job.")
]
StopShare = Annotated[
    float | None,
    typer.Option("--stop-share", help="Share of failures that stops the job, for example 0.05."),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for all outcomes. Exit code 0 if none is a failure.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for outcomes.")]


def pace_of(text: str) -> float:
    """``10/s``, ``100/min``, ``500/h``, ``10``: how many in a second.

    Raises:
        Invalid: it has another form.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(\d*[a-z]+))?", text.strip().lower(), re.ASCII)
    if found is None or float(found[1]) <= 0:
        raise Invalid(
            f"{text[:40]!a} is not a valid rate.",
            hint="Use a number and a unit, for example 10/s or 100/min.",
            code="invalid_pace",
        )
    unit = found[2] or "s"
    return float(found[1]) / seconds_of(unit if unit[0].isdigit() else f"1{unit}")


def plan_of(
    pace: str,
    *,
    at_once: int | None = None,
    stop_after: int | None = None,
    stop_share: float | None = None,
) -> Plan:
    """The plan that options ask for."""
    return rules.Plan(
        pace=pace_or_none(pace), at_once=at_once, stop_after=stop_after, stop_share=stop_share
    )


def pace_or_none(text: str) -> float | None:
    """As ``pace_of``; ``None`` for 0."""
    return None if text.strip() == "0" else pace_of(text)


def new_job(
    kind: str, what: dict[str, Any], selection: Selector, plan: Plan, reason: str
) -> NewJob:
    """A job to start."""
    return model.NewJob(kind, what, selection, plan, reason=reason)


def selector_of(  # one argument for each way to select
    tenant: str,
    *,
    names: list[str] | None = None,
    everyone: bool = False,
    where: str | None = None,
    group: str | None = None,
) -> Selector:
    """The selection that options ask for.

    Raises:
        Invalid: ``which_devices``: they select none.
    """
    return selection.selector(tenant, names=names, everyone=everyone, where=where, group=group)


def of_dialect(name: str | None) -> dict[str, Any]:
    """For ``selector_of``: all devices, or those of one dialect."""
    return {"everyone": True} if name is None else {"where": f"dialect = {name}"}


def follow(
    session: Session, platform: App, jobs: Sequence[Job], seconds: float | None = None
) -> list[Job]:
    """Waits until the jobs are over, stopped or paused, or the time is up; their states then.

    Args:
        seconds: ``None``: however long it takes.
    """
    known = platform.service(service.Jobs)
    deadline = None if seconds is None else time.monotonic() + seconds
    found = list(jobs)
    total = _total(found)
    while True:
        with session.out.progress("Devices", total) as report_progress:
            while _total(found) == total:
                report_progress(sum(job.counts.over for job in found))
                resting = (rules.State.STOPPED, rules.State.PAUSED)
                over = all(job.over or job.state in resting for job in found)
                if over or (deadline is not None and time.monotonic() >= deadline):
                    return found
                time.sleep(LOOK_SECONDS)
                found = [known.get(session.actor, job.id) for job in found]
        total = _total(found)  # devices are still being listed


def start(session: Session, new: NewJob, *, wait: bool) -> int:
    """Starts a job and prints it; the exit code.

    Args:
        wait: for all outcomes.
    """
    with session.open() as platform:
        jobs = [platform.service(service.Jobs).start(session.actor, new)]
        if wait:
            jobs = follow(session, platform, jobs)
        return report(session, platform, jobs, waited=wait)


def _total(jobs: Sequence[Job]) -> int:
    return sum(job.counts.total for job in jobs)


def report(session: Session, platform: App, jobs: Sequence[Job], *, waited: bool) -> int:
    """Prints jobs that were started; the exit code."""
    known = platform.service(service.Jobs)
    failed = any(job.counts.failed or job.state == "stopped" for job in jobs)
    if session.out.as_json:
        found = [job_document(job, known.what(job)) for job in jobs]
        session.out.document({"jobs": found})
        return NOT_DONE if waited and failed else 0
    for job in jobs:
        if not waited:
            session.out.say(
                f"Job {job.id} ({clean(job.title)}) is started. See `mooring job show {job.id}`."
            )
            continue
        session.out.say(sentence(job))
        reasons(session, platform, job)
    return NOT_DONE if waited and failed else 0


def sentence(job: Job) -> str:
    """The state of a job in one line."""
    parts = [
        f"{getattr(job.counts, name)} {name.replace('_', ' ')}"
        for name in rules.Counts.__dataclass_fields__
        if getattr(job.counts, name)
    ]
    why = f" ({clean(job.why)})" if job.why else ""
    return f"Job {job.id} is {job.state}{why}: {', '.join(parts) or 'no devices'}."


def reasons(session: Session, platform: App, job: Job, limit: int = REASONS) -> None:
    """Lists failed devices with their reasons."""
    if not job.counts.failed:
        return
    found = platform.service(service.Jobs).targets(
        session.actor, job.id, limit=limit, states=[rules.TargetState.FAILED]
    )
    shown(session, found)
    if job.counts.failed > len(found):
        session.out.note(
            f"{job.counts.failed - len(found)} more: "
            f"mooring job show {job.id} --state failed --limit {job.counts.failed}"
        )


def shown(session: Session, found: Sequence[model.Target]) -> None:
    """Devices of a job as a table."""
    session.out.table(
        ["Device", "State", "Reason", "Detail", "Carried out by"],
        [
            [
                one.device,
                str(one.state).replace("_", " "),
                one.cause,
                one.words,
                one.reference or "",
            ]
            for one in found
        ],
        optional=["Reason", "Detail", "Carried out by"],
    )


def job_document(job: Job, what: dict[str, Any]) -> dict[str, Any]:
    """A job as ``--json`` prints it."""
    found = documents.document(job, what)
    times = ("created_at", "started_at", "finished_at", "expires_at")
    return {**found, **{name: iso(found[name]) for name in times}}
