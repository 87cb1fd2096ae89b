"""Rollouts step by step, on both databases: waves, gates, people, devices that wait."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import open_app
from mooring.devices.attributes.service import Attributes
from mooring.devices.model import Device
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs.model import NewJob, Target
from mooring.jobs.rules import Plan, State
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs
from mooring.jobs.worker import JobWorker
from mooring.ota.releases.model import Release
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.asked import window_of
from mooring.ota.rollouts.jobs import FirmwareJobs
from mooring.ota.rollouts.model import PLAN, GateOn, NewRollout, Rollout, Terms
from mooring.ota.rollouts.service import Rollouts
from mooring.ota.updates import rules
from mooring.ota.updates import store as update_store
from mooring.ota.updates.moving import record
from mooring.ota.updates.rules import Event
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import (
    channels,
    device_groups,
    downlinks,
    firmware_rollouts,
    groups,
    latest,
)
from tests.integration.ota.stand import Stand
from tests.support.ports import free_port

ADA = Actor("ada", Role.OPERATOR, "home")
BOB = Actor("bob", Role.OPERATOR, "home")
AT_ONCE = replace(PLAN, pace=None, soak_ms=0)
ALL = replace(AT_ONCE, waves=(100.0,))
ENDS = {
    "confirmed": (Event.INSTALLED, Event.PROVED),
    "unproved": (Event.INSTALLED, Event.NOT_PROVED),
    "installed": (Event.INSTALLED,),
    "installing": (Event.INSTALLING,),
    "offered": (Event.TAKEN,),
    "reverted": (Event.INSTALLING, Event.DISPROVED),
}


class Bench(Stand):
    """The stand with rollouts, and a worker whose clock a test sets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        app = self.app
        self.kind = FirmwareJobs(app.database, self.updates)
        self.jobs = replace(app.service(Jobs), kinds={"firmware": self.kind})
        self.rollouts = Rollouts(app.database, app.settings, self.jobs, self.kind)
        self.worker = JobWorker(app.database, app.instance, app.settings, {"firmware": self.kind})
        self.late = 0

    def fleet(self, number: int, **more: Any) -> list[Device]:
        found = [self.device(f"trap{n}") for n in range(number)]
        for device in found:
            self.runs(device, connected=True, connected_at=1, **more)
        return found

    def start(self, release: Release, plan: Plan = ALL, actor: Actor = ADA, **more: Any) -> Rollout:
        terms = Terms(**more.pop("terms", {}))
        chosen = more.pop("selection", {"everyone": True})
        new = NewRollout(release.reference, selector("home", **chosen), plan, terms, **more)
        made = self.rollouts.create(actor, new)
        self.work()
        return made

    def work(self, late: int = 0) -> None:
        self.late += late
        while self.worker.step():
            pass

    def targets(self, rollout: Rollout, state: str = "") -> Sequence[Target]:
        found = self.rollouts.devices(SYSTEM, rollout.id, limit=500)
        return [one for one in found if state in ("", one.state.value)]

    def target(self, rollout: Rollout, device: Device) -> Target:
        return next(one for one in self.targets(rollout) if one.device_id == device.id)

    def reports(self, device: Device, channel: str, body: dict[str, Any]) -> None:
        """The newest message of a device on a channel."""
        found = self.app.catalogue.get(device.dialect).channel(channel)
        assert found is not None
        for key in reversed(found.payload.values):
            body = {key: body}

        def write(connection: sa.Connection) -> None:
            c = channels.c
            known = sa.select(c.id).where(c.dialect == device.dialect, c.name == channel)
            number = connection.execute(known).scalar()
            if number is None:
                row = {"dialect": device.dialect, "name": channel, "kind": str(found.kind)}
                made = connection.execute(sa.insert(channels).values(row).returning(c.id))
                number = made.scalar_one()
            mine = (latest.c.device_id == device.id, latest.c.channel_id == number)
            connection.execute(sa.delete(latest).where(*mine))
            at = now_ms()
            said = {"ts": at, "received_at": at, "time_source": 0, "payload": json.dumps(body)}
            row = {"device_id": device.id, "channel_id": number, **said}
            connection.execute(sa.insert(latest).values(row))

        self.within(write)

    def counts(self, rollout: Rollout) -> dict[str, int]:
        counts = self.rollouts.get(SYSTEM, rollout.id).job.counts
        names = type(counts).__dataclass_fields__
        return {name: getattr(counts, name) for name in names if getattr(counts, name)}

    def of(self, rollout: Rollout) -> Rollout:
        return self.rollouts.get(SYSTEM, rollout.id)

    def ends(self, targets: Sequence[Target], how: str) -> None:
        """The updates of these targets come so far."""
        for target in targets:
            assert target.reference is not None
            number = int(target.reference.partition(":")[2])
            with self.app.database.write() as connection:
                for event in ENDS[how]:
                    (before,) = update_store.find(connection, [number])
                    after = rules.advance(before, event, now_ms(), self.updates.waits)
                    assert after is not None, (before.state, event)
                    record(connection, [(before, after)])
        self.work()

    def fails(self, targets: Sequence[Target], code: str, words: str) -> None:
        for target in targets:
            number = int(str(target.reference).partition(":")[2])
            with self.app.database.write() as connection:
                self.updates.report(
                    connection, number, Event.FAILED, at=now_ms(), code=code, words=words
                )
        self.work()

    def group(self, name: str, *devices: Device) -> None:
        with self.app.database.write() as connection:
            connection.execute(
                sa.insert(groups).values(tenant="home", name=name, created_at=1, created_by="ada")
            )
            for one in devices:
                row = {"tenant": "home", "group_name": name, "device_id": one.id}
                connection.execute(sa.insert(device_groups).values(row))


