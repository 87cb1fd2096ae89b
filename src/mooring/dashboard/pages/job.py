"""A job: how far it is, what became of each device, and what can still be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.forms import row_number
from mooring.dashboard.page import Action, Page
from mooring.errors import NotFound
from mooring.jobs.model import Job
from mooring.jobs.rules import State, TargetState
from mooring.jobs.service import Jobs
from mooring.ota.rollouts.model import KIND as ROLLOUT

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 100
TARGET_WORDS = {
    TargetState.WAITING: ("off", "Waiting"),
    TargetState.HANDED_OVER: ("off", "Handed over"),
    TargetState.SUCCEEDED: ("ok", "Succeeded"),
    TargetState.FAILED: ("bad", "Failed"),
    TargetState.SKIPPED: ("warn", "Skipped"),
    TargetState.CANCELLED: ("off", "Cancelled"),
}
JOB_WORDS = {
    State.PREPARING: ("off", "Preparing"),
    State.RUNNING: ("ok", "Running"),
    State.PAUSED: ("warn", "Paused"),
    State.STOPPED: ("bad", "Stopped"),
    State.CANCELLING: ("warn", "Cancelling"),
    State.EXPIRING: ("warn", "Expiring"),
    State.DONE: ("ok", "Done"),
    State.CANCELLED: ("off", "Cancelled"),
    State.EXPIRED: ("bad", "Expired"),
}


def view(call: Call) -> dict[str, Any] | Redirect:
    """The job and a page of its targets."""
    jobs = call.service(Jobs)
    job = jobs.get(call.who, _number(call))
    if job.kind == ROLLOUT:
        return call.redirect(f"/rollouts/{job.id}")
    state = call.query.choice("state", [str(one) for one in TargetState])
    rank, _, number = (row_number(word) for word in call.query.text("after").partition("."))
    after = (rank, number) if rank is not None and number is not None else None
    states = (TargetState(state),) if state else ()
    found = jobs.targets(call.who, job.id, limit=PAGE_SIZE + 1, after=after, states=states)
    shown = found[:PAGE_SIZE]
    last = shown[-1] if len(found) > PAGE_SIZE else None
    counts = job.counts
    # What is left at its default says nothing.
    what = {key: value for key, value in jobs.what(job).items() if value not in (None, False, {})}
    return {
        "title": f"Job {job.id}",
        "job": job,
        "state": state,
        "look": JOB_WORDS[job.state],
        "figures": [
            (str(one), TARGET_WORDS[one][1].lower(), getattr(counts, str(one)))
            for one in TargetState
        ],
        "what": json.dumps(what, ensure_ascii=False) if what else "",
        "targets": [
            (one, TARGET_WORDS[one.state], f"/devices/{quote(f'{job.tenant}:{one.device}', ':')}")
            for one in shown
        ],
        "next_page": call.query.with_(after=f"{last.rank}.{last.device_id}") if last else "",
        "can": _can(job),
    }


def _can(job: Job) -> list[tuple[str, str]]:
    """What can be done with it now: word of the address → of the button."""
    found = []
    if job.state is State.RUNNING:
        found.append(("pause", "Pause"))
    if job.state in (State.PAUSED, State.STOPPED):
        found.append(("resume", "Resume"))
    if job.counts.failed and job.state not in (State.CANCELLING, State.EXPIRING, State.PREPARING):
        found.append(("retry", "Retry the failed"))
    if not job.over and job.state not in (State.CANCELLING, State.EXPIRING):
        found.append(("cancel", "Cancel"))
    return found


def _number(call: Call) -> int:
    text = call.path["job"]
    found = row_number(text)
    if found is None:
        raise NotFound(f"There is no job {text[:40]!a}.", code="job_not_found")
    return found


def _doing(word: str, done: str) -> Callable[[Call], Redirect]:
    def do(call: Call) -> Redirect:
        number = _number(call)
        reason = call.form.text("reason", "Reason")
        call.form.check()
        getattr(call.service(Jobs), word)(call.who, number, reason=reason)
        return call.redirect(f"/jobs/{number}", f"The job {number}: {done}.")

    return do


PAGE = Page("/jobs/{job}", "Job", view, "job", place="/commands")
PAGES = (PAGE,)
ACTIONS = tuple(
    Action(f"/jobs/{{job}}/{word}", _doing(word, done), PAGE)
    for word, done in (
        ("pause", "paused"),
        ("resume", "continues"),
        ("retry", "the failed devices are tried again"),
        ("cancel", "cancelled. What was handed over runs on"),
    )
)
