"""Announcements to every device, on both databases: who, when, the document, its link, its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from mooring.app import open_app
from mooring.devices.model import Device, NewDevice
from mooring.downlink.desired import store as desired_store
from mooring.errors import Forbidden, Gone, MooringError
from mooring.identity.actor import KEY, SYSTEM, Actor, Role
from mooring.jobs import store as job_store
from mooring.ota.latest import store
from mooring.ota.latest.model import Ended, How, Reached
from mooring.ota.latest.service import Announcements
from mooring.ota.links.downloads import ANNOUNCED_MAX_PER_ADDRESS
from mooring.ota.links.model import File
from mooring.ota.links.service import Opening
from mooring.ota.releases.model import Release
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.model import Rollout
from mooring.presence.firmware_store import add_versions
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import desired, device_state, firmware_latest, firmware_rollouts
from mooring.store.version_key import version_key
from tests.integration.ota.test_rollouts import ALL, AT_ONCE, Bench
from tests.support.ports import free_port

TOPIC = "global/firmware/latest"
ROOT = Actor("root", Role.ADMIN)
HOME = Actor("ada", Role.ADMIN, "home")
WAVES = replace(AT_ONCE, waves=(50.0, 100.0))


class Fleet(Bench):
    """Traps, and what is announced to them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.announcements = replace(
            self.app.service(Announcements), jobs=self.jobs, rollouts=self.rollouts
        )

    def trap(self, name: str, tenant: str = "home", version: str = "1.4.0", at: int = 1) -> Device:
        made = NewDevice(name, "mousetrap", tenant, mac="AA:BB:CC:00:00:" + name[-2:])
        device = self.app.devices.add(SYSTEM, made)[0].device
        self.says(device, version, at)
        return device

    def says(self, device: Device, version: str, at: int) -> None:
        """The version that a device reports, since a time."""
        self.runs(
            device,
            version,
            firmware_key=version_key(version),
            connected=True,
            connected_at=1,
        )
        self.within(lambda connection: add_versions(connection, [(device.id, at, version)]))

    def proved(self, release: Release) -> Rollout:
        """A rollout behind its last gate."""
        rollout = self.start(release, WAVES)
        self.ends(self.targets(rollout, "handed_over"), "confirmed")
        assert self.of(rollout).job.wave == 1
        return rollout

    def document(self) -> dict[str, Any] | None:
        """What the broker is to have on the topic."""
        with self.app.database.read() as connection:
            row = connection.execute(sa.select(desired).where(desired.c.topic == TOPIC)).first()
        if row is None or row.payload is None:
            return None
        assert row.sealed
        found: dict[str, Any] = msgspec.json.decode(
            self.app.instance.unseal_bytes(bytes(row.payload))
        )
        return found

    def opened(self, document: dict[str, Any]) -> File:
        token = str(document["url"]).rpartition("/f/")[2]
        opening = Opening(self.app.database, self.app.tally, self.updates)
        return opening.file(token, [], lambda: None, "192.0.2.1")

    def latest_at(self, rollout: Rollout) -> int | None:
        statement = sa.select(firmware_rollouts.c.latest_at)
        with self.app.database.read() as connection:
            found: int | None = connection.execute(
                statement.where(firmware_rollouts.c.job_id == rollout.id)
            ).scalar()
        return found


@pytest.fixture
def fleet(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        made = Fleet(app)
        monkeypatch.setattr("mooring.jobs.worker.now_ms", lambda: now_ms() + made.late)
        yield made


def cause(caught: pytest.ExceptionInfo[MooringError]) -> str:
    assert caught.value.slug == "not_announced"
    return str(caught.value.context["cause"])


def test_after_the_last_gate_and_not_before(fleet: Fleet) -> None:
    for number in range(4):
        fleet.trap(f"trap0{number}")
    release = fleet.release()
    rollout = fleet.start(release, WAVES)
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, rollout.id)
    assert cause(caught) == "gate"
    assert fleet.document() is None
    fleet.ends(fleet.targets(rollout, "handed_over"), "confirmed")
    ((one, _),) = fleet.announcements.announce(ROOT, rollout.id, reason="it works")
    assert (one.topic, one.release, one.dialects) == (TOPIC, "trap:1.5.0", ("mousetrap",))
    document = fleet.document()
    assert document is not None
    assert (document["version"], document["size"]) == ("1.5.0", release.artifacts[0].size)
    assert document["sha256"] == release.artifacts[0].sha256
    assert "id" not in document
    assert fleet.latest_at(rollout) == one.at
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, rollout.id)
    assert cause(caught) == "announced"


