"""Rotations against a real database: begun once, chosen by age, by schedule, tidied up."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.broker.connection import Endpoint
from mooring.credentials.rotation.rules import Phase
from mooring.credentials.rotation.service import Rotations
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.devices import password_store as passwords
from mooring.devices.model import Device, NewDevice
from mooring.errors import Conflict, Forbidden
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets import verifiers
from mooring.store import leases as leases_module
from mooring.store.engine import now_ms
from mooring.store.leases import LEASE_MS, Lease
from mooring.store.schema import audit, credentials, former_verifiers, leases, rotations

DAY = 86_400_000


def device(platform: App, name: str = "lamp", *, tenant: str = "a", days: int = 0) -> Device:
    added, _ = platform.devices.add(SYSTEM, NewDevice(name, "iotflow", tenant))
    with platform.database.write() as connection:
        connection.execute(
            sa.update(credentials)
            .where(credentials.c.device_id == added.device.id)
            .values(created_at=now_ms() - days * DAY)
        )
    return added.device


def worker(platform: App, **settings: object) -> RotationWorker:
    changed = platform.settings.model_copy(update=settings)
    parts = Parts(
        platform.database,
        platform.devices,
        platform.instance,
        Rotations(platform.database, platform.devices, platform.instance, changed),
        platform.downlinks,
        changed,
    )
    return RotationWorker(parts, Endpoint(port=1, username="service", password="x"))


def test_one_at_a_time(platform: App) -> None:
    lamp = device(platform)

    def start(_: int) -> tuple[str, bool]:
        begun = platform.rotations.start(SYSTEM, lamp)
        return begun.rotation.id, begun.again

    with ThreadPoolExecutor(4) as pool:
        begun = list(pool.map(start, range(4)))
    assert len({number for number, _ in begun}) == 1
    assert sorted(again for _, again in begun) == [False, True, True, True]


def test_the_password_is_sealed_and_only_its_verifier_is_plain(platform: App) -> None:
    rotation = platform.rotations.start(SYSTEM, device(platform)).rotation
    assert rotation.sealed_secret is not None
    secret = platform.instance.unseal(rotation.sealed_secret)
    assert verifiers.check(secret, rotation.new_verifier or "")
    assert secret not in repr(rotation)


def test_what_cannot_be_rotated(platform: App) -> None:
    lamp = device(platform)
    locked, _ = platform.devices.set_enabled(SYSTEM, lamp.username, enabled=False)
    with pytest.raises(Conflict) as refusal:
        platform.rotations.start(SYSTEM, locked)
    assert refusal.value.slug == "device_disabled"
    attached = replace(
        platform.rotations, settings=platform.settings.model_copy(update={"broker": "attached"})
    )
    with pytest.raises(Conflict) as refusal:
        attached.start(SYSTEM, lamp)
    assert refusal.value.slug == "rotation_needs_log"
    with pytest.raises(Forbidden):
        platform.rotations.start(Actor("v", Role.VIEWER, "a"), lamp)


def test_chosen_by_age_tenant_and_dialect(platform: App) -> None:
    old, young = device(platform, "old", days=100), device(platform, "young", tenant="b")
    ask = platform.rotations.candidates
    assert ask(SYSTEM) == [old.id, young.id]
    assert ask(SYSTEM, older_than_ms=90 * DAY) == [old.id]
    assert ask(SYSTEM, tenant="b") == [young.id]
    assert ask(SYSTEM, dialect="pulse") == []
    assert ask(SYSTEM, limit=1, after=old.id) == [young.id]
    assert ask(Actor("b", Role.OPERATOR, "b")) == [young.id]
    platform.rotations.start(SYSTEM, old)
    assert ask(SYSTEM) == [young.id]


def test_by_schedule(platform: App) -> None:
    old, _ = device(platform, "old", days=100), device(platform, "young")
    worker(platform)._schedule()
    assert platform.rotations.newest(old) is None  # off unless it is asked for
    scheduled = worker(platform, rotate_after_days=90)
    scheduled._schedule()
    scheduled._schedule()
    found = platform.rotations.page(SYSTEM)
    assert [(name, rotation.actor) for _, name, rotation in found] == [("old", "schedule")]
    with platform.database.write() as connection:
        connection.execute(
            sa.update(rotations).values(phase=str(Phase.ROLLED_BACK), finished_at=now_ms())
        )
    scheduled._schedule()  # a device that did not take it is not asked every minute
    assert len(platform.rotations.page(SYSTEM)) == 1


def test_removing_a_device_ends_its_rotation_and_buries_every_password(platform: App) -> None:
    lamp = device(platform)
    platform.rotations.start(SYSTEM, lamp)
    platform.devices.remove(SYSTEM, lamp.username, reason="scrapped")
    with platform.database.read() as connection:
        assert connection.execute(sa.select(rotations)).all() == []
        buried = connection.execute(sa.select(former_verifiers.c.removed)).scalars().all()
        why = connection.execute(sa.select(audit.c.reason).order_by(audit.c.id.desc())).scalar()
    assert buried == [True, True]
    assert why == "scrapped"


def test_tidying_forgets_what_is_over(platform: App) -> None:
    lamp = device(platform, days=8)
    with platform.database.write() as connection:
        passwords.retire(connection, lamp, "$7$x", until=now_ms() + 60_000)
        connection.execute(sa.update(former_verifiers).values(until=1))
        connection.execute(sa.update(credentials).values(sealed_secret=b"x"))
    worker(platform)._tidy()
    with platform.database.read() as connection:
        assert connection.execute(sa.select(former_verifiers)).all() == []
        assert connection.execute(sa.select(credentials.c.sealed_secret)).scalar() is None


def test_a_lease_is_held_by_one(platform: App) -> None:
    first = Lease(platform.database, "work", lease_ms=60_000)
    second = Lease(platform.database, "work", lease_ms=60_000)
    assert first.held()
    assert not second.held()
    assert first.held()
    first.release()
    assert second.held()


def test_a_process_renews_its_leases_together(
    platform: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but those of work that hangs, of another process, and those that were released."""
    now = now_ms()
    monkeypatch.setattr(leases_module, "now_ms", lambda: now)
    mine = [Lease(platform.database, name) for name in ("one", "two", "hangs", "released")]
    for lease in mine:
        assert lease.held()
    stolen = Lease(platform.database, "stolen")
    assert stolen.held()
    with platform.database.write() as connection:
        theirs = sa.update(leases).where(leases.c.name == "stolen")
        connection.execute(theirs.values(holder="elsewhere:1:x"))
    one, two, hangs, released = mine
    released.release()
    now += 8_000
    assert not any(lease.fresh for lease in (one, two, stolen))  # each asks, but for the others
    assert one.held()
    assert (one.fresh, two.fresh, released.fresh, stolen.fresh) == (True, True, False, False)
    with platform.database.read() as connection:
        until = dict(
            row._tuple() for row in connection.execute(sa.select(leases.c.name, leases.c.until))
        )
    assert until == {
        "one": now + LEASE_MS,
        "two": now + LEASE_MS,
        "hangs": now - 8_000 + LEASE_MS,
        "stolen": now - 8_000 + LEASE_MS,
    }
    assert not hangs.fresh
    assert not stolen.held()


