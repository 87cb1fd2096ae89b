"""Writing, bounding, showing and cancelling downlinks, on both engines; no broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.app import App
from mooring.devices.model import Device
from mooring.downlink import store
from mooring.downlink.model import NewDownlink, Written
from mooring.downlink.rules import Event, State
from mooring.errors import Conflict, Forbidden, Invalid, MooringError, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.retention.tidy import tidy
from mooring.store.engine import now_ms
from mooring.store.schema import counters, downlinks

Put = Callable[..., int]
Add = Callable[..., Device]


def row(platform: App, number: int) -> Any:
    with platform.database.read() as connection:
        return connection.execute(sa.select(downlinks).where(downlinks.c.id == number)).one()


def states(platform: App) -> list[str]:
    with platform.database.read() as connection:
        return list(
            connection.execute(sa.select(downlinks.c.state).order_by(downlinks.c.id)).scalars()
        )


def test_it_is_part_of_the_callers_transaction(platform: App, device: Add) -> None:
    lamp = device("lamp")
    new = NewDownlink("a/b", b"x", "a", "test", now_ms() + 1000, lamp.id)
    with pytest.raises(RuntimeError), platform.database.write() as connection:
        platform.downlinks.put(connection, new)
        raise RuntimeError
    assert states(platform) == []


def test_a_second_one_with_the_same_key_is_not_written(
    platform: App, device: Add, put: Put
) -> None:
    lamp, pump = device("lamp"), device("pump")
    first = put(lamp, dedupe="k")
    assert put(lamp, dedupe="k") == first
    assert put(pump, dedupe="k") != first
    assert put(lamp) != first
    platform.downlinks.cancel(SYSTEM, lamp, first)
    assert put(lamp, dedupe="k") != first


def test_a_device_and_a_tenant_have_bounds(device: Add, put: Put) -> None:
    lamp, pump, other = device("lamp"), device("pump"), device("lamp2", tenant="b")
    for _ in range(5):
        put(lamp)
    with pytest.raises(Conflict) as refusal:
        put(lamp)
    assert (refusal.value.slug, refusal.value.context["limit"]) == (
        "limit_reached",
        "downlinks_max_per_device",
    )
    for _ in range(3):
        put(pump)
    with pytest.raises(Conflict) as refusal:
        put(pump)
    assert refusal.value.context["limit"] == "downlinks_max_per_tenant"
    put(other)


def test_what_a_tenant_has_open_is_not_counted_for_each_message(
    platform: App, device: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count costs what the tenant has, and everybody's writes wait for it."""
    counted: list[str] = []
    count = store.open_of_tenant

    def noted(connection: Connection, tenant: str, most: int) -> int:
        counted.append(tenant)
        return count(connection, tenant, most)

    monkeypatch.setattr(store, "open_of_tenant", noted)
    settings = platform.settings.model_copy(update={"downlinks_max_per_tenant": 10_000})
    downlinks = replace(platform.downlinks, settings=settings)
    for name in ("lamp", "pump", "valve"):
        new = NewDownlink("a/b", b"x", "a", "test", now_ms() + 1000, device(name).id)
        with platform.database.write() as connection:
            downlinks.put(connection, new)
    assert counted == ["a"]
    assert platform.downlinks is platform.downlinks  # one room for all requests of a process


def test_many_are_written_together_and_each_failure_is_its_own(platform: App, device: Add) -> None:
    lamp, pump = device("lamp"), device("pump")
    expires = now_ms() + 60_000

    def new(of: Device, topic: str = "a/b", dedupe: str | None = None) -> NewDownlink:
        return NewDownlink(topic, b"x", "a", "test", expires, of.id, dedupe=dedupe)

    with platform.database.write() as connection:
        first = platform.downlinks.put(connection, new(lamp, dedupe="one"))
    settings = platform.settings.model_copy(update={"downlinks_max_per_device": 3})
    few = replace(platform.downlinks, settings=settings)
    orders = [
        new(pump),
        new(lamp, dedupe="one"),  # it is open
        new(lamp, "a/#"),
        new(lamp, dedupe="two"),
        new(lamp, dedupe="two"),
        new(lamp),
        new(lamp),  # the fourth
        new(pump),
    ]
    with platform.database.write() as connection:
        found = few.put_many(connection, orders)
    errors = {place: one.slug for place, one in enumerate(found) if isinstance(one, MooringError)}
    assert errors == {2: "invalid_topic", 6: "limit_reached"}
    written = [one for one in found if isinstance(one, Written)]
    assert written[1] == Written(first.id, again=True)
    assert written[3] == Written(written[2].id, again=True)
    with platform.database.read() as connection:
        known = {
            one.id for of in (lamp, pump) for one in store.of_device(connection, of.id, limit=9)
        }
        of_pump = [one.id for one in store.of_device(connection, pump.id, limit=9)]
    assert known == {one.id for one in written}
    assert of_pump == [written[5].id, written[0].id], "numbers belong to their orders"


def test_what_the_broker_would_disconnect_for_is_rejected(platform: App, device: Add) -> None:
    lamp = device("lamp")
    most = platform.settings.message_size_limit
    for topic, payload in (("a/#", b""), ("$SYS/x", b""), ("a\x01", b""), ("a", b"x" * (most + 1))):
        new = NewDownlink(topic, payload, "a", "test", now_ms() + 1000, lamp.id)
        with pytest.raises(Invalid), platform.database.write() as connection:
            platform.downlinks.put(connection, new)


