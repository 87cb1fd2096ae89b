"""One rollout: its waves, what it waits for, devices that failed, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from mooring.dashboard.call import Call
from mooring.dashboard.drawings import Wave, waves
from mooring.dashboard.forms import row_number
from mooring.dashboard.live.rollouts import state_of
from mooring.dashboard.page import Action, Page, Redirect
from mooring.dashboard.pages.job import TARGET_WORDS
from mooring.dashboard.pages.rollouts import GATES, limit, look, pace, share
from mooring.dashboard.words import duration
from mooring.errors import NotFound
from mooring.identity.actor import Actor, Role
from mooring.jobs.model import Job, Target
from mooring.jobs.rules import Event, State, TargetState, follow
from mooring.ota.latest.rules import too_early
from mooring.ota.latest.service import Announcements
from mooring.ota.releases.model import Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.releases.service import Releases
from mooring.ota.rollouts import model
from mooring.ota.rollouts.model import Rollout, Shown
from mooring.ota.rollouts.service import Rollouts

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 100
FAILED_SHOWN = 20
RUNNING_SHOWN = 10


def view(call: Call) -> dict[str, Any]:
    """The rollout and a page of its devices."""
    rollouts = call.service(Rollouts)
    shown = rollouts.shown(call.who, _number(call))
    rollout, job = shown.rollout, shown.rollout.job
    state = call.query.choice("state", [str(one) for one in TargetState])
    rank, _, number = (row_number(word) for word in call.query.text("after").partition("."))
    after = (rank, number) if rank is not None and number is not None else None
    states = (TargetState(state),) if state else ()
    found = rollouts.devices(call.who, job.id, limit=PAGE_SIZE + 1, after=after, states=states)
    last = found[PAGE_SIZE - 1] if len(found) > PAGE_SIZE else None
    announced = call.service(Announcements).of_rollout(call.who, job.id)
    failed: list[Target] = []
    if job.counts.failed:
        failed = rollouts.devices(
            call.who, job.id, limit=FAILED_SHOWN, states=(TargetState.FAILED,)
        )
    return {
        "title": f"Rollout {job.id}",
        "address": f"/rollouts/{job.id}",
        "rollout": rollout,
        "job": job,
        "look": look(rollout),
        "state_now": state_of(rollout),
        "gate": shown.gate,
        "installing": shown.facts.busy,
        "drawn": waves([_wave(one, job) for one in shown.waves], _said(shown)),
        "waves": shown.waves,
        "reasons": [
            (*TARGET_WORDS[TargetState(one.state)], one.cause.replace("_", " "), one.devices)
            for one in shown.reasons
        ],
        "figures": [
            (str(one), TARGET_WORDS[one][1].lower(), getattr(job.counts, str(one)))
            for one in TargetState
        ],
        "facts": _facts(rollout),
        "failed": [(one, _device(job, one)) for one in failed],
        "state": state,
        "targets": [(one, TARGET_WORDS[one.state], _device(job, one)) for one in found[:PAGE_SIZE]],
        "next_page": call.query.with_(after=f"{last.rank}.{last.device_id}") if last else "",
        "can": _can(job),
        "can_cancel": follow(job.state, Event.CANCEL) is not None,
        "can_approve": _may_approve(rollout, call.who),
        "can_change": not job.over,
        "withdrawn": _withdrawn(call, rollout.release),
        "announced": announced,
        "can_announce": not announced and too_early(job, rollout.release) is None,
        "stop_percent": "" if job.plan.stop_share is None else f"{job.plan.stop_share * 100:g}",
    }


def _withdrawn(call: Call, release: Release) -> str:
    """Of a release that was withdrawn, the devices that run it; empty for others."""
    if release.state is not ReleaseState.WITHDRAWN:
        return ""
    releases = call.service(Releases)
    number = releases.running(call.who, release)
    names = [name for _, name in releases.devices(call.who, release, limit=RUNNING_SHOWN)]
    if not number:
        return f"{release.reference} was withdrawn. No device runs it."
    more = f" and {number - len(names):,} more" if number > len(names) else ""
    return f"{release.reference} was withdrawn. It still runs on {', '.join(names)}{more}."


def _wave(wave: model.Wave, job: Job) -> Wave:
    done, failed = wave.counts.get("succeeded", 0), wave.counts.get("failed", 0)
    current = not job.over and wave.number == job.wave + 1
    return Wave(f"Wave {wave.number}", wave.size, done, failed, current)


def _said(shown: Shown) -> str:
    over = ", ".join(f"wave {one.number}: {one.over} of {one.size}" for one in shown.waves)
    return f"Waves and their devices with an outcome: {over}"


def _facts(rollout: Rollout) -> list[tuple[str, str]]:
    """What was asked for, in words; what is left at nothing is left out."""
    job, plan, terms = rollout.job, rollout.job.plan, rollout.terms
    limits = [
        f"{plan.pace:g} devices a second" if plan.pace else "as fast as possible",
        f"{plan.at_once:,} without an outcome at most" if plan.at_once else "",
        f"stops after {plan.stop_after:,} failures" if plan.stop_after else "",
        f"stops at {plan.stop_share * 100:g} % failures" if plan.stop_share else "",
        f"{terms.bytes_per_second:,} bytes a second at most" if terms.bytes_per_second else "",
        f"each up to {duration(terms.jitter_ms)} later" if terms.jitter_ms else "",
    ]
    offered = [f"{one.start:%H:%M} to {one.end:%H:%M}" for one in terms.windows]
    found = [
        ("Release", rollout.release.reference),
        ("Devices", str(job.selection)),
        ("Tenant", job.tenant),
        ("Pace", ", ".join(one for one in limits if one)),
        ("A success is", GATES[terms.gate_on]),
        ("First", f"group {terms.first}" if terms.first else ""),
        ("Condition", terms.condition),
        (
            "Installed" if terms.download_any_time else "Offered",
            f"{', '.join(offered)} (else {terms.zone})" if offered else "",
        ),
        ("Requested by", job.actor),
        ("Reason", job.reason),
    ]
    return [(word, value) for word, value in found if value]


def _device(job: Job, target: Target) -> str:
    return f"/devices/{quote(f'{job.tenant}:{target.device}', ':')}"


def _can(job: Job) -> list[tuple[str, str]]:
    """What can be done with it now: word of the address → of the button."""
    found = []
    if job.state is State.RUNNING:
        found.append(("pause", "Pause"))
    if job.state in (State.PAUSED, State.STOPPED):
        found.append(("resume", "Resume"))
    if job.counts.failed and follow(job.state, Event.RETRY) is not None:
        found.append(("retry", "Retry the failed"))
    if follow(job.state, Event.ADD) is not None:
        found.append(("add", "Add later devices"))
    return found


def _may_approve(rollout: Rollout, who: Actor) -> bool:
    """Whether this person is a second one."""
    mine = who.name in (*rollout.approval.changers, rollout.job.actor)
    return rollout.approval.open and not rollout.job.over and not mine


def _number(call: Call) -> int:
    text = call.path["rollout"]
    found = row_number(text)
    if found is None:
        raise NotFound(f"There is no rollout {text[:40]!a}.", code="rollout_not_found")
    return found


def cancel(call: Call) -> Redirect:
    """Takes back what no device has begun, after its number was typed."""
    rollouts = call.service(Rollouts)
    number = rollouts.get(call.who, _number(call)).id
    call.form.confirmed("confirm", str(number))
    reason = call.form.text("reason", "Reason")
    call.form.check()
    rollouts.cancel(call.who, number, reason=reason)
    said = f"The rollout {number}: cancelled. Installs that have begun run on."
    return call.redirect(f"/rollouts/{number}", said)


def announce(call: Call) -> Redirect:
    """To every device of the dialects in which it was proved, after its number was typed."""
    number = _number(call)
    call.form.confirmed("confirm", str(number))
    force = call.form.flag("force_hardware")
    reason = call.form.text("reason", "Reason")
    call.form.check()
    made = call.service(Announcements).announce(
        call.who, number, force_hardware=force, reason=reason
    )
    topics = ", ".join(one.announcement.topic for one in made)
    return call.redirect(f"/rollouts/{number}", f"The release is announced on {topics}.")


def retract(call: Call) -> Redirect:
    """Its topics are cleared, and its links end."""
    number = _number(call)
    reason = call.form.text("reason", "Reason")
    call.form.check()
    call.service(Announcements).retract(call.who, number, reason=reason)
    return call.redirect(f"/rollouts/{number}", "The release is not announced any more.")


def change(call: Call) -> Redirect:
    """Pace and limits."""
    rollouts, form = call.service(Rollouts), call.form
    number = rollouts.get(call.who, _number(call)).id
    changed = {
        "pace": pace(form),
        "at_once": limit(form, "at_once", "At once"),
        "stop_after": limit(form, "stop_after", "Stops after failures"),
        "stop_share": share(form),
    }
    reason = form.text("reason", "Reason")
    form.check()
    made = rollouts.set(call.who, number, changed, reason=reason)
    more = " It waits for the approval of somebody else." if made.approval.open else ""
    return call.redirect(f"/rollouts/{number}", f"The rollout {number} was changed.{more}")


def approve(call: Call) -> Redirect:
    """Agrees with the rollout as it was shown."""
    number = _number(call)
    seen = row_number(call.form.raw("changed_at"))
    reason = call.form.text("reason", "Reason")
    call.form.check()
    # Without the time of a version it is none that anybody has looked at.
    call.service(Rollouts).approve(call.who, number, reason=reason, seen=seen or 0)
    return call.redirect(f"/rollouts/{number}", f"The rollout {number}: approved.")


def _doing(word: str, done: str) -> Callable[[Call], Redirect]:
    def do(call: Call) -> Redirect:
        number = _number(call)
        reason = call.form.text("reason", "Reason")
        call.form.check()
        made: Rollout = getattr(call.service(Rollouts), word)(call.who, number, reason=reason)
        more = " It waits for the approval of somebody else." if made.approval.open else ""
        return call.redirect(f"/rollouts/{number}", f"The rollout {number}: {done}.{more}")

    return do


PAGE = Page("/rollouts/{rollout}", "Rollout", view, "rollout", place="/rollouts")
PAGES = (PAGE,)
ACTIONS = (
    Action("/rollouts/{rollout}/approve", approve, PAGE),
    *(
        Action(f"/rollouts/{{rollout}}/{word}", _doing(word, done), PAGE)
        for word, done in (
            ("pause", "paused"),
            ("resume", "continues"),
            ("retry", "the failed devices are offered the release again"),
            ("add", "devices that came later are added"),
        )
    ),
    Action("/rollouts/{rollout}/cancel", cancel, PAGE),
    Action("/rollouts/{rollout}/pace", change, PAGE),
    Action("/rollouts/{rollout}/announce", announce, PAGE, Role.ADMIN, whole=True),
    Action("/rollouts/{rollout}/retract", retract, PAGE, Role.ADMIN, whole=True),
)