def test_a_renewal_that_waited_long_shortens_no_other_lease(
    platform: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another process would take work that this one still believes to have."""
    now = now_ms()
    monkeypatch.setattr(leases_module, "now_ms", lambda: now)
    waits, other = Lease(platform.database, "waits"), Lease(platform.database, "other")
    assert waits.held()
    assert other.held()
    now += 6_000
    renew = leases_module._renew

    def late(connection: sa.Connection, claims: Iterable[Lease], until: int) -> set[Lease]:
        theirs = sa.update(leases).where(leases.c.name == "other")
        connection.execute(theirs.values(until=now + 9_000 + LEASE_MS))  # as its own renewal
        return renew(connection, claims, until)

    monkeypatch.setattr(leases_module, "_renew", late)
    assert not other.fresh  # it asks, so it is renewed with the others
    assert waits.held()
    with platform.database.read() as connection:
        until = connection.execute(sa.select(leases.c.until).where(leases.c.name == "other"))
        assert until.scalar_one() == now + 9_000 + LEASE_MS


def test_the_lease_of_a_killed_process_ends(platform: App) -> None:
    killed = Lease(platform.database, "work", lease_ms=-1)
    assert killed.held()
    assert Lease(platform.database, "work").held()


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over(platform: App) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    name = socket.gethostname()
    with platform.database.write() as connection:
        for work, holder in (
            ("dead", f"{name}:{ended.pid}:x"),
            ("alive", f"{name}:{os.getppid()}:x"),
            ("elsewhere", f"other-{name}:{ended.pid}:x"),
        ):
            values = {"name": work, "holder": holder, "until": now_ms() + 60_000}
            connection.execute(sa.insert(leases).values(values))
    found = {
        work: Lease(platform.database, work).held(after_dead=True)
        for work in ("dead", "alive", "elsewhere")
    }
    assert found == {"dead": True, "alive": False, "elsewhere": False}
