"""Updates step by step: offering, reports, sessions, proofs, limits; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import open_app
from mooring.errors import Conflict, Forbidden, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.jobs.rules import TargetState
from mooring.ota.releases.model import Kind, NewRelease
from mooring.ota.releases.states import Step
from mooring.ota.updates.model import Options, Update
from mooring.ota.updates.protocol import Served
from mooring.ota.updates.rules import Event
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import downlinks, firmware_updates, tenants
from mooring.store.version_key import version_key
from tests.integration.ota.stand import Stand
from tests.support.ports import free_port


@pytest.fixture
def stand(tmp_path: Path, migrated_url: str) -> Iterator[Stand]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        yield Stand(app)


def cause(caught: pytest.ExceptionInfo[Conflict]) -> object:
    assert caught.value.slug == "firmware_not_offered"
    return caught.value.context["cause"]


def test_an_offer_waits_until_its_device_listens(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    stand.runs(trap)
    made = stand.offer(trap, release, reason="it hangs")
    assert (made.state, made.from_version, made.version) == ("waiting", "1.4.0", "1.5.0")
    stand.send()
    assert (stand.state(made), stand.link.sent) == ("waiting", [])
    stand.listens(trap)
    stand.send()
    ((topic, said, retain),) = stand.link.sent
    assert topic == "mooring/home/trap/firmware"
    assert retain is False
    assert said["id"] == made.uid
    assert said["version"] == "1.5.0"
    assert said["sha256"] == release.artifacts[0].sha256
    assert said["size"] == release.artifacts[0].size
    assert said["url"].startswith("https://m.example/f/")
    assert len(said["url"]) == len("https://m.example/f/") + 22
    found = stand.now(made)
    assert (found.state, found.offers) == ("offered", 1)
    stand.send(3)
    assert len(stand.link.sent) == 1


def test_from_the_offer_to_the_confirmation(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    stand.runs(trap, connected=True, connected_at=1)
    made = stand.offer(trap, release)
    stand.listens(trap)
    stand.send()
    report = stand.updates.report
    at = now_ms()
    stand.within(lambda c: report(c, made.id, Event.DOWNLOADING, at=at, percent=10))
    artifact = release.artifacts[0]
    stand.within(
        lambda c: stand.updates.served(
            c, {made.id: Served(artifact.id, artifact.size, whole=True)}, at + 1
        )
    )
    assert (stand.now(made).percent, stand.now(made).served) == (100, artifact.size)
    stand.connects(trap, connected=False, at=at + 10)
    assert stand.state(made) == "installing"
    stand.connects(trap, at=at + 20)
    found = stand.now(made)
    assert (found.state, found.session_at) == ("rebooting", at + 20)


def test_a_fresh_offer_when_the_link_has_expired(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    made = stand.offer(trap, release)
    stand.listens(trap)
    stand.send()
    at = now_ms()
    for later in (0, 10):
        stand.within(lambda c, at=at + later: stand.updates.link_expired(c, made.id, at))
        stand.keep()
        stand.send()
    urls = {said["url"] for _, said, _ in stand.link.sent}
    assert (len(stand.link.sent), len(urls)) == (2, 2), "one in 30 s, with another link"
    assert stand.now(made).offers == 2


def test_never_two_offers_of_a_device_at_once(stand: Stand) -> None:
    trap = stand.device()
    first, second = stand.release("1.5.0"), stand.release("1.6.0")
    stand.runs(trap)
    made = stand.offer(trap, first)
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, first)
    assert cause(caught) == "other_rollout"
    newer = stand.offer(trap, second)
    assert (stand.state(made), stand.state(newer)) == ("superseded", "waiting")
    stand.listens(trap)
    stand.send(3)
    assert [said["version"] for _, said, _ in stand.link.sent] == ["1.6.0"]
    stand.within(lambda c: stand.updates.report(c, newer.id, Event.INSTALLING, at=now_ms()))
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, first, force_downgrade=True)
    assert cause(caught) == "other_rollout"


@pytest.mark.parametrize(
    ("runs", "expected"),
    [("1.5.0", "already"), ("v1.5", "already"), ("1.10", "newer"), ("2.0", "newer")],
)
def test_versions_that_are_skipped(stand: Stand, runs: str, expected: str) -> None:
    trap, release = stand.device(), stand.release()
    stand.runs(trap, runs)
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, release)
    assert cause(caught) == expected
    if expected == "newer":
        assert stand.offer(trap, release, force_downgrade=True).state == "waiting"


def test_hardware_and_required_versions(stand: Stand) -> None:
    trap = stand.device()
    stand.runs(trap)
    release = stand.release(hardware=("ESP32-C3",), requires=("1.4", "1.3"))
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, release)
    assert cause(caught) == "hardware_unknown"
    stand.attribute(trap, "hardware", "esp32-c3")
    assert stand.offer(trap, release).state == "waiting"
    other = stand.release("1.6.0", hardware=("esp32",))
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, other)
    assert cause(caught) == "hardware"
    bridge = stand.release("1.7.0", requires=("1.6",))
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, bridge)
    assert cause(caught) == "requires"


def test_an_offer_that_a_device_would_drop_is_not_sent(stand: Stand) -> None:
    trap = stand.device(
        name="a-trap-with-a-long-name-" + "x" * 60, dialect="mousetrap", mac="AA:BB:CC:DD:EE:01"
    )
    release = stand.release()
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, release)
    assert cause(caught) == "packet_too_large"
    assert "256" in caught.value.message
    stand.attribute(trap, "max_packet", 2000)
    assert stand.offer(trap, release).state == "waiting"


def test_disabled_devices_and_dialects_without_a_channel(stand: Stand) -> None:
    release = stand.release()
    car = stand.device("car", "drivesafe")
    off = stand.device("off")
    stand.app.devices.set_enabled(SYSTEM, off.reference, enabled=False)
    for device, expected in ((car, "no_channel"), (off, "device_disabled")):
        with pytest.raises(Conflict) as caught:
            stand.offer(device, release)
        assert cause(caught) == expected


def test_many_devices_at_once(stand: Stand) -> None:
    release = stand.release()
    devices = [stand.device(f"trap-{number}") for number in range(7)]
    stand.runs(devices[2], "1.5.0")
    made = stand.within(
        lambda c: stand.updates.start(c, SYSTEM, devices, release, job=None, options=Options())
    )
    assert [one.state for one in made].count(TargetState.HANDED_OVER) == 6
    assert (made[2].state, made[2].cause) == (TargetState.SKIPPED, "already")
    assert len({one.reference for one in made}) == 7
    found = stand.updates.listed(SYSTEM, release=release.reference)
    assert {one.device for one in found} == {one.name for one in devices} - {"trap-2"}
    assert len({one.downlink_id for one in found}) == 6


def test_no_room_waits(stand: Stand) -> None:
    """A job asks again later for the devices that wait."""
    release = stand.release()
    few = stand.app.settings.model_copy(update={"firmware_updates_max_per_tenant": 2})
    updates = replace(stand.updates, settings=few)
    devices = [stand.device(name) for name in "abc"]
    made = stand.within(
        lambda c: updates.start(c, SYSTEM, devices, release, job=None, options=Options())
    )
    assert [one.state for one in made] == [
        *(TargetState.HANDED_OVER, TargetState.HANDED_OVER, TargetState.WAITING)
    ]
    with pytest.raises(Conflict) as caught:
        updates.offer(SYSTEM, devices[2].reference, release.reference)
    assert caught.value.slug == "limit_reached"


def test_a_withdrawn_release_stops_its_offers(stand: Stand) -> None:
    release = stand.release()
    waiting, loading, installing = (stand.device(name) for name in ("a", "b", "c"))
    made = [stand.offer(one, release) for one in (waiting, loading, installing)]
    report = stand.updates.report
    stand.within(lambda c: report(c, made[1].id, Event.DOWNLOADING, at=now_ms()))
    stand.within(lambda c: report(c, made[2].id, Event.INSTALLING, at=now_ms()))
    stand.releases.step(SYSTEM, str(release.id), Step.WITHDRAW, reason="it bricks")
    assert [stand.state(one) for one in made] == ["cancelled", "downloading", "installing"]
    over = [stand.within(lambda c, n=one.id: stand.updates.is_over(c, n)) for one in made]
    assert over == [True, True, False], "the file is not served to the second any more"
    for one in (waiting, loading):
        stand.listens(one)
    stand.send(2)
    assert [(topic, "cancel" in said) for topic, said, _ in stand.link.sent] == [
        ("mooring/home/b/firmware", True)
    ]
    stand.pass_deadline(made[1])
    assert stand.state(made[1]) == "cancelled"


def test_cancelling(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    made = stand.offer(trap, release)
    assert made.downlink_id is not None
    with pytest.raises(Conflict) as carried:
        stand.app.downlinks.cancel(SYSTEM, trap, made.downlink_id)
    assert carried.value.slug == "cancel_the_update"
    assert stand.updates.stop(SYSTEM, made.id, reason="wrong one").state == "cancelled"
    stand.listens(trap)
    stand.send(2)
    assert stand.link.sent == []
    with pytest.raises(Conflict) as caught:
        stand.updates.stop(SYSTEM, made.id)
    assert caught.value.slug == "firmware_update_over"
    again = stand.offer(trap, release)
    stand.within(lambda c: stand.updates.report(c, again.id, Event.INSTALLING, at=now_ms()))
    with pytest.raises(Conflict) as caught:
        stand.updates.stop(SYSTEM, again.id)
    assert caught.value.slug == "firmware_update_installing"


def test_held_after_two_installs_that_were_not_confirmed(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    stand.runs(trap)
    for expected in ("timed_out", "failed"):
        made = stand.offer(trap, release)
        stand.within(lambda c, n=made.id: stand.updates.report(c, n, Event.REBOOTING, at=now_ms()))
        assert stand.pass_deadline(made, state_at=1, install_at=1).state == expected
    assert stand.now(made).code == "loop"
    with pytest.raises(Conflict) as caught:
        stand.offer(trap, release)
    assert cause(caught) == "held"


def test_a_removed_device_is_gone(stand: Stand) -> None:
    trap, release = stand.device(), stand.release()
    made = stand.offer(trap, release)
    stand.app.devices.remove(SYSTEM, trap.reference)
    stand.keeper._gone_at = 0.0
    stand.keep()
    found = stand.now(made)
    assert (found.state, found.device) == ("gone", "trap")
    assert stand.link.sent == []


def test_nobody_sees_another_tenants_updates(stand: Stand) -> None:
    made = stand.offer(stand.device(), stand.release())
    with stand.app.database.write() as connection:
        connection.execute(sa.insert(tenants).values(name="rival", created_at=0))
    rival = Actor("eve", Role.ADMIN, "rival")
    assert stand.updates.listed(rival) == []
    for act in (stand.updates.get, stand.updates.stop):
        with pytest.raises(NotFound):
            act(rival, made.id)


def test_one_bad_row_stops_no_other(stand: Stand) -> None:
    release = stand.release()
    made = [stand.offer(stand.device(name), release) for name in "abc"]
    stand.within(
        lambda c: c.execute(
            sa.update(firmware_updates)
            .where(firmware_updates.c.id == made[1].id)
            .values(history="[1]")
        )
    )
    stand.within(lambda c: c.execute(sa.update(firmware_updates).values(due_at=1, expires_at=1)))
    stand.keep()
    assert [stand.state(one) for one in (made[0], made[2])] == ["timed_out", "timed_out"]
    assert stand.keeper.faults.waiting == 1
    assert str(made[1].id) in stand.keeper.faults.error


def test_each_offer_is_one_message_and_holds_no_readable_link(stand: Stand) -> None:
    made: Update = stand.offer(stand.device(), stand.release())
    with stand.app.database.read() as connection:
        rows = connection.execute(sa.select(downlinks)).mappings().all()
    assert len(rows) == 1
    assert rows[0]["id"] == made.downlink_id
    assert rows[0]["retain"] in (False, 0)
    assert b"/f/" not in bytes(rows[0]["payload"])


def test_an_offer_that_waits_longer_than_its_link(stand: Stand) -> None:
    trap = stand.device()
    made = stand.offer(trap, stand.release(kind=Kind.FIRMWARE))
    before = made.downlink_id
    found = stand.pass_deadline(made)
    assert (found.state, found.offers) == ("waiting", 0)
    assert found.downlink_id not in (None, before)
    stand.listens(trap)
    stand.send(3)
    assert len(stand.link.sent) == 1


def test_lists_read_no_logs(stand: Stand) -> None:
    """64 KiB for each of 500 rows would be a lot to throw away."""
    trap = stand.device()
    stand.runs(trap)
    made = stand.offer(trap, stand.release())
    stand.within(
        lambda connection: stand.updates.report(
            connection, made.id, Event.FAILED, at=now_ms(), code="install", log="x" * 1000
        )
    )
    (listed,) = stand.updates.listed(SYSTEM)
    assert (listed.log, listed.code) == ("", "install")
    assert len(stand.now(made).log) == 1000


@pytest.mark.parametrize(
    ("step", "words"),
    [(None, "is a draft. Publish it first."), (Step.WITHDRAW, "was withdrawn.")],
)
def test_a_release_that_is_not_published_says_what_to_do(
    stand: Stand, step: Step | None, words: str
) -> None:
    trap = stand.device()
    stand.runs(trap)
    if step is None:
        stand.releases.create(SYSTEM, NewRelease("lamp", "1.5.0", "home"))
    else:
        made = stand.release(product="lamp")
        stand.releases.step(SYSTEM, str(made.id), step, reason="it hangs")
    with pytest.raises(Conflict) as caught:
        stand.updates.offer(SYSTEM, trap.reference, "lamp:1.5.0")
    assert cause(caught) == "release_state"
    assert f"The release lamp:1.5.0 {words}" in caught.value.message


def test_one_person_alone_reaches_few_devices_where_rollouts_need_an_approval(
    stand: Stand,
) -> None:
    settings = stand.app.settings.model_copy(
        update={"rollout_approval": "required", "firmware_direct_max_per_day": 2}
    )
    strict = replace(stand.updates, settings=settings)
    release = stand.release()
    devices = [stand.device(f"trap{number}") for number in range(4)]
    for one in devices:
        stand.runs(one)
    ada, eve = (Actor(name, Role.OPERATOR, "home") for name in ("ada", "eve"))
    key = Actor("key:ci", Role.OPERATOR, "home")
    with pytest.raises(Forbidden) as refused:
        strict.offer(key, devices[0].reference, release.reference)
    assert refused.value.slug == "not_a_person"
    made = strict.offer(ada, devices[0].reference, release.reference)
    strict.offer(ada, devices[1].reference, release.reference)
    strict.stop(ada, made.id)
    strict.offer(ada, devices[0].reference, release.reference)  # the same device again
    with pytest.raises(Conflict) as caught:
        strict.offer(ada, devices[2].reference, release.reference)
    assert caught.value.slug == "limit_reached"
    strict.offer(eve, devices[2].reference, release.reference)
    with stand.app.database.write() as connection:
        connection.execute(sa.update(firmware_updates).values(created_at=now_ms() - 86_400_001))
    strict.offer(ada, devices[3].reference, release.reference)
    stand.updates.offer(key, stand.device("lamp").reference, release.reference)  # no approval


def test_devices_that_run_a_withdrawn_release_are_listed(stand: Stand) -> None:
    release = stand.release()
    images = stand.release("2.0.0", kind=Kind.FILESYSTEM)
    traps = [stand.device(f"trap{number}") for number in range(3)]
    for one, version in zip(traps, ("1.5.0", "v1.5", "1.4.0"), strict=True):
        stand.runs(one, version, firmware_key=version_key(version))
    stand.releases.step(SYSTEM, str(release.id), Step.WITHDRAW, reason="it hangs")
    found = stand.releases.devices(SYSTEM, release)
    assert [name for _, name in found] == ["trap0", "trap1"]
    assert stand.releases.running(SYSTEM, release) == 2
    (first,) = stand.releases.devices(SYSTEM, release, limit=1)
    assert stand.releases.devices(SYSTEM, release, after=first[0]) == found[1:]
    with pytest.raises(NotFound):
        stand.releases.devices(Actor("eve", Role.VIEWER, "away"), release)
    # A file system has no version of its own in the state: the last update to it counts.
    assert stand.releases.running(SYSTEM, images) == 0
    made = stand.offer(traps[2], images)
    stand.within(
        lambda connection: stand.updates.report(connection, made.id, Event.INSTALLED, at=now_ms())
    )
    assert [name for _, name in stand.releases.devices(SYSTEM, images)] == ["trap2"]