def test_only_an_administrator_of_the_whole_installation(fleet: Fleet) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    rollout = fleet.proved(fleet.release())
    for actor in (HOME, Actor("eve", Role.OPERATOR), Actor("eve", Role.VIEWER)):
        with pytest.raises(Forbidden):
            fleet.announcements.announce(actor, rollout.id)
        with pytest.raises(Forbidden):
            fleet.announcements.retract(actor, rollout.id)
    with pytest.raises(Forbidden):
        fleet.announcements.listed(HOME)
    assert fleet.document() is None
    fleet.announcements.announce(ROOT, rollout.id)
    assert fleet.announcements.of_rollout(HOME, rollout.id) == []
    assert len(fleet.announcements.of_rollout(ROOT, rollout.id)) == 1


def test_of_a_rollout_that_needs_an_approval_another_person(fleet: Fleet) -> None:
    """A rollout to one device and its announcement are not the work of one person."""
    fleet.trap("trap01")
    ada, bob = Actor("ada", Role.ADMIN), Actor("bob", Role.ADMIN)
    rollout = fleet.start(fleet.release(), ALL, actor=ada, approval=True)
    fleet.rollouts.approve(bob, rollout.id)
    fleet.work()
    fleet.ends(fleet.targets(rollout, "handed_over"), "confirmed")
    key = Actor(f"{KEY}deploy", Role.ADMIN)
    for actor, code in ((ada, "second_person_needed"), (key, "not_a_person")):
        with pytest.raises(Forbidden) as caught:
            fleet.announcements.announce(actor, rollout.id)
        assert caught.value.slug == code
    assert fleet.document() is None
    assert len(fleet.announcements.announce(bob, rollout.id)) == 1


def test_a_newer_release_supersedes_it_and_an_older_one_does_not(fleet: Fleet) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    first = fleet.proved(fleet.release("1.9.0"))
    fleet.announcements.announce(ROOT, first.id)
    former = fleet.document()
    assert former is not None
    fleet.ends(fleet.targets(first, "handed_over"), "confirmed")
    second = fleet.proved(fleet.release("1.10.0"))
    fleet.announcements.announce(ROOT, second.id)
    document = fleet.document()
    assert document is not None
    assert document["version"] == "1.10.0"
    with pytest.raises(Gone):
        fleet.opened(former)
    assert fleet.opened(document).sha256 == document["sha256"]
    assert fleet.latest_at(first) is None
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, first.id)
    assert cause(caught) == "older"
    found = fleet.announcements.listed(ROOT)
    assert [one.ended_why for one, _ in found] == ["", "superseded"]


def test_a_rollout_is_announced_while_one_of_its_topics_has_its_release(fleet: Fleet) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    release = fleet.release()
    rollout = fleet.proved(release)
    ((one, _),) = fleet.announcements.announce(ROOT, rollout.id)
    with fleet.app.database.write() as connection:
        store.insert(
            connection,
            topic="others/firmware/latest",
            dialects=("other",),
            kind=release.kind,
            job=rollout.id,
            release=release.id,
            artifact=release.artifacts[0].id,
            verifier="0" * 64,
            actor="root",
            reason="",
            at=one.at + 1,
        )
    assert fleet.latest_at(rollout) == one.at
    with fleet.app.database.write() as connection:
        store.end(connection, [one], Ended.SUPERSEDED, one.at + 2)
    assert fleet.latest_at(rollout) == one.at + 1
    fleet.announcements.retract(ROOT, rollout.id)
    assert fleet.latest_at(rollout) is None


def test_an_announcement_is_retracted_after_its_rollout_was_deleted(fleet: Fleet) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    rollout = fleet.proved(fleet.release())
    fleet.announcements.announce(ROOT, rollout.id)
    with fleet.app.database.write() as connection:
        assert job_store.delete_some(connection, rollout.id)
    ((one, _),) = fleet.announcements.retract(ROOT, rollout.id)
    assert (one.topic, one.ended_why, fleet.document()) == (TOPIC, "retracted", None)
    with pytest.raises(MooringError) as caught:
        fleet.announcements.retract(ROOT, rollout.id)
    assert caught.value.slug == "rollout_not_found"


