"""``mooring job``: actions on many devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import many
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.jobs import documents, rules, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from mooring.jobs.model import Job
    from mooring.jobs.service import Jobs

__all__ = ["app"]

app = noun("Actions on many devices.")

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the job.")]


@command(app, "list")
def list_(
    session: Session,
    *,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only jobs in this state.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List jobs, the newest first."""
    with session.open() as platform:
        jobs = platform.service(service.Jobs)
        found = jobs.listed(session.actor, states=[_state(one) for one in state or ()], limit=limit)
        if session.out.as_json:
            items = [many.job_document(one, jobs.what(one)) for one in found]
            session.out.document({"jobs": items})
            return
    session.out.table(
        ["Number", "Tenant", "Job", "State", "Devices", "Over", "Failed", "Created", "By"],
        [
            [
                one.id,
                one.tenant,
                one.title,
                one.state,
                one.counts.total,
                one.counts.over,
                one.counts.failed,
                ago(one.created_at),
                one.actor,
            ]
            for one in found
        ],
        right=["Number", "Devices", "Over", "Failed"],
        empty="No jobs.",
    )


@command(app, "show")
def show(
    session: Session,
    number: Number,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="List devices in this state. Default: failed devices."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job until it is over or stopped.")
    ] = False,
    limit: Limit = 20,
    after: Annotated[
        str | None, typer.Option("--after", help="Continue the list of devices after this one.")
    ] = None,
) -> int:
    """Show a job: how far it is, and devices with what became of them."""
    states = [_target_state(one) for one in state or ("failed",)]
    with session.open() as platform:
        jobs = platform.service(service.Jobs)
        found = jobs.get(session.actor, number)
        if wait:
            (found,) = many.follow(session, platform, [found])
        targets = jobs.targets(
            session.actor,
            number,
            states=states,
            limit=limit,
            after=None if after is None else jobs.place(session.actor, number, after),
        )
        what = jobs.what(found)
    failed = bool(found.counts.failed) or found.state is rules.State.STOPPED
    if session.out.as_json:
        shown = [_target(one) for one in map(documents.target_document, targets)]
        session.out.document({**many.job_document(found, what), "devices": shown})
        return many.NOT_DONE if wait and failed else 0
    _facts(session, found)
    if targets:
        session.out.say()
        many.shown(session, targets)
    if len(targets) == limit:
        session.out.note(f"For more, add --after {targets[-1].device} or a higher --limit.")
    return many.NOT_DONE if wait and failed else 0


@command(app, "pause")
def pause(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Start no more devices; what was started runs on."""
    _act(session, lambda jobs: jobs.pause(session.actor, number, reason=reason))


@command(app, "resume")
def resume(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Continue a paused or stopped job. Earlier failures do not stop it again."""
    _act(session, lambda jobs: jobs.resume(session.actor, number, reason=reason))


@command(app, "cancel")
def cancel(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Start no more devices, and take back what no device can have yet."""
    _act(session, lambda jobs: jobs.cancel(session.actor, number, reason=reason))


@command(app, "retry")
def retry(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Start the failed devices again, also of a job that is done."""
    _act(session, lambda jobs: jobs.retry(session.actor, number, reason=reason))


@command(app, "set")
def set_(
    session: Session,
    number: Number,
    *,
    pace: Annotated[
        str | None,
        typer.Option("--pace", help="Rate at which devices are started, such as 10/s."),
    ] = None,
    at_once: many.AtOnce = None,
    stop_after: many.StopAfter = None,
    stop_share: many.StopShare = None,
    reason: Reason = "",
) -> None:
    """Change the pace and the limits of a job that is not over."""
    changed: dict[str, Any] = {
        name: value
        for name, value in (
            ("at_once", at_once),
            ("stop_after", stop_after),
            ("stop_share", stop_share),
        )
        if value is not None
    }
    if pace is not None:
        changed["pace"] = many.pace_or_none(pace)
    if not changed:
        raise Invalid(
            "Nothing to change was given.",
            hint="Use --pace, --at-once, --stop-after or --stop-share.",
            code="nothing_to_change",
        )
    _act(session, lambda jobs: jobs.set(session.actor, number, changed, reason=reason))


def _act(session: Session, act: Callable[[Jobs], Job]) -> None:
    with session.open() as platform:
        jobs = platform.service(service.Jobs)
        found = act(jobs)
        what = jobs.what(found)
    if session.out.as_json:
        session.out.document(many.job_document(found, what))
        return
    _facts(session, found)


def _facts(session: Session, job: Job) -> None:
    counts, plan = job.counts, job.plan
    pace = f"{plan.pace:g} a second" if plan.pace else "as fast as possible"
    limits = [
        f"at most {plan.at_once} at once" if plan.at_once else "",
        f"stops after {plan.stop_after} failures" if plan.stop_after else "",
        f"stops at {plan.stop_share:.0%} failures" if plan.stop_share else "",
    ]
    session.out.facts(
        [
            ("job", f"{job.id}  {job.title}"),
            ("tenant", job.tenant),
            ("state", f"{job.state}{': ' if job.why else ''}{job.why}"),
            ("devices", f"{counts.over} of {counts.total} are over"),
            *(
                (name.replace("_", " "), getattr(counts, name))
                for name in rules.Counts.__dataclass_fields__
                if getattr(counts, name)
            ),
            ("pace", ", ".join([pace, *(one for one in limits if one)])),
            *([("wave", f"{job.wave + 1} of {len(plan.waves)}")] if len(plan.waves) > 1 else []),
            ("by", f"{job.actor}{': ' if job.reason else ''}{job.reason}"),
            ("created", ago(job.created_at)),
            ("finished" if job.finished_at else "ends", ago(job.finished_at or job.expires_at)),
        ]
    )


def _target(document: dict[str, Any]) -> dict[str, Any]:
    times = ("handed_over_at", "finished_at", "not_before")
    return {**document, **{name: iso(document[name]) for name in times}}


def _state(word: str) -> Any:
    return _word(rules.State, word, "jobs")


def _target_state(word: str) -> Any:
    return _word(rules.TargetState, word, "devices in a job")


def _word(states: Any, word: str, whose: str) -> Any:
    try:
        return states(word.replace(" ", "_"))
    except ValueError as exc:
        raise Invalid(
            f"{word!r} is not a state of {whose}.",
            hint=f"Use one of: {', '.join(states)}.",
            code="invalid_state",
        ) from exc
