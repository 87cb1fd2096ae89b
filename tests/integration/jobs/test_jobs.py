"""Jobs from a request to their end, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.commands.model import NewCommand
from mooring.commands.rules import Event
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.jobs import worker as worker_module
from mooring.jobs.model import Job
from mooring.jobs.rules import Plan
from mooring.store.schema import audit, commands, counters, job_targets, jobs
from tests.integration.jobs.conftest import FAST, Stand

ANN = Actor("ann", Role.OPERATOR, "a")
BOB = Actor("bob", Role.ADMIN, "b")
VERA = Actor("vera", Role.VIEWER, "a")


def counts(job: Job) -> dict[str, int]:
    return {
        name: getattr(job.counts, name)
        for name in ("waiting", "handed_over", "succeeded", "failed", "skipped", "cancelled")
        if getattr(job.counts, name)
    }


def commands_of(stand: Stand) -> int:
    with stand.app.database.read() as connection:
        return int(
            connection.execute(sa.select(sa.func.count()).select_from(commands)).scalar_one()
        )


def late(stand: Stand, job: Job, **values: Any) -> None:
    """The row of a job as if that had happened."""
    with stand.app.database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(due_at=1, **values))


# ---------------------------------------------------------------------- the way of a job


def test_a_command_goes_to_every_device_of_the_tenant_once(stand: Stand) -> None:
    lamps = stand.devices(5)
    stand.app.devices.add(SYSTEM, NewDevice("other", "mooring", "b"))
    job = stand.start(reason="why")
    assert (job.state, job.counts.total) == ("preparing", 0)
    assert commands_of(stand) == 0
    stand.work()
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("running", {"handed_over": 5})
    assert commands_of(stand) == 5
    stand.ends(job, Event.SUCCEEDED, *lamps)
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("done", {"succeeded": 5})
    assert found.finished_at is not None
    with stand.app.database.read() as connection:
        acts = connection.execute(sa.select(audit.c.action, audit.c.reason, audit.c.tenant)).all()
    assert [tuple(one) for one in acts if one[0].startswith(("job", "command"))] == [
        ("job.start", "why", "a")
    ]


def test_named_devices_and_a_dialect(stand: Stand) -> None:
    stand.devices(3)
    stand.device("pump", "iotflow")
    job = stand.start(selection={"names": ["lamp0", "lamp2", "lamp0"]})
    other = stand.start(selection={"where": "dialect = iotflow"})
    stand.work()
    assert {one.device for one in stand.targets(job)} == {"lamp0", "lamp2"}
    assert {one.device for one in stand.targets(other)} == {"pump"}
    with pytest.raises(NotFound, match="lamp9"):
        stand.start(selection={"names": ["lamp9"]})


def test_a_job_for_no_device_is_done(stand: Stand) -> None:
    stand.device("lamp")
    job = stand.start(selection={"where": "dialect = iotflow"})
    stand.work()
    assert stand.job(job).state == "done"


def test_more_devices_than_one_page(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.devices(7)
    monkeypatch.setattr(worker_module.store, "AT_ONCE", 3)
    job = stand.start()
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 7}


def test_outcomes_are_counted_with_their_reasons(stand: Stand) -> None:
    ok, bad, off, trap = (stand.device(name) for name in ("ok", "bad", "off", "gone"))
    stand.app.devices.set_enabled(SYSTEM, off.reference, enabled=False)
    job = stand.start(plan=Plan(pace=None, stop_after=50))
    stand.worker.step()  # lists the devices
    stand.app.devices.remove(SYSTEM, trap.reference)
    stand.work()
    stand.ends(job, Event.SUCCEEDED, ok)
    stand.ends(job, Event.FAILED, bad)
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("done", {"succeeded": 1, "failed": 1, "skipped": 2})
    reasons = {one.device: one.cause for one in stand.targets(job)}
    assert reasons == {"ok": "", "bad": "failed", "off": "device_disabled", "gone": "removed"}
    assert stand.target(job, bad).words == "so"


def test_a_late_answer_makes_a_failed_target_succeed(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    job = stand.start()
    stand.work()
    stand.listens(lamp)
    stand.step()
    stand.ends(job, Event.TIME, lamp)
    stand.work()
    assert (stand.job(job).state, counts(stand.job(job))) == ("done", {"failed": 1})
    stand.ends(job, Event.SUCCEEDED, lamp)
    stand.work()
    assert counts(stand.job(job)) == {"succeeded": 1}


def test_one_device_that_cannot_be_started_costs_no_other_one_anything(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamps = stand.devices(4)
    kind = stand.app.job_kinds()["command"]
    real = type(kind).start

    def start(self: Any, connection: Any, job: Job, devices: Any) -> Any:
        if any(device.name == "lamp2" for device in devices):
            connection.execute(sa.insert(commands).values(device_id=1))  # breaks the transaction
        return real(self, connection, job, devices)

    monkeypatch.setattr(type(kind), "start", start)
    job = stand.start()
    stand.work()
    found = stand.job(job)
    assert counts(found) == {"handed_over": 3, "failed": 1}
    assert stand.target(job, lamps[2]).cause == "internal"


# ---------------------------------------------------------------------- pace and limits


def test_the_pace_is_kept_and_can_be_raised(stand: Stand) -> None:
    stand.devices(12)
    job = stand.start(plan=Plan(pace=1.0))
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 11, "handed_over": 1}
    stand.jobs.set(ANN, job.id, {"pace": 8.0})
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 7, "handed_over": 5}
    stand.jobs.set(ANN, job.id, {"pace": None})
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 12}


def test_it_stops_before_the_next_start(stand: Stand) -> None:
    lamps = stand.devices(6)
    job = stand.start(plan=Plan(pace=None, at_once=2, stop_after=2))
    stand.work()
    started = [one for one in lamps if stand.target(job, one).state == "handed_over"]
    assert len(started) == 2
    stand.ends(job, Event.FAILED, *started)
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("stopped", {"waiting": 4, "failed": 2})
    assert "2 targets failed" in found.why
    stand.jobs.resume(ANN, job.id, reason="known")
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 2, "handed_over": 2, "failed": 2}


def test_waves(stand: Stand) -> None:
    lamps = stand.devices(20)
    job = stand.start(plan=Plan(pace=None, waves=(10.0, 100.0)))
    stand.work()
    first = [one for one in lamps if stand.target(job, one).state == "handed_over"]
    assert len(first) == 2
    stand.ends(job, Event.SUCCEEDED, first[0])
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 18, "handed_over": 1, "succeeded": 1}
    stand.ends(job, Event.SUCCEEDED, first[1])
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 18, "succeeded": 2}


def test_paused_resumed_cancelled(stand: Stand) -> None:
    lamps = stand.devices(4)
    job = stand.start(plan=Plan(pace=None, at_once=1))
    stand.work()
    assert stand.jobs.pause(ANN, job.id).state == "paused"
    (one,) = (lamp for lamp in lamps if stand.target(job, lamp).state == "handed_over")
    stand.ends(job, Event.SUCCEEDED, one)
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 3, "succeeded": 1}
    with pytest.raises(Conflict) as caught:
        stand.jobs.pause(ANN, job.id)
    assert caught.value.slug == "job_state"
    stand.jobs.resume(ANN, job.id)
    stand.work()
    assert counts(stand.job(job)) == {"waiting": 2, "handed_over": 1, "succeeded": 1}
    stand.jobs.cancel(ANN, job.id, reason="no")
    stand.work()
    stand.work()
    found = stand.job(job)
    # What was queued is withdrawn: no device gets it.
    assert (found.state, counts(found)) == ("cancelled", {"succeeded": 1, "cancelled": 3})
    with stand.app.database.read() as connection:
        states = connection.execute(sa.select(commands.c.state)).scalars().all()
    assert sorted(states) == ["cancelled", "done"]


def test_what_may_have_been_sent_runs_on_after_a_cancel(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    job = stand.start()
    stand.work()
    stand.listens(lamp)
    stand.step()
    stand.jobs.cancel(ANN, job.id)
    stand.work()
    assert stand.job(job).state == "cancelling"
    stand.ends(job, Event.SUCCEEDED, lamp)
    stand.work()
    assert (stand.job(job).state, counts(stand.job(job))) == ("cancelled", {"succeeded": 1})


def test_the_failed_are_tried_again(stand: Stand) -> None:
    lamps = stand.devices(3)
    job = stand.start()
    stand.work()
    stand.ends(job, Event.SUCCEEDED, lamps[0])
    stand.ends(job, Event.FAILED, lamps[1], lamps[2])
    stand.work()
    assert stand.job(job).state == "done"
    stand.jobs.retry(ANN, job.id)
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("running", {"handed_over": 2, "succeeded": 1})
    assert {one.attempts for one in stand.targets(job)} == {1, 2}
    stand.ends(job, Event.SUCCEEDED, lamps[1], lamps[2])
    stand.work()
    assert (stand.job(job).state, counts(stand.job(job))) == ("done", {"succeeded": 3})
    with pytest.raises(Conflict) as caught:
        stand.jobs.retry(ANN, job.id)
    assert caught.value.slug == "nothing_to_retry"


def test_a_command_with_a_given_id(stand: Stand) -> None:
    """The devices get it under that id; what failed is tried again under another one."""
    good, bad, had = stand.devices(3)
    stand.commands.send(ANN, had.reference, NewCommand("reboot", uid="cmd-1"))
    job = stand.start(what={"name": "reboot", "id": "cmd-1"})
    stand.work()
    assert commands_of(stand) == 3
    stand.ends(job, Event.SUCCEEDED, good)
    stand.ends(job, Event.FAILED, bad)
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1, "succeeded": 1, "failed": 1}
    stand.jobs.retry(ANN, job.id)
    stand.work()
    with stand.app.database.read() as connection:
        ids = connection.execute(
            sa.select(commands.c.uid).where(commands.c.device_id == bad.id).order_by(commands.c.id)
        ).scalars()
        first, second = ids
    assert first == "cmd-1"
    assert second.startswith("cmd-1-")
    other = stand.start(what={"name": "blink", "id": "cmd-1"})
    stand.work()
    assert stand.target(other, good).cause == "command_id_taken"


def test_its_time_ends_it(stand: Stand) -> None:
    stand.devices(3)
    job = stand.start(plan=Plan(pace=None, at_once=1))
    stand.work()
    late(stand, job, expires_at=1)
    stand.work()
    found = stand.job(job)
    assert (found.state, counts(found)) == ("expired", {"failed": 1, "cancelled": 2})
    assert {one.cause for one in stand.targets(job)} == {"no_outcome", "expired"}


def test_targets_wait_while_the_tenant_has_no_room(stand: Stand) -> None:
    lamps = stand.devices(3)
    settings = replace_settings(stand, commands_max_per_tenant=2)
    worker = worker_module.JobWorker(
        settings.database, settings.instance, settings.settings, settings.job_kinds()
    )
    job = stand.start()
    stand.work(worker)
    assert counts(stand.job(job)) == {"waiting": 1, "handed_over": 2}
    done = [one for one in lamps if stand.target(job, one).state == "handed_over"]
    stand.ends(job, Event.SUCCEEDED, *done)
    late(stand, job)
    stand.work(worker)
    assert counts(stand.job(job)) == {"handed_over": 1, "succeeded": 2}


def replace_settings(stand: Stand, **values: int) -> Any:
    fields = {name: getattr(stand.app.settings, name) for name in stand.app.settings.model_fields}
    return replace(stand.app, settings=type(stand.app.settings)(**(fields | values)))


# ---------------------------------------------------------------------- lost outcomes


def test_a_device_that_is_removed_leaves_the_job(stand: Stand) -> None:
    lamps = stand.devices(2)
    job = stand.start()
    stand.work()
    stand.app.devices.remove(SYSTEM, lamps[0].reference)
    stand.worker._memory[job.id].sweep_at = 1
    late(stand, job)
    stand.work()
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1, "skipped": 1}
    assert stand.target(job, lamps[0]).cause == "removed"


def test_what_nobody_reported_is_found(stand: Stand) -> None:
    """As after a restore, or where a record was deleted."""
    lamps = stand.devices(2)
    job = stand.start()
    stand.work()
    with stand.app.database.write() as connection:
        connection.execute(
            sa.update(commands).where(commands.c.device_id == lamps[0].id).values(state="done")
        )
        connection.execute(sa.delete(commands).where(commands.c.device_id == lamps[1].id))
    stand.worker._memory[job.id].sweep_at = 1
    late(stand, job)
    stand.work()
    stand.work()
    assert (stand.job(job).state, counts(stand.job(job))) == (
        "done",
        {"succeeded": 1, "failed": 1},
    )
    assert stand.target(job, lamps[1]).cause == "lost"


# ---------------------------------------------------------------------- requests


def test_the_same_key_makes_one_job(stand: Stand) -> None:
    stand.devices(1)
    first = stand.start(key="k", actor=ANN)
    assert stand.start(key="k", actor=ANN).id == first.id
    assert stand.start(key="k", actor=replace(ANN, name="ann2")).id != first.id
    with pytest.raises(Conflict) as caught:
        stand.start(what={"name": "other"}, key="k", actor=ANN)
    assert caught.value.slug == "job_key_taken"


def test_open_jobs_of_a_tenant_are_limited_and_finished_ones_deleted(stand: Stand) -> None:
    stand.device("lamp", "iotflow")
    for _ in range(4):
        stand.start(selection={"where": "dialect = mooring"})
    with pytest.raises(Conflict) as caught:
        stand.start()
    assert (caught.value.slug, caught.value.context["limit"]) == (
        "limit_reached",
        "jobs_max_per_tenant",
    )
    stand.work()
    stand.worker._tidy_at = 0
    stand.worker.step()
    assert len(stand.jobs.listed(SYSTEM)) == 3


def test_a_job_with_too_many_devices_is_cancelled(stand: Stand) -> None:
    stand.devices(3)
    app = replace_settings(stand, job_targets_max=2)
    worker = worker_module.JobWorker(app.database, app.instance, app.settings, app.job_kinds())
    job = stand.start()
    stand.work(worker)
    found = stand.job(job)
    assert (found.state, found.counts.handed_over) == ("cancelled", 0)
    assert "job_targets_max" in found.why


@pytest.mark.parametrize(
    ("kind", "what", "code"),
    [
        ("dance", {}, "unknown_job_kind"),
        ("command", {}, "invalid_job"),
        ("command", {"name": 7}, "invalid_job"),
        ("command", {"name": "x", "more": 1}, "invalid_job"),
        ("command", {"name": "x", "expires_seconds": 0}, "invalid_job"),
        ("rotation", {"older_than_seconds": -1}, "invalid_job"),
        ("settings", {"patch": {}}, "invalid_settings"),
        ("settings", {"patch": {"a": 1}, "guard_seconds": 3}, "invalid_guard"),
        ("settings", {"patch": [1]}, "invalid_job"),
    ],
)
def test_what_is_not_valid_is_rejected(
    stand: Stand, kind: str, what: dict[str, Any], code: str
) -> None:
    stand.devices(1)
    with pytest.raises(MooringError) as caught:
        stand.start(kind, what)
    assert caught.value.slug == code


@pytest.mark.parametrize(
    "plan",
    [
        replace(FAST, pace=0.0),
        replace(FAST, pace=float("nan")),
        replace(FAST, stop_share=0.0),
        replace(FAST, at_once=0),
        replace(FAST, waves=(50.0,)),
        replace(FAST, waves=(50.0, 20.0, 100.0)),
        replace(FAST, waves=()),
    ],
)
def test_a_plan_that_no_job_can_follow_is_rejected(stand: Stand, plan: Plan) -> None:
    stand.devices(1)
    with pytest.raises(Invalid) as caught:
        stand.start(plan=plan)
    assert caught.value.slug == "invalid_plan"


def test_nobody_sees_or_stops_a_job_of_another_tenant(stand: Stand) -> None:
    stand.devices(1)
    job = stand.start(actor=ANN)
    assert stand.jobs.listed(BOB) == []
    acts: list[Any] = [
        lambda: stand.jobs.get(BOB, job.id),
        lambda: stand.jobs.targets(BOB, job.id),
        lambda: stand.jobs.pause(BOB, job.id),
        lambda: stand.jobs.cancel(BOB, job.id),
        lambda: stand.jobs.retry(BOB, job.id),
        lambda: stand.jobs.set(BOB, job.id, {"pace": 1.0}),
        lambda: stand.start(actor=BOB),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()
    for act in (
        lambda: stand.jobs.pause(VERA, job.id),
        lambda: stand.jobs.set(VERA, job.id, {"pace": 1.0}),
        lambda: stand.start(actor=VERA),
    ):
        with pytest.raises(MooringError) as caught:
            act()
        assert caught.value.slug == "forbidden"
    assert stand.jobs.get(VERA, job.id).id == job.id


def test_counters(stand: Stand) -> None:
    stand.device("lamp")
    stand.start(selection={"where": "dialect = iotflow"})
    stand.work()
    with stand.app.database.read() as connection:
        rows = connection.execute(
            sa.select(counters.c.name, counters.c.value).where(counters.c.name.startswith("jobs_"))
        )
        found = {row[0]: row[1] for row in rows if row[1]}
    assert found == {"jobs_started": 1, "jobs_done": 1}


def test_targets_are_paged_in_the_order_of_the_job(stand: Stand) -> None:
    stand.devices(7)
    job = stand.start(plan=Plan(pace=1.0))
    stand.work()
    every = [one.device_id for one in stand.targets(job)]
    seen: list[int] = []
    after = None
    while page := stand.jobs.targets(SYSTEM, job.id, limit=3, after=after):
        seen += [one.device_id for one in page]
        after = page[-1].rank, page[-1].device_id
    assert seen == every
    assert len(set(seen)) == 7
    with stand.app.database.read() as connection:
        rows = connection.execute(sa.select(job_targets.c.state, job_targets.c.counted)).all()
    assert all(row[0] == row[1] for row in rows)