def test_a_secret_is_sealed_and_every_payload_is_erased_at_the_end(
    platform: App, device: Add, put: Put
) -> None:
    lamp = device("lamp")
    secret, plain = put(lamp, b"hush \xff", secret=True, dedupe="k"), put(lamp, b"open")
    held = row(platform, secret)
    assert b"hush" not in held.payload
    assert platform.instance.unseal_bytes(held.payload) == b"hush \xff"
    assert row(platform, plain).payload == b"open"
    with platform.database.write() as connection:
        store.change(connection, Event.EXPIRE, now_ms(), downlinks.c.id == plain)
        assert platform.downlinks.confirm(connection, secret)
        assert not platform.downlinks.confirm(connection, secret)
    assert [row(platform, n).payload for n in (secret, plain)] == [None, None]
    assert states(platform) == ["confirmed", "expired"]
    with platform.database.read() as connection:
        counted = dict(connection.execute(sa.select(counters.c.name, counters.c.value)).all())
    assert (counted["downlinks_confirmed"], counted["downlinks_expired"]) == (1, 1)


def test_removing_a_device_removes_its_downlinks(platform: App, device: Add, put: Put) -> None:
    lamp = device("lamp")
    put(lamp)
    platform.devices.remove(SYSTEM, lamp.username)
    assert states(platform) == []


def test_shown_and_cancelled(platform: App, device: Add, put: Put) -> None:
    lamp, other = device("lamp"), device("other", tenant="b")
    numbers = [put(lamp) for _ in range(3)]
    shown = platform.downlinks.of_device(SYSTEM, lamp, limit=2)
    assert [one.id for one in shown] == numbers[:0:-1]
    assert [one.id for one in platform.downlinks.of_device(SYSTEM, lamp, before=numbers[1])] == [
        numbers[0]
    ]
    with pytest.raises(Forbidden):
        platform.downlinks.cancel(Actor("v", Role.VIEWER, "a"), lamp, numbers[0])
    with pytest.raises(NotFound):
        platform.downlinks.cancel(Actor("b", Role.OPERATOR, "b"), lamp, numbers[0])
    with pytest.raises(NotFound):
        platform.downlinks.cancel(SYSTEM, other, numbers[0])
    assert platform.downlinks.cancel(SYSTEM, lamp, numbers[0]).state is State.CANCELLED
    with pytest.raises(Conflict) as refusal:
        platform.downlinks.cancel(SYSTEM, lamp, numbers[0])
    assert refusal.value.slug == "downlink_over"


def test_withdrawn_only_if_it_was_never_sent(platform: App, device: Add, put: Put) -> None:
    lamp = device("lamp")
    fresh, tried = put(lamp), put(lamp)
    with platform.database.write() as connection:
        connection.execute(
            sa.update(downlinks).where(downlinks.c.id == tried).values(state="sending", attempts=1)
        )
    assert not platform.downlinks.withdraw(SYSTEM, [fresh, tried], "x")
    assert states(platform) == ["cancelled", "sending"]
    other = put(lamp)
    assert platform.downlinks.withdraw(SYSTEM, [other], "x")


def test_a_crowded_tenant_does_not_delay_another(platform: App, device: Add) -> None:
    crowded, quiet = device("crowded", tenant="a"), device("quiet", tenant="z")
    at = now_ms()

    def waiting(device: Device) -> dict[str, Any]:
        return {
            "device_id": device.id,
            "tenant": device.tenant,
            "topic": "t",
            "payload": b"x",
            "qos": 1,
            "until": "taken",
            "state": "waiting",
            "created_at": at,
            "next_at": at,
            "expires_at": at + 60_000,
            "origin": "test",
        }

    with platform.database.write() as connection:
        connection.execute(sa.insert(downlinks), [waiting(crowded)] * 2_000 + [waiting(quiet)])
        assert store.tenants_with_work(connection, None, 10) == ["a", "z"]
        assert store.tenants_with_work(connection, "a", 10) == ["z"]
        assert store.tenants_with_work(connection, "z", 10) == []
        assert len(store.claim(connection, "a", at, 128, alone=False)) == 128
        (mine,) = store.claim(connection, "z", at, 128, alone=False)
        assert (mine.device_id, mine.attempts) == (quiet.id, 1)
        assert store.claim(connection, "z", at, 128, alone=True) == []


def test_finished_ones_are_tidied(platform: App, device: Add, put: Put) -> None:
    lamp = device("lamp")
    old, new, still = put(lamp), put(lamp), put(lamp)
    now, day = now_ms(), 86_400_000
    with platform.database.write() as connection:
        store.change(connection, Event.CANCEL, now - 500 * day, downlinks.c.id == old)
        store.change(connection, Event.CANCEL, now, downlinks.c.id == new)
    list(tidy(platform.database, platform.settings, now))
    with platform.database.read() as connection:
        left = list(connection.execute(sa.select(downlinks.c.id)).scalars())
    assert sorted(left) == [new, still]
    one = platform.settings.model_copy(update={"downlinks_kept_per_device": 1})
    platform.downlinks.cancel(SYSTEM, lamp, still)
    list(tidy(platform.database, one, now))
    with platform.database.read() as connection:
        assert list(connection.execute(sa.select(downlinks.c.id)).scalars()) == [still]
