"""Devices of a made-up fleet: added once, used again, and nobody else's touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.changes.queue import waiting
from mooring.devices import store
from mooring.devices.model import NewDevice
from mooring.devices.service import Devices
from mooring.dialects import load_all
from mooring.identity.actor import SYSTEM
from mooring.secrets.instance import open_instance
from mooring.secrets.verifiers import check
from mooring.simulate.enrol import LABEL, Passwords, enrol, made_up_mac, own_prefix
from mooring.simulate.figures import Figures, Latencies
from mooring.store.engine import open_database


@pytest.fixture
def devices(tmp_path: Path, new_sqlite_url: str) -> Iterator[Devices]:
    database = open_database(new_sqlite_url)
    yield Devices(database, load_all(), open_instance(tmp_path))
    database.close()


def names(devices: Devices) -> list[str]:
    return [device.name for device in devices.page(SYSTEM)]


def test_devices_are_added_and_used_again(devices: Devices, tmp_path: Path) -> None:
    pulse = devices.catalogue.get("pulse")
    ready: list[int] = []
    first = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 3, on_each=lambda: ready.append(1))
    assert [e.device.name for e in first] == ["sim-pulse-1", "sim-pulse-2", "sim-pulse-3"]
    assert {e.device.label for e in first} == {LABEL}
    assert len(ready) == 3
    with devices.database.read() as connection:
        assert [number for number, _ in waiting(connection)] == [e.change for e in first]
        verifiers = store.verifiers(connection)
    for each in first:
        assert check(each.password, verifiers[each.device.username])
    again = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 2)
    assert [(e.device, e.password, e.change) for e in again] == [
        (e.device, e.password, None) for e in first[:2]
    ]


def test_the_passwords_are_for_their_owner_only(devices: Devices, tmp_path: Path) -> None:
    [each] = enrol(devices, SYSTEM, Passwords(tmp_path), devices.catalogue.get("mooring"), 1)
    file = tmp_path / "simulated.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert each.password in file.read_text(encoding="utf-8")
    assert each.password not in repr(each)


@pytest.mark.parametrize("damage", ["gone", "garbage", "other"])
def test_a_lost_password_is_a_new_device(devices: Devices, tmp_path: Path, damage: str) -> None:
    pulse = devices.catalogue.get("pulse")
    [before] = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 1)
    file = tmp_path / "simulated.json"
    if damage == "gone":
        file.unlink()
    else:
        file.write_text({"garbage": "{", "other": '["x"]'}[damage], encoding="utf-8")
    [after] = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 1)
    assert after.device.name == before.device.name
    assert after.device.id != before.device.id
    assert after.password != before.password
    assert names(devices) == ["sim-pulse-1"]


def test_a_device_of_somebodys_is_left_alone(devices: Devices, tmp_path: Path) -> None:
    devices.add(SYSTEM, NewDevice("sim-pulse-1", "pulse", label="mine"))
    pulse = devices.catalogue.get("pulse")
    found = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 2)
    assert [e.device.name for e in found] == ["sim-pulse-2", "sim-pulse-3"]
    assert devices.get(SYSTEM, "sim-pulse-1").label == "mine"


def test_a_name_taken_in_another_tenant_is_passed_over(devices: Devices, tmp_path: Path) -> None:
    """Where topics name no tenant, a device's id is unique across tenants."""
    drivesafe = devices.catalogue.get("drivesafe")
    passwords = Passwords(tmp_path)
    enrol(devices, SYSTEM, passwords, drivesafe, 1, tenant="one")
    [other] = enrol(devices, SYSTEM, passwords, drivesafe, 1, tenant="two")
    assert other.device.name == "sim-drivesafe-2"


def test_devices_that_need_a_mac_get_one_that_is_nobodys(devices: Devices, tmp_path: Path) -> None:
    mousetrap = devices.catalogue.get("mousetrap")
    found = enrol(devices, SYSTEM, Passwords(tmp_path), mousetrap, 20)
    macs = {e.device.mac for e in found}
    assert len(macs) == 20
    assert all(mac is not None and mac.startswith("02:") for mac in macs)
    assert made_up_mac("a", "b") == made_up_mac("a", "b") != made_up_mac("a", "c")


def test_every_dialect_can_be_enrolled(devices: Devices, tmp_path: Path) -> None:
    passwords = Passwords(tmp_path)
    for dialect in devices.catalogue.all():
        assert len(enrol(devices, SYSTEM, passwords, dialect, 2)) == 2


def test_runs_at_once_share_no_device(devices: Devices, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from mooring.simulate.enrol import own_prefix\n"
        "with own_prefix(pathlib.Path(sys.argv[1])) as prefix:\n"
        "    print(prefix, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    others = []
    try:
        for wanted in ("sim", "sim2", "sim3"):
            other = subprocess.Popen(
                [sys.executable, "-c", program, tmp_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            others.append(other)
            assert other.stdout is not None
            assert other.stdout.readline() == f"{wanted}\n"
        others[1].kill()
        others[1].wait()
        with own_prefix(tmp_path) as prefix:
            assert prefix == "sim2"
            pulse = devices.catalogue.get("pulse")
            [each] = enrol(devices, SYSTEM, Passwords(tmp_path), pulse, 1, prefix=prefix)
            assert each.device.name == "sim2-pulse-1"
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_runs_at_once_lose_no_password_of_each_other(tmp_path: Path) -> None:
    one, two = Passwords(tmp_path), Passwords(tmp_path)
    one.put("a", "1")
    two.put("b", "2")
    one.save()
    two.save()
    one.put("c", "3")
    two.forget("b")
    two.save()
    one.save()
    found = Passwords(tmp_path)
    assert [found.get(name) for name in "abc"] == ["1", None, "3"]


# ------------------------------------------------------------------------- figures


def test_percentiles_are_right_within_a_bucket() -> None:
    latencies = Latencies()
    assert latencies.percentile(0.5) is None
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds)
    for share, exact in ((0.5, 500), (0.99, 990), (1.0, 1000), (0.001, 1)):
        found = latencies.percentile(share)
        assert found is not None
        assert exact <= found <= exact * 1.06
    latencies.add(10**9)
    latencies.add(0)
    assert latencies.count == 1002


def test_figures_for_people_and_machines() -> None:
    figures = Figures(devices=2, connected=2, welcomed=2, sent=10, seconds=2.0)
    assert figures.line() == "2 of 2 connected, 10 sent (5/s), 0 acknowledged, 0 rejected"
    figures.confirmable = figures.acknowledged = 1
    figures.commands = figures.broken = 3
    figures.latencies.add(1.0)
    assert "p50 1.0 ms, p99 1.0 ms" in figures.line()
    assert figures.line().endswith("3 commands received, 3 connections lost")
    document = figures.document()
    assert document["rate"] == 5.0
    assert 0.95 < document["latency_p50_ms"] < 1.06
