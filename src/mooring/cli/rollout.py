"""``mooring rollout``: one release for many devices, in waves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import many
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason
from mooring.clock import now_ms
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.jobs import documents as job_documents
    from mooring.jobs import rules
    from mooring.ota.rollouts import asked, documents, model, service
    from mooring.telemetry import when

if TYPE_CHECKING:
    from collections.abc import Callable

    from mooring.ota.rollouts.model import Rollout, Shown
    from mooring.ota.rollouts.service import Rollouts
    from mooring.ota.rollouts.windows import Window

__all__ = ["app"]

app = noun("Firmware for many devices, wave by wave.")

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the rollout.")]
GATES = ("confirmed", "installed", "unproved")
TIMES = ("created_at", "started_at", "finished_at", "expires_at", "latest_at")


@command(app, "start")
def start(  # one argument for each option
    session: Session,
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", help="Release: product:version, or its number.")
    ],
    *,
    device: many.Named = None,
    everyone: many.AllDevices = False,
    where: many.Where = None,
    group: many.Group = None,
    tenant: many.OfTenant = "default",
    waves: Annotated[
        str, typer.Option("--waves", help="Rising shares of the devices in percent.")
    ] = "1,10,100",
    first: Annotated[
        str | None, typer.Option("--first", help="The devices of this group come first.")
    ] = None,
    gate_on: Annotated[
        str, typer.Option("--gate-on", help="What is a success: confirmed, installed or unproved.")
    ] = "confirmed",
    gate_share: Annotated[
        float, typer.Option("--gate-share", help="Share of successes that the next wave needs.")
    ] = 0.95,
    gate_done: Annotated[
        float, typer.Option("--gate-done", help="Share of outcomes that the next wave needs.")
    ] = 0.5,
    soak: Annotated[
        str, typer.Option("--soak", help="How long a wave is watched before the next one.")
    ] = "10m",
    pace: many.Pace = "10/s",
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Devices without an outcome at most.")
    ] = 50,
    stop_after: many.StopAfter = None,
    stop_share: Annotated[
        float, typer.Option("--stop-share", help="Share of failures that stops the rollout.")
    ] = 0.05,
    window: Annotated[
        list[str] | None,
        typer.Option(
            "--window",
            help="Offer only then, in each device's time zone: mon-fri@22:00-04:00. "
            "May be repeated.",
        ),
    ] = None,
    zone: Annotated[
        str, typer.Option("--zone", help="Time zone of devices that have none.")
    ] = "UTC",
    condition: Annotated[
        str,
        typer.Option("--condition", help='Only while a device matches, such as "battery > 30".'),
    ] = "",
    artifact: Annotated[
        str, typer.Option("--file", help="File of the release. Default: the first one.")
    ] = "",
    force_downgrade: Annotated[
        bool, typer.Option("--force-downgrade", help="Also devices with a newer version.")
    ] = False,
    force_hardware: Annotated[
        bool, typer.Option("--force-hardware", help="Also devices of unknown hardware.")
    ] = False,
    bandwidth: Annotated[
        int,
        typer.Option("--bandwidth", min=0, help="Bytes a second offered at most. 0: no limit."),
    ] = 0,
    jitter: Annotated[
        str | None, typer.Option("--jitter", help="Delay each offer by a random time up to this.")
    ] = None,
    download_any_time: Annotated[
        bool,
        typer.Option(
            "--download-any-time",
            help="Windows are those of the install; devices that can wait download before.",
        ),
    ] = False,
    approval: Annotated[
        bool, typer.Option("--approval", help="Start after a second person has approved it.")
    ] = False,
    expires: Annotated[
        str | None, typer.Option("--expires", help="How long the rollout may take.")
    ] = None,
    wait: many.Wait = False,
    reason: Reason = "",
) -> int:
    """Offer a published release to devices, wave by wave."""
    if gate_on not in GATES:
        raise Invalid(
            f"{gate_on[:40]!a} is not a gate.",
            hint=f"Use one of: {', '.join(GATES)}.",
            code="invalid_rollout",
        )
    new = model.NewRollout(
        release,
        many.selector_of(tenant, names=device, everyone=everyone, where=where, group=group),
        rules.Plan(
            many.pace_or_none(pace),
            at_once,
            stop_after,
            stop_share,
            _waves(waves),
            gate_share,
            int(seconds_of(soak) * 1000),
            gate_done,
        ),
        model.Terms(
            model.GateOn(gate_on),
            tuple(map(_window, window or ())),
            zone,
            condition,
            first or "",
            artifact,
            force_downgrade,
            force_hardware,
            bandwidth,
            0 if jitter is None else int(seconds_of(jitter) * 1000),
            download_any_time,
        ),
        approval=approval,
        expires_ms=None if expires is None else int(seconds_of(expires) * 1000),
        reason=reason,
    )
    with session.open() as platform:
        rollouts = platform.service(service.Rollouts)
        made = rollouts.create(session.actor, new)
        if wait:
            many.follow(session, platform, [made.job])
        shown = rollouts.shown(session.actor, made.id)
    if session.out.as_json:
        session.out.document(_document(documents.shown_document(shown)))
    elif wait:
        _facts(session, shown)
    else:
        session.out.say(
            f"Rollout {made.id} ({made.release.reference}) is started. "
            f"See `mooring rollout show {made.id}`."
        )
        if shown.rollout.approval.open:
            session.out.note(f"Next, as somebody else: mooring rollout approve {made.id}")
    return _code(shown) if wait else 0


@command(app, "list")
def list_(session: Session, *, limit: Limit = 50) -> None:
    """List rollouts, the newest first."""
    with session.open() as platform:
        found = platform.service(service.Rollouts).listed(session.actor, limit=limit)
    if session.out.as_json:
        items = [_document(documents.document(one)) for one in found]
        session.out.document({"rollouts": items})
        return
    session.out.table(
        ["Number", "Tenant", "Release", "State", "Wave", "Devices", "Over", "Failed", "Created"],
        [
            [
                one.id,
                one.job.tenant,
                one.release.reference,
                _state(one),
                f"{one.job.wave + 1} of {len(one.job.plan.waves)}",
                one.job.counts.total,
                one.job.counts.over,
                one.job.counts.failed,
                ago(one.job.created_at),
            ]
            for one in found
        ],
        right=["Number", "Devices", "Over", "Failed"],
        empty="No rollouts.",
    )


@command(app, "show")
def show(
    session: Session,
    number: Number,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the rollout until it is over or stopped.")
    ] = False,
) -> int:
    """Show a rollout: its waves, what it waits for, and why devices were not updated."""
    with session.open() as platform:
        rollouts = platform.service(service.Rollouts)
        if watch:
            found = rollouts.get(session.actor, number)
            many.follow(session, platform, [found.job])
        shown = rollouts.shown(session.actor, number)
    if session.out.as_json:
        session.out.document(_document(documents.shown_document(shown)))
    else:
        _facts(session, shown)
    return _code(shown) if watch else 0


@command(app, "failed")
def failed(
    session: Session,
    number: Number,
    *,
    limit: Limit = 50,
    after: Annotated[
        str | None, typer.Option("--after", help="Continue the list after this device.")
    ] = None,
) -> None:
    """List devices whose update failed, with the reason and the device's words."""
    with session.open() as platform:
        rollouts = platform.service(service.Rollouts)
        rollouts.get(session.actor, number)
        found = rollouts.devices(
            session.actor,
            number,
            limit=limit,
            states=[rules.TargetState.FAILED],
            after=None if after is None else rollouts.jobs.place(session.actor, number, after),
        )
    if session.out.as_json:
        items = [_target(one) for one in map(job_documents.target_document, found)]
        session.out.document({"devices": items})
        return
    session.out.table(
        ["Device", "Reason", "Detail", "Attempts"],
        [[one.device, one.cause, one.words, one.attempts] for one in found],
        optional=["Detail"],
        right=["Attempts"],
        empty="No device failed.",
    )
    if len(found) == limit:
        session.out.note(f"For more, add --after {found[-1].device} or a higher --limit.")