@pytest.mark.parametrize("how", ["withdraw", "retract"])
def test_its_end_clears_the_topic_and_its_link(fleet: Fleet, how: str) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    release = fleet.release()
    rollout = fleet.proved(release)
    fleet.announcements.announce(ROOT, rollout.id)
    document = fleet.document()
    assert document is not None
    found = fleet.opened(document)
    assert found == File(
        release.artifacts[0].id,
        "app.bin",
        release.artifacts[0].size,
        release.artifacts[0].sha256,
        "",
        "192.0.2.1",
        ANNOUNCED_MAX_PER_ADDRESS,
        None,
    )
    if how == "withdraw":
        fleet.releases.step(ROOT, str(release.id), Step.WITHDRAW, reason="it hangs")
    else:
        fleet.announcements.retract(ROOT, rollout.id, reason="a mistake")
    assert fleet.document() is None
    (pending,) = fleet.within(lambda connection: desired_store.pending(connection, "", 10))
    assert (pending.topic, pending.payload) == (TOPIC, None)  # the broker is to clear it
    with pytest.raises(Gone) as caught:
        fleet.opened(document)
    assert caught.value.slug == "update_over"
    assert fleet.latest_at(rollout) is None
    ((_, reached),) = fleet.announcements.listed(ROOT)
    assert reached is None  # devices that report the version later do not have it from here
    with pytest.raises(MooringError) as refused:
        fleet.announcements.retract(ROOT, rollout.id)
    assert cause(refused) == "none"


def test_devices_are_counted_by_how_they_came_to_the_version(fleet: Fleet) -> None:
    """Those of other tenants too; each shows what it is."""
    traps = [fleet.trap(f"trap0{number}") for number in range(2)]
    elsewhere = [fleet.trap(f"far{number}", "away") for number in range(10, 13)]
    fleet.says(elsewhere[2], "1.5.0", at=2)
    rollout = fleet.proved(fleet.release())
    updated = next(one for one in traps if fleet.target(rollout, one).state == "succeeded")
    fleet.says(updated, "1.5.0", at=now_ms())
    fleet.announcements.announce(ROOT, rollout.id)
    fleet.says(elsewhere[0], "1.5.0", at=now_ms() + 1000)
    ((_, reached),) = fleet.announcements.listed(ROOT)
    assert reached == Reached(by_update=1, by_topic=1, before=1)
    expected = [
        (updated, How.UPDATE),
        (elsewhere[0], How.TOPIC),
        (elsewhere[1], How.NOT_YET),
        (elsewhere[2], How.BEFORE),
    ]
    for device, how in expected:
        (seen,) = fleet.announcements.of_device(SYSTEM, device)
        assert seen.how is how
    other = fleet.device("lamp")
    assert fleet.announcements.of_device(SYSTEM, other) == []
    # One that the rollout would update, and that has it from the topic, is shown as that.
    later = fleet.trap("trap05", version="1.5.0", at=now_ms() + 1000)
    fleet.rollouts.add(SYSTEM, rollout.id)
    fleet.work()
    assert fleet.target(rollout, later).cause == "announced"


def test_hardware_and_places(fleet: Fleet) -> None:
    trap, other = fleet.trap("trap01"), fleet.trap("trap02")
    fleet.attribute(trap, "hardware", "esp32")
    fleet.attribute(other, "hardware", "esp32")
    far = fleet.trap("far10", "away")
    rollout = fleet.proved(fleet.release(hardware=("esp32",)))
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, rollout.id)
    assert cause(caught) == "hardware_unknown"
    fleet.attribute(far, "hardware", "esp8266")
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, rollout.id, force_hardware=True)
    assert cause(caught) == "hardware"
    fleet.app.devices.remove(SYSTEM, far.reference)
    fleet.announcements.announce(ROOT, rollout.id)


def test_dialects_without_such_a_topic(fleet: Fleet) -> None:
    fleet.fleet(2)
    rollout = fleet.proved(fleet.release())
    with pytest.raises(MooringError) as caught:
        fleet.announcements.announce(ROOT, rollout.id)
    assert cause(caught) == "no_channel"


def test_the_link_is_stored_as_its_digest(fleet: Fleet) -> None:
    fleet.trap("trap01")
    fleet.trap("trap02")
    rollout = fleet.proved(fleet.release())
    fleet.announcements.announce(ROOT, rollout.id)
    document = fleet.document()
    assert document is not None
    token = str(document["url"]).rpartition("/f/")[2]
    assert len(token) == 22
    with fleet.app.database.read() as connection:
        row = connection.execute(sa.select(firmware_latest)).one()
        stored = connection.execute(sa.select(desired.c.payload)).scalar_one()
    assert row.verifier == hashlib.sha256(token.encode()).hexdigest()
    assert token.encode() not in bytes(stored)
    with fleet.app.database.read() as connection:
        assert (
            connection.execute(sa.select(sa.func.count()).select_from(device_state)).scalar() == 2
        )