@pytest.fixture
def bench(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        made = Bench(app)
        monkeypatch.setattr("mooring.jobs.worker.now_ms", lambda: now_ms() + made.late)
        yield made


def slug(caught: pytest.ExceptionInfo[MooringError]) -> str:
    return caught.value.slug


# ---------------------------------------------------------------------- waves


def test_a_release_goes_out_wave_by_wave(bench: Bench) -> None:
    traps = bench.fleet(20)
    bench.group("canaries", traps[3], traps[11])
    plan = replace(AT_ONCE, waves=(10.0, 50.0, 100.0))
    rollout = bench.start(bench.release(), plan, terms={"first": "canaries"})
    first = bench.targets(rollout, "handed_over")
    assert {one.device for one in first} == {"trap3", "trap11"}
    assert "needs 1" in bench.rollouts.shown(ADA, rollout.id).gate
    bench.ends(first[:1], "installing")
    bench.ends(first[1:], "confirmed")
    assert bench.counts(rollout) == {"waiting": 18, "handed_over": 1, "succeeded": 1}
    assert "1 device is installing" in bench.rollouts.shown(ADA, rollout.id).gate
    bench.ends(first[:1], "confirmed")
    assert bench.of(rollout).job.wave == 1
    second = bench.targets(rollout, "handed_over")
    assert len(second) == 8
    bench.ends(second, "confirmed")
    last = bench.targets(rollout, "handed_over")
    assert len(last) == 10
    bench.ends(last, "confirmed")
    shown = bench.rollouts.shown(ADA, rollout.id)
    assert shown.rollout.job.state is State.DONE
    assert [(one.size, one.over) for one in shown.waves] == [(2, 2), (8, 8), (10, 10)]


def test_too_many_failures_stop_it_and_say_why(bench: Bench) -> None:
    bench.fleet(10)
    rollout = bench.start(bench.release(), replace(ALL, at_once=4))
    started = bench.targets(rollout, "handed_over")
    bench.fails(started[:3], "no_space", "48 kB left")
    stopped = bench.of(rollout).job
    assert (stopped.state, stopped.counts.waiting) == (State.STOPPED, 6)
    failed = bench.targets(rollout, "failed")
    assert {(one.cause, one.words) for one in failed} == {("no_space", "48 kB left")}
    reasons = bench.rollouts.shown(ADA, rollout.id).reasons
    assert ("failed", "no_space", 3) in reasons
    bench.rollouts.resume(ADA, rollout.id)
    bench.work()
    assert bench.counts(rollout) == {"waiting": 3, "handed_over": 4, "failed": 3}
    bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
    bench.rollouts.retry(ADA, rollout.id)
    bench.work()
    assert bench.counts(rollout)["handed_over"] == 4


# ---------------------------------------------------------------------- what is a success


@pytest.mark.parametrize(
    ("gate_on", "how", "state"),
    [
        (GateOn.CONFIRMED, "confirmed", "succeeded"),
        (GateOn.CONFIRMED, "installed", "handed_over"),
        (GateOn.CONFIRMED, "unproved", "skipped"),
        (GateOn.CONFIRMED, "reverted", "failed"),
        (GateOn.INSTALLED, "installed", "succeeded"),
        (GateOn.UNPROVED, "unproved", "succeeded"),
    ],
)
def test_what_counts_is_what_was_asked_for(
    bench: Bench, gate_on: GateOn, how: str, state: str
) -> None:
    bench.fleet(2)
    rollout = bench.start(bench.release(), terms={"gate_on": gate_on})
    (one, _) = bench.targets(rollout)
    bench.ends([one], how)
    bench.work(late=6_000)
    counts = {"handed_over": 1}
    counts[state] = counts.get(state, 0) + 1
    assert bench.counts(rollout) == counts


# ---------------------------------------------------------------------- devices that wait


def test_a_device_that_is_not_connected_waits_and_is_offered_it_when_it_is(bench: Bench) -> None:
    traps = bench.fleet(3)
    bench.connects(traps[0], connected=False)
    rollout = bench.start(bench.release(), replace(AT_ONCE, waves=(50.0, 100.0)))
    assert bench.target(rollout, traps[0]).cause in ("", "not_connected")
    bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
    waits = bench.target(rollout, traps[0])
    assert (waits.state, waits.cause) == ("waiting", "not_connected")
    bench.connects(traps[0])
    bench.work(late=6_000)
    assert bench.target(rollout, traps[0]).state == "handed_over"


def test_a_window_is_that_of_the_device(bench: Bench) -> None:
    here, there, neither = bench.fleet(3)
    bench.attribute(here, "timezone", "Asia/Tokyo")
    bench.attribute(there, "timezone", "America/New_York")
    noon = window_of(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "12:00", "13:00")
    rollout = bench.start(bench.release(), terms={"windows": (noon,), "zone": "Pacific/Honolulu"})
    for hour in range(25):
        open_at = {one.device_id: one.not_before for one in bench.targets(rollout, "waiting")}
        if not open_at:
            break
        bench.work(late=3_600_000 if hour else 0)
    starts = {one.device: one.handed_at for one in bench.targets(rollout, "handed_over")}
    assert set(starts) == {here.name, there.name, neither.name}
    hours = {name: (at or 0) // 3_600_000 % 24 for name, at in starts.items()}
    assert hours[here.name] in (3, 4)  # 12:00 in Tokyo is 03:00 UTC
    assert hours[there.name] in (16, 17, 18)
    assert hours[neither.name] in (22, 23)


def test_windows_are_worked_out_once_for_each_time_zone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.attribute(bench.fleet(20)[0], "timezone", "Asia/Tokyo")
    asked: list[str] = []
    later = now_ms() + 3_600_000

    def opens(_windows: object, zone: str, _at: int) -> int:
        asked.append(zone)
        return later

    monkeypatch.setattr("mooring.ota.rollouts.jobs.opens_at", opens)
    noon = window_of(["mon"], "12:00", "13:00")
    rollout = bench.start(bench.release(), terms={"windows": (noon,)})
    waits = bench.targets(rollout, "waiting")
    assert {(one.cause, one.not_before) for one in waits} == {("window", later)}
    assert len(waits) == 20
    assert sorted(asked) == ["Asia/Tokyo", "UTC"]


def test_a_device_that_does_not_meet_the_condition_waits(bench: Bench) -> None:
    (trap,) = bench.fleet(1)
    rollout = bench.start(bench.release(), terms={"condition": "site = attic"})
    waits = bench.target(rollout, trap)
    assert (waits.state, waits.cause) == ("waiting", "condition")
    bench.app.service(Attributes).change(SYSTEM, trap.reference, {"site": "attic"})
    bench.work(late=61_000)
    assert bench.target(rollout, trap).state == "handed_over"


def test_conditions_over_what_devices_report(bench: Bench) -> None:
    """An attribute counts before a reading, and the value that was seen is shown."""
    low, full, quiet, set_by_hand = bench.fleet(4)
    bench.reports(low, "telemetry", {"battery": 41})
    bench.reports(full, "telemetry", {"battery": 90})
    bench.reports(set_by_hand, "telemetry", {"battery": 10})
    bench.app.service(Attributes).change(SYSTEM, set_by_hand.reference, {"battery": 80})
    rollout = bench.start(bench.release(), terms={"condition": "battery > 50"})
    assert bench.target(rollout, full).state == "handed_over"
    assert bench.target(rollout, set_by_hand).state == "handed_over"
    waits = bench.target(rollout, low)
    assert (waits.state, waits.cause) == ("waiting", "condition")
    assert "battery is 41" in waits.words
    assert "battery is not known" in bench.target(rollout, quiet).words
    bench.reports(low, "telemetry", {"battery": 77})
    bench.runs(quiet, connected=True, connected_at=1, metadata=json.dumps({"battery": 60}))
    bench.work(late=61_000)
    assert bench.target(rollout, low).state == "handed_over"
    assert bench.target(rollout, quiet).state == "handed_over"


def test_the_install_waits_for_its_window_and_the_download_does_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, other = bench.device("trap"), bench.device("plug", "smarthome")
    for device in (trap, other):
        bench.runs(device, connected=True, connected_at=1)
    window = window_of(["mon"], "03:00", "04:00")
    monkeypatch.setattr("mooring.ota.rollouts.jobs.opens_at", lambda *_: now_ms() + 3_600_000)
    with pytest.raises(MooringError) as caught:
        bench.start(bench.release("1.4.9"), terms={"download_any_time": True})
    assert slug(caught) == "invalid_rollout"
    rollout = bench.start(bench.release(), terms={"windows": (window,), "download_any_time": True})
    assert bench.target(rollout, trap).state == "handed_over"
    waits = bench.target(rollout, other)
    assert (waits.state, waits.cause) == ("waiting", "window")
    bench.listens(trap)
    bench.send()
    ((_, offer, _),) = bench.link.sent
    begins = datetime.fromisoformat(offer["install_after"].replace("Z", "+00:00"))
    ends = datetime.fromisoformat(offer["install_before"].replace("Z", "+00:00"))
    assert (begins.weekday(), begins.hour, ends.hour) == (0, 3, 4)
    assert ends.timestamp() * 1000 > now_ms()
    # A device that waits with the image takes no place.
    number = int(str(bench.target(rollout, trap).reference).partition(":")[2])
    bench.within(
        lambda connection: bench.updates.report(
            connection, number, Event.DEFERRED, at=now_ms(), words="The image is on disk."
        )
    )
    facts = bench.rollouts.shown(ADA, rollout.id).facts
    assert facts.absent == 1
    assert bench.updates.get(SYSTEM, number).history[-1].words == "The image is on disk."


def test_an_offer_that_is_too_large_with_its_window_is_not_made(bench: Bench) -> None:
    """It is no failure of the device, and stops no rollout."""
    trap = bench.device("trap")
    bench.runs(trap, connected=True, connected_at=1)
    release = bench.release()
    fits = partial(bench.updates.handing.fits, trap, release, release.artifacts[0])
    most = next(n for n in range(100, 2_000) if fits(uid="9", at=now_ms(), most=n) is True)
    bench.attribute(trap, "max_packet", most)
    window = window_of(["mon"], "03:00", "04:00")
    rollout = bench.start(release, terms={"windows": (window,), "download_any_time": True})
    found = bench.target(rollout, trap)
    assert (found.state, found.cause) == ("skipped", "packet_too_large")
    assert f"the device accepts {most}" in found.words


def test_bytes_limit_the_pace_and_offers_are_spread(bench: Bench) -> None:
    bench.fleet(20)
    release = bench.release()
    size = release.artifacts[0].size
    # A byte a second: one device in as many seconds as the file has bytes.
    rollout = bench.start(release, terms={"bytes_per_second": 1, "jitter_ms": 3_600_000})
    assert bench.counts(rollout)["handed_over"] == 1
    bench.work(late=size * 1_000 + 1_000)
    assert bench.counts(rollout)["handed_over"] == 2
    with bench.app.database.read() as connection:
        rows = connection.execute(sa.select(downlinks.c.next_at, downlinks.c.created_at)).all()
    assert len(rows) == 2
    assert all(later - at <= 3_600_000 for later, at in rows)
    assert any(later > at for later, at in rows)


def test_all_rollouts_of_a_tenant_share_its_bytes(bench: Bench) -> None:
    bench.fleet(4)
    release = bench.release()
    size = release.artifacts[0].size
    settings = bench.app.settings.model_copy(update={"rollout_bytes_per_second": size})
    kind = replace(bench.kind, updates=replace(bench.updates, settings=settings))
    first, second = bench.start(release), bench.start(bench.release("1.6.0"))
    with bench.app.database.read() as connection:
        paces = [kind.seen(connection, bench.of(one).job, 1).pace for one in (first, second)]
    assert paces[0] == pytest.approx(0.5)


def test_smarthome_is_updated_by_its_command(bench: Bench) -> None:
    plug = bench.device("plug", "smarthome")
    bench.runs(plug, "v1.4.0", connected=True, connected_at=1)
    rollout = bench.start(bench.release())
    bench.listens(plug)
    bench.send()
    ((topic, body, retain),) = bench.link.sent
    assert (body["type"], retain) == ("UPDATE_FIRMWARE", False)
    assert body["payload"]["version"] == "1.5.0"
    assert "plug" in topic
    bench.keep()
    bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
    assert bench.of(rollout).job.state is State.DONE
    assert bench.counts(rollout) == {"succeeded": 1}


def test_a_rollout_without_an_eligible_device_is_not_started(bench: Bench) -> None:
    newer, same, other = bench.fleet(3)
    bench.runs(newer, "1.6.0", connected=True)
    bench.runs(same, "1.5.0", connected=True)
    bench.attribute(other, "hardware", "esp8266")
    release = bench.release(hardware=("esp32",))
    with pytest.raises(MooringError) as caught:
        bench.start(release, key="k")
    assert slug(caught) == "no_eligible_device"
    assert caught.value.context["devices"] == 3
    found = {one["cause"]: one["devices"] for one in caught.value.context["reasons"]}
    assert found == {"newer": 1, "already": 1, "hardware": 1}
    with pytest.raises(MooringError) as caught:
        bench.jobs.start(
            SYSTEM,
            NewJob("firmware", {"release": str(release.id)}, selector("home", everyone=True)),
        )
    assert slug(caught) == "no_eligible_device"
    assert bench.rollouts.listed(SYSTEM) == []
    bench.attribute(same, "hardware", "esp32")
    bench.runs(same, "1.4.0", connected=False, connected_at=1)  # it will connect
    rollout = bench.start(release, key="k")
    bench.runs(same, "1.5.0", connected=True)
    assert bench.start(release, key="k").id == rollout.id  # the same request


def test_a_selection_without_devices_starts_nothing(bench: Bench) -> None:
    with pytest.raises(MooringError) as caught:
        bench.start(bench.release())
    assert slug(caught) == "no_eligible_device"
    assert "no device" in caught.value.message


def test_skipped_devices_are_judged_again_while_it_runs(bench: Bench) -> None:
    traps = bench.fleet(5)
    bench.runs(traps[0], "1.5.0", connected=True)
    bench.runs(traps[1], "1.6.0", connected=True)
    bench.attribute(traps[4], "hardware", "esp32")
    rollout = bench.start(bench.release(hardware=("esp32",)))
    bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
    causes = {one.device: one.cause for one in bench.targets(rollout) if one.cause}
    assert causes == {
        "trap0": "already",
        "trap1": "newer",
        "trap2": "hardware_unknown",
        "trap3": "hardware_unknown",
    }
    assert bench.of(rollout).job.state is State.DONE  # no other device is eligible
    shown = bench.rollouts.shown(ADA, rollout.id)
    assert ("skipped", "hardware_unknown", 2) in shown.reasons


def test_a_device_becomes_eligible(bench: Bench) -> None:
    traps = bench.fleet(2)
    bench.attribute(traps[0], "hardware", "esp32")
    rollout = bench.start(bench.release(hardware=("esp32",)))
    assert bench.counts(rollout) == {"handed_over": 1, "skipped": 1}
    bench.attribute(traps[1], "hardware", "esp32")
    bench.work(late=61_000)
    assert bench.counts(rollout) == {"handed_over": 2}


def test_a_newer_rollout_takes_what_waits_and_what_was_only_offered(bench: Bench) -> None:
    bench.fleet(3)
    older = bench.start(bench.release("1.5.0"), replace(ALL, at_once=2))
    installing, offered = bench.targets(older, "handed_over")
    bench.ends([installing], "installing")
    newer = bench.start(bench.release("1.6.0"))
    bench.work(late=61_000)
    states = {one.device: (one.state, one.cause) for one in bench.targets(older)}
    assert states[installing.device] == ("handed_over", "")
    assert {pair for name, pair in states.items() if name != installing.device} == {
        ("cancelled", "superseded")
    }
    again = {one.device: (one.state, one.cause) for one in bench.targets(newer)}
    assert again[installing.device] == ("waiting", "other_rollout")
    assert again[offered.device][0] == "handed_over"
    bench.fails([installing], "install", "bad block")
    bench.work(late=61_000)
    assert bench.counts(newer) == {"handed_over": 3}


@pytest.mark.parametrize("how", ["pause", "withdraw"])
def test_a_newer_rollout_that_rests_takes_nothing_more(bench: Bench, how: str) -> None:
    bench.fleet(3)
    older = bench.start(bench.release(), replace(ALL, at_once=1))
    (begun,) = bench.targets(older, "handed_over")
    bench.ends([begun], "installing")
    bench.rollouts.pause(SYSTEM, older.id)
    release = bench.release("1.6.0")
    newer = bench.start(release, replace(ALL, at_once=1))
    (mine,) = bench.targets(newer, "handed_over")
    assert mine.device_id != begun.device_id
    if how == "withdraw":
        bench.releases.step(SYSTEM, str(release.id), Step.WITHDRAW, reason="it hangs")
    else:
        bench.rollouts.pause(SYSTEM, newer.id)
    bench.rollouts.set(SYSTEM, older.id, {"at_once": 5})
    bench.rollouts.resume(SYSTEM, older.id)
    bench.work(late=61_000)
    if how == "pause":
        assert bench.counts(older) == {"handed_over": 2, "cancelled": 1}
        (left,) = bench.targets(older, "cancelled")
        assert left.device_id == mine.device_id
    else:
        assert bench.counts(older) == {"handed_over": 3}


def test_devices_that_leave_before_they_begin_free_their_place(bench: Bench) -> None:
    traps = bench.fleet(3)
    rollout = bench.start(bench.release(), replace(ALL, at_once=1))
    (one,) = bench.targets(rollout, "handed_over")
    bench.ends([one], "offered")
    assert bench.counts(rollout)["waiting"] == 2
    bench.connects(next(trap for trap in traps if trap.id == one.device_id), connected=False)
    bench.jobs.nudge(rollout.id)
    bench.work()
    assert bench.counts(rollout) == {"waiting": 1, "handed_over": 2}


def test_a_withdrawn_release_is_offered_to_nobody_else(bench: Bench) -> None:
    bench.fleet(3)
    release = bench.release()
    rollout = bench.start(release, replace(ALL, at_once=1))
    bench.releases.step(SYSTEM, str(release.id), Step.WITHDRAW, reason="it hangs")
    bench.work(late=61_000)
    assert bench.counts(rollout)["waiting"] == 2
    assert "withdrawn" in bench.rollouts.shown(ADA, rollout.id).gate
    with pytest.raises(MooringError) as caught:
        bench.start(release)
    assert slug(caught) == "release_state"


# ---------------------------------------------------------------------- people


def test_a_second_person_approves_it(bench: Bench) -> None:
    bench.fleet(1)
    rollout = bench.start(bench.release(), approval=True)
    assert bench.counts(rollout) == {"waiting": 1}
    assert "ada" in bench.rollouts.shown(ADA, rollout.id).gate
    with pytest.raises(MooringError) as caught:
        bench.rollouts.approve(ADA, rollout.id)
    assert slug(caught) == "second_person_needed"
    assert bench.rollouts.approve(BOB, rollout.id).approval.by == "bob"
    bench.work()
    assert bench.counts(rollout) == {"handed_over": 1}
    with pytest.raises(MooringError) as caught:
        bench.rollouts.approve(BOB, rollout.id)
    assert slug(caught) == "nothing_to_approve"


def test_what_is_approved_is_what_was_looked_at(bench: Bench) -> None:
    bench.fleet(2)
    rollout = bench.start(bench.release(), replace(ALL, at_once=1), approval=True)
    seen = bench.rollouts.get(BOB, rollout.id).approval.changed_at
    assert seen > 0
    bench.rollouts.set(ADA, rollout.id, {"at_once": None, "pace": None})
    with pytest.raises(MooringError, match="ada") as caught:
        bench.rollouts.approve(BOB, rollout.id, seen=seen)
    assert slug(caught) == "rollout_changed"
    now = bench.rollouts.get(BOB, rollout.id).approval
    assert now.open and now.changed_at > seen
    assert bench.rollouts.approve(BOB, rollout.id, seen=now.changed_at).approval.by == "bob"


def test_a_change_needs_a_new_approval_and_a_lower_pace_does_not(bench: Bench) -> None:
    bench.fleet(5)
    rollout = bench.start(bench.release(), replace(ALL, at_once=2), approval=True)
    bench.rollouts.approve(BOB, rollout.id)
    bench.work()
    assert bench.rollouts.set(ADA, rollout.id, {"at_once": 1, "pace": 1.0}).approval.by == "bob"
    assert bench.rollouts.set(BOB, rollout.id, {"at_once": 5, "pace": None}).approval.open
    bench.work(late=61_000)
    assert bench.counts(rollout) == {"waiting": 3, "handed_over": 2}
    with pytest.raises(MooringError) as caught:
        bench.rollouts.approve(BOB, rollout.id)
    assert slug(caught) == "second_person_needed"
    eve = Actor("eve", Role.OPERATOR, "home")
    bench.rollouts.approve(eve, rollout.id)
    bench.work(late=61_000)
    assert bench.counts(rollout) == {"handed_over": 5}


def test_the_settings_ask_for_approval(bench: Bench) -> None:
    kind = replace(bench.kind, approval=True)
    jobs = replace(bench.jobs, kinds={"firmware": kind})
    bench.fleet(1)
    release, everyone = bench.release().reference, selector("home", everyone=True)
    rollout = replace(bench.rollouts, jobs=jobs, kind=kind).create(
        ADA, NewRollout(release, everyone, ALL)
    )
    # Nor does a job of the kind do without.
    plain = jobs.start(ADA, NewJob("firmware", {"release": release}, everyone, ALL))
    bench.work()
    assert rollout.approval.open
    for number in (rollout.id, plain.id):
        assert bench.rollouts.get(ADA, number).approval.open
        assert bench.jobs.get(ADA, number).counts.waiting == 1


def test_a_change_of_its_job_needs_a_new_approval_too(bench: Bench) -> None:
    bench.fleet(3)
    rollout = bench.start(bench.release(), replace(ALL, at_once=1), approval=True)
    bench.rollouts.approve(BOB, rollout.id)
    bench.work()
    bench.jobs.set(ADA, rollout.id, {"pace": 1.0})
    assert not bench.of(rollout).approval.open
    with pytest.raises(MooringError):  # it fails, and what was approved stays approved
        bench.rollouts.set(ADA, rollout.id, {"at_once": 0})
    assert not bench.of(rollout).approval.open
    bench.jobs.set(ADA, rollout.id, {"at_once": 3})
    assert bench.of(rollout).approval.open
    bench.rollouts.approve(BOB, rollout.id)
    bench.work(late=61_000)
    bench.ends(bench.targets(rollout, "handed_over"), "reverted")
    bench.work()
    bench.jobs.retry(ADA, rollout.id)
    assert bench.of(rollout).approval.open


def test_nobody_who_changed_it_is_a_second_person(bench: Bench) -> None:
    bench.fleet(3)
    eve, dan = (Actor(name, Role.OPERATOR, "home") for name in ("eve", "dan"))
    rollout = bench.start(bench.release(), replace(ALL, at_once=1), approval=True)
    bench.rollouts.set(BOB, rollout.id, {"at_once": 3})
    bench.rollouts.add(eve, rollout.id)
    for actor in (ADA, BOB, eve):
        with pytest.raises(MooringError) as caught:
            bench.rollouts.approve(actor, rollout.id)
        assert slug(caught) == "second_person_needed"
    bench.rollouts.approve(dan, rollout.id)
    bench.work()
    bench.rollouts.add(BOB, rollout.id)
    assert bench.rollouts.approve(eve, rollout.id).approval.by == "eve"


def test_a_change_before_its_devices_are_listed_counts(bench: Bench) -> None:
    bench.fleet(1)
    what = {"release": bench.release().reference, "approval": True}
    job = bench.jobs.start(ADA, NewJob("firmware", what, selector("home", everyone=True), ALL))
    bench.jobs.set(BOB, job.id, {"at_once": 1000})
    bench.work()
    with pytest.raises(MooringError) as caught:
        bench.rollouts.approve(BOB, job.id)
    assert slug(caught) == "second_person_needed"


def test_a_key_does_not_approve(bench: Bench) -> None:
    bench.fleet(1)
    rollout = bench.start(bench.release(), approval=True)
    with pytest.raises(MooringError) as caught:
        bench.rollouts.approve(Actor("key:ci", Role.ADMIN, "home"), rollout.id)
    assert slug(caught) == "not_a_person"
    assert bench.of(rollout).approval.open


def test_later_devices_are_added_on_request(bench: Bench) -> None:
    bench.fleet(1)
    rollout = bench.start(bench.release())
    bench.ends(bench.targets(rollout), "confirmed")
    assert bench.of(rollout).job.state is State.DONE
    late = bench.device("late")
    bench.runs(late, connected=True)
    bench.rollouts.add(ADA, rollout.id)
    bench.work()
    assert bench.target(rollout, late).state == "handed_over"


def test_cancelling_takes_back_what_no_device_has_begun(bench: Bench) -> None:
    bench.fleet(3)
    rollout = bench.start(bench.release(), replace(ALL, at_once=2))
    installing, _ = bench.targets(rollout, "handed_over")
    bench.ends([installing], "installing")
    bench.rollouts.cancel(ADA, rollout.id)
    bench.work()
    assert bench.counts(rollout) == {"handed_over": 1, "cancelled": 2}
    bench.ends([installing], "installed")
    with bench.app.database.write() as connection:
        (update,) = update_store.find(connection, [int(str(installing.reference).split(":")[1])])
        after = rules.advance(update, Event.PROVED, now_ms(), bench.updates.waits)
        assert after is not None
        record(connection, [(update, after)])
    bench.work()
    assert bench.of(rollout).job.state is State.CANCELLED
    assert bench.counts(rollout) == {"succeeded": 1, "cancelled": 2}


def test_walls(bench: Bench) -> None:
    bench.fleet(1)
    release = bench.release()
    rollout = bench.start(release)
    viewer = Actor("vic", Role.VIEWER, "home")
    other = Actor("olga", Role.ADMIN, "other")
    narrow = Actor("key:ci", Role.OPERATOR, "home", scopes=frozenset({Scope.READ, Scope.COMMANDS}))
    assert bench.rollouts.get(viewer, rollout.id).id == rollout.id
    assert bench.rollouts.listed(other) == []
    for word in ("pause", "cancel", "retry", "add", "approve", "resume"):
        act = getattr(bench.rollouts, word)
        for actor, code in ((viewer, "forbidden"), (narrow, "scope_missing")):
            with pytest.raises(MooringError) as caught:
                act(actor, rollout.id)
            assert slug(caught) == code, word
        with pytest.raises(MooringError) as caught:
            act(other, rollout.id)
        assert slug(caught) == "rollout_not_found", word
    with pytest.raises(MooringError) as caught:
        bench.start(release, actor=other)
    assert slug(caught) == "tenant_not_found"


def test_the_same_key_makes_one_rollout(bench: Bench) -> None:
    bench.fleet(1)
    release = bench.release()
    first = bench.start(release, key="x")
    assert bench.start(release, key="x").id == first.id


def test_a_job_of_the_kind_is_a_rollout(bench: Bench) -> None:
    bench.fleet(1)
    release = bench.release()
    new = NewJob("firmware", {"release": release.reference}, selector("home", everyone=True), ALL)
    job = bench.jobs.start(ADA, new)
    bench.work()
    assert bench.rollouts.get(ADA, job.id).release.id == release.id
    with bench.app.database.read() as connection:
        kind = connection.execute(sa.select(firmware_rollouts.c.kind)).scalar_one()
    assert kind == "firmware"
    assert bench.counts(bench.rollouts.get(ADA, job.id)) == {"handed_over": 1}