@command(app, "approve")
def approve(
    session: Session,
    number: Number,
    *,
    changed_at: Annotated[
        str | None,
        typer.Option(
            "--changed-at",
            metavar="TIME",
            help="As `rollout show` prints it. If the rollout was changed later, it is not "
            "approved.",
        ),
    ] = None,
    reason: Reason = "",
) -> None:
    """Approve a rollout that somebody else has started or changed."""
    seen = None if changed_at is None else when.parse_when(changed_at, now_ms())
    _act(
        session,
        lambda rollouts: rollouts.approve(session.actor, number, reason=reason, seen=seen),
    )


@command(app, "pause")
def pause(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Offer nothing more; what was offered runs on."""
    _act(session, lambda rollouts: rollouts.pause(session.actor, number, reason=reason))


@command(app, "resume")
def resume(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Continue a paused or stopped rollout. Earlier failures do not stop it again."""
    _act(session, lambda rollouts: rollouts.resume(session.actor, number, reason=reason))


@command(app, "cancel")
def cancel(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Offer nothing more and take offers back. Installs that have begun run on."""
    _act(session, lambda rollouts: rollouts.cancel(session.actor, number, reason=reason))


@command(app, "retry")
def retry(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Offer the release to the failed devices again, also of a rollout that is over."""
    _act(session, lambda rollouts: rollouts.retry(session.actor, number, reason=reason))


@command(app, "add")
def add(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Add devices that match the selection now and did not when the rollout began."""
    _act(session, lambda rollouts: rollouts.add(session.actor, number, reason=reason))


@command(app, "pace")
def pace_(
    session: Session,
    number: Number,
    pace: Annotated[
        str | None,
        typer.Argument(metavar="[RATE]", help="Devices in a time, such as 2/s. 0: no limit."),
    ] = None,
    *,
    at_once: many.AtOnce = None,
    stop_after: many.StopAfter = None,
    stop_share: many.StopShare = None,
    reason: Reason = "",
) -> None:
    """Change the pace and the limits of a rollout that is not over."""
    given = {"at_once": at_once, "stop_after": stop_after, "stop_share": stop_share}
    changed: dict[str, Any] = {name: one for name, one in given.items() if one is not None}
    if pace is not None:
        changed["pace"] = many.pace_or_none(pace)
    if not changed:
        raise Invalid(
            "Nothing to change was given.",
            hint="Give a rate, --at-once, --stop-after or --stop-share.",
            code="nothing_to_change",
        )
    _act(session, lambda rollouts: rollouts.set(session.actor, number, changed, reason=reason))


# ---------------------------------------------------------------------- words


def _waves(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.replace("%", "").split(","))
    except ValueError as exc:
        raise Invalid(
            f"{text[:60]!a} are no valid waves.",
            hint="Use rising percentages that end with 100, such as 1,10,100.",
            code="invalid_plan",
        ) from exc


def _window(text: str) -> Window:
    """``mon-fri@22:00-04:00``, ``sat,sun@00:00-00:00`` or ``22:00-04:00``."""
    days, at, hours = text.strip().lower().rpartition("@")
    begin, dash, end = hours.partition("-")
    if not dash:
        raise Invalid(
            f"{text[:60]!a} is not a window.",
            hint="Use days and times, such as mon-fri@22:00-04:00.",
            code="invalid_rollout",
        )
    named = [day for part in days.split(",") for day in _days(part)] if at else list(asked.DAYS)
    return asked.window_of(named, begin, end)


def _days(part: str) -> list[str]:
    first, dash, last = part.partition("-")
    if not dash or first not in asked.DAYS or last not in asked.DAYS:
        return [part]
    begin, end = asked.DAYS.index(first), asked.DAYS.index(last)
    count = (end - begin) % len(asked.DAYS) + 1
    return [asked.DAYS[(begin + place) % len(asked.DAYS)] for place in range(count)]


def _act(session: Session, act: Callable[[Rollouts], Rollout]) -> None:
    with session.open() as platform:
        rollouts = platform.service(service.Rollouts)
        shown = rollouts.shown(session.actor, act(rollouts).id)
    if session.out.as_json:
        session.out.document(_document(documents.shown_document(shown)))
        return
    _facts(session, shown)


def _facts(session: Session, shown: Shown) -> None:
    rollout = shown.rollout
    job, plan, approval = rollout.job, rollout.job.plan, rollout.approval
    pace = f"{plan.pace:g} a second" if plan.pace else "as fast as possible"
    limits = [
        f"at most {plan.at_once} at once" if plan.at_once else "",
        f"stops after {plan.stop_after} failures" if plan.stop_after else "",
        f"stops at {plan.stop_share:.0%} failures" if plan.stop_share else "",
        f"{rollout.terms.bytes_per_second:,} bytes a second at most"
        if rollout.terms.bytes_per_second
        else "",
    ]
    agreed = f"by {approval.by}" if approval.by else "missing"
    session.out.facts(
        [
            ("rollout", f"{job.id}  {job.title}"),
            ("tenant", job.tenant),
            ("devices", str(job.selection)),
            ("state", _state(rollout)),
            ("gate", shown.gate),
            ("over", f"{job.counts.over} of {job.counts.total}"),
            *(
                (name.replace("_", " "), getattr(job.counts, name))
                for name in rules.Counts.__dataclass_fields__
                if getattr(job.counts, name)
            ),
            ("pace", ", ".join([pace, *(one for one in limits if one)])),
            *([("approval", agreed)] if approval.needed else []),
            *(
                [("announced", f"{ago(rollout.latest_at)}, to every device")]
                if rollout.latest_at
                else []
            ),
            *([("changed at", iso(approval.changed_at))] if approval.needed else []),
            ("by", f"{job.actor}{': ' if job.reason else ''}{job.reason}"),
            ("created", ago(job.created_at)),
            ("finished" if job.finished_at else "ends", ago(job.finished_at or job.expires_at)),
        ]
    )
    session.out.say()
    session.out.table(
        ["Wave", "Up to", "Devices", "Open", "Succeeded", "Failed"],
        [
            [
                one.number,
                f"{one.percent:g} %",
                one.size,
                *(one.counts.get(state, 0) for state in ("handed_over", "succeeded", "failed")),
            ]
            for one in shown.waves
        ],
        right=["Wave", "Up to", "Devices", "Open", "Succeeded", "Failed"],
    )
    if shown.reasons:
        session.out.say()
        session.out.table(
            ["State", "Reason", "Devices"],
            [[one.state, one.cause.replace("_", " "), one.devices] for one in shown.reasons],
            right=["Devices"],
        )
    if job.counts.failed:
        session.out.note(f"See `mooring rollout failed {job.id}`.")


def _state(rollout: Rollout) -> str:
    job = rollout.job
    if rollout.approval.open and not job.over:
        return f"{job.state}, not approved"
    return f"{job.state}{': ' if job.why else ''}{job.why}"


def _code(shown: Shown) -> int:
    job = shown.rollout.job
    bad = job.counts.failed or job.state is rules.State.STOPPED
    return many.NOT_DONE if bad else 0


def _document(document: dict[str, Any]) -> dict[str, Any]:
    times = {name: iso(document[name]) for name in TIMES}
    approved = document["approval"]
    approval = {**approved, **{name: iso(approved[name]) for name in ("at", "changed_at")}}
    return {**document, **times, "approval": approval}


def _target(document: dict[str, Any]) -> dict[str, Any]:
    times = ("handed_over_at", "finished_at", "not_before")
    return {**document, **{name: iso(document[name]) for name in times}}
