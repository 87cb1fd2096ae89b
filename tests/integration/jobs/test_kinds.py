"""Passwords and settings of many devices, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mooring.credentials.rotation import store as rotation_store
from mooring.credentials.rotation.rules import Phase
from mooring.device_settings import level_store
from mooring.device_settings.apply import Applying
from mooring.device_settings.of_jobs import reported_outcomes
from mooring.device_settings.rules import Record, State
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.devices.model import Device
from mooring.errors import NotFound
from mooring.identity.actor import SYSTEM
from mooring.jobs import outcomes
from mooring.jobs.model import Job
from mooring.store.engine import now_ms
from mooring.store.schema import credentials, device_settings, rotations
from tests.integration.jobs.conftest import Stand
from tests.integration.jobs.test_jobs import counts

# ---------------------------------------------------------------------- passwords


def end_rotation(stand: Stand, device: Device, phase: Phase) -> None:
    with stand.app.database.write() as connection:
        found = rotation_store.active(connection, device.id)
        assert found is not None
        assert rotation_store.finish(connection, found, phase, "the reason", now_ms())


def test_new_passwords_for_many(stand: Stand) -> None:
    good, bad, silent, off = stand.devices(4)
    deaf = stand.device("deaf", "drivesafe")
    stand.app.devices.set_enabled(SYSTEM, off.reference, enabled=False)
    job = stand.start("rotation", {})
    stand.work()
    assert off.id not in {one.device_id for one in stand.targets(job)}  # it is no candidate
    end_rotation(stand, good, Phase.SETTLED)
    end_rotation(stand, bad, Phase.ROLLED_BACK)
    stand.work()
    found = stand.job(job)
    shown = counts(found)
    assert (shown["succeeded"], shown["failed"]) == (1, 1)
    assert (stand.target(job, bad).cause, stand.target(job, bad).words) == (
        "rolled_back",
        "the reason",
    )
    assert stand.target(job, silent).state == "handed_over"
    assert stand.target(job, deaf).state in ("skipped", "handed_over")


def test_only_old_passwords_are_changed(stand: Stand) -> None:
    old, _ = stand.devices(2)
    with stand.app.database.write() as connection:
        connection.execute(
            sa.update(credentials)
            .where(credentials.c.device_id == old.id)
            .values(created_at=now_ms() - 100 * 86_400_000)
        )
    job = stand.start("rotation", {"older_than_seconds": 90 * 86_400})
    stand.work()
    assert [one.device for one in stand.targets(job)] == [old.name]


def test_a_rotation_under_way_is_adopted(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    begun = stand.app.rotations.start(SYSTEM, lamp)
    job = stand.start("rotation", {})
    stand.work()
    assert stand.target(job, lamp).reference == f"rotation:{begun.rotation.id}"
    end_rotation(stand, lamp, Phase.SETTLED)
    stand.work()
    assert stand.job(job).state == "done"


def test_a_cancelled_job_takes_rotations_back_that_were_not_sent(stand: Stand) -> None:
    lamps = stand.devices(2)
    job = stand.start("rotation", {})
    stand.work()
    with stand.app.database.write() as connection:  # one may have reached its device
        connection.execute(
            sa.update(rotations)
            .where(rotations.c.device_id == lamps[0].id)
            .values(phase="sent", sends=1)
        )
    stand.jobs.cancel(SYSTEM, job.id)
    stand.work()
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1, "cancelled": 1}
    with stand.app.database.read() as connection:
        assert rotation_store.active(connection, lamps[1].id) is None
    end_rotation(stand, lamps[0], Phase.SETTLED)
    stand.work()
    assert (stand.job(job).state, counts(stand.job(job))) == (
        "cancelled",
        {"succeeded": 1, "cancelled": 1},
    )


# ---------------------------------------------------------------------- settings


def change(stand: Stand, **more: Any) -> Job:
    return stand.start("settings", {"patch": {"interval": 30}, **more})


def reports(stand: Stand, device: Device, state: State, version: int = 1) -> None:
    """What ingest does when a device reports."""
    record = Record(version, state, words="too hot")
    with stand.app.database.write() as connection:
        connection.execute(
            sa.update(device_settings)
            .where(device_settings.c.device_id == device.id)
            .values(state=str(state), words=record.words)
        )
        outcomes.note(connection, reported_outcomes(device.id, record))


def test_settings_of_many(stand: Stand) -> None:
    good, bad, _ = stand.devices(3)
    none = stand.device("pump", "drivesafe")
    job = change(stand)
    stand.work()
    found = stand.app.service(DeviceSettings).show(SYSTEM, good.reference)[1]
    assert found.document == {"interval": 30}
    assert stand.target(job, none).cause == "settings_not_supported"
    reports(stand, good, State.IN_SYNC)
    reports(stand, bad, State.STOPPED)
    stand.work()
    assert counts(stand.job(job)) == {
        "handed_over": 1,
        "succeeded": 1,
        "failed": 1,
        "skipped": 1,
    }
    assert (stand.target(job, bad).cause, stand.target(job, bad).words) == ("refused", "too hot")


def test_an_outcome_of_an_earlier_version_is_none_of_this_job(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    stand.start("settings", {"patch": {"interval": 20}})
    stand.work()
    job = change(stand)
    stand.work()
    reports(stand, lamp, State.IN_SYNC, version=1)
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1}
    reports(stand, lamp, State.IN_SYNC, version=2)
    stand.work()
    assert stand.job(job).state == "done"


def test_a_device_that_has_the_settings_is_done(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    change(stand)
    stand.work()
    reports(stand, lamp, State.IN_SYNC)
    again = change(stand)
    stand.work()
    assert (stand.job(again).state, stand.target(again, lamp).cause) == ("done", "unchanged")


def test_what_a_device_refused_is_sent_again_by_a_retry(stand: Stand) -> None:
    (lamp,) = stand.devices(1)
    job = change(stand)
    stand.work()
    reports(stand, lamp, State.STOPPED)
    stand.work()
    assert counts(stand.job(job)) == {"failed": 1}
    stand.jobs.retry(SYSTEM, job.id)
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1}
    found = stand.app.service(DeviceSettings).show(SYSTEM, lamp.reference)[1]
    assert found.row.record.state is State.PENDING


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_guarded_change_counts_when_the_guard_ends(stand: Stand, *, confirmed: bool) -> None:
    (lamp,) = stand.devices(1)
    job = change(stand, guard_seconds=600)
    stand.work()
    reports(stand, lamp, State.IN_SYNC)
    stand.work()
    assert counts(stand.job(job)) == {"handed_over": 1}  # it has to come back first
    app = stand.app
    worker = SettingsWorker(app.database, app.service(Applying), app.settings)
    assert worker.holds()
    with app.database.write() as connection:
        levels = level_store.own_levels(connection, app.instance, [lamp.id])
        guard = levels[lamp.id].guard
        assert guard is not None
        table = level_store.device_settings_levels
        values = {"guard_session": 5} if confirmed else {"guard_until": 1}
        connection.execute(sa.update(table).where(table.c.device_id == lamp.id).values(**values))
        connection.execute(
            sa.update(device_settings)
            .where(device_settings.c.device_id == lamp.id)
            .values(reported_at=now_ms() + 60_000)
        )
    stand.connection(lamp, connected=True)
    worker.step()
    stand.work()
    assert counts(stand.job(job)) == ({"succeeded": 1} if confirmed else {"failed": 1})
    if not confirmed:
        assert stand.target(job, lamp).cause == "reverted"
    worker.close()


def test_lost_outcomes_of_each_kind_are_found(stand: Stand) -> None:
    lamps = stand.devices(2)
    rotated, changed = stand.start("rotation", {}), change(stand)
    stand.work()
    with stand.app.database.write() as connection:
        connection.execute(
            sa.update(rotations)
            .where(rotations.c.device_id == lamps[0].id)
            .values(phase="settled", finished_at=1)
        )
        connection.execute(
            sa.update(device_settings)
            .where(device_settings.c.device_id == lamps[0].id)
            .values(state="in_sync")
        )
        kinds = stand.app.job_kinds()
        for job in (rotated, changed):
            asked = [(str(one.reference), 1) for one in stand.targets(job)]
            found = kinds[job.kind].verdicts(connection, asked)
            assert sorted(str(one.state) for one in found.values()) == ["None", "succeeded"]
            with pytest.raises(NotFound):
                stand.jobs.place(SYSTEM, job.id, "nobody")
