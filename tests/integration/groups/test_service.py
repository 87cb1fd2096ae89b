"""Groups as people use them, on both engines: members, rights, limits, walls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.changes import queue
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change, Level
from mooring.devices import changes, group_store
from mooring.devices.model import NewDevice
from mooring.devices.service import GROUPS_MAX
from mooring.errors import Conflict, Forbidden, Invalid, MooringError, NotFound
from mooring.groups import service as service_module
from mooring.groups.model import MembersChanged, NewGroup
from mooring.groups.selector import Selector
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.settings import Settings
from mooring.store.schema import audit, broker_changes, device_groups, device_state, groups

ADA = Actor("ada", Role.OPERATOR, "a")
EVE = Actor("eve", Role.ADMIN, "b")


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        auth_mode="dynamic_security",
        groups_max_per_tenant=5,
    )
    with open_app(settings) as app:
        for name, dialect in (("p-1", "pulse"), ("p-2", "pulse"), ("i-1", "iotflow")):
            add(app, name, dialect)
        yield app


def add(app: App, name: str, dialect: str = "pulse", tenant: str = "a", **more: Any) -> int:
    number = app.devices.add(SYSTEM, NewDevice(name, dialect, tenant, **more))[0].device.id
    with app.database.write() as connection:
        connection.execute(
            sa.insert(device_state).values(device_id=number, connected=dialect == "iotflow")
        )
    return number


def service(app: App) -> Groups:
    return app.service(Groups)


def names(app: App, group: str, **paging: Any) -> list[str]:
    return [one.name for one in service(app).members(ADA, "a", group, **paging)]


def pending(app: App) -> list[tuple[str, str]]:
    with app.database.read() as connection:
        rows = connection.execute(
            sa.select(broker_changes.c.action, broker_changes.c.username).order_by(
                broker_changes.c.id
            )
        )
        return [(action, username) for action, username in rows]


def settle(app: App) -> None:
    with app.database.write() as connection:
        connection.execute(sa.delete(broker_changes))


def slug(caught: pytest.ExceptionInfo[MooringError]) -> str:
    return caught.value.slug


# ------------------------------------------------------------------ groups


def test_a_group_is_created_changed_and_removed(platform: App) -> None:
    made = service(platform).create(ADA, NewGroup("cellar", "a", None, "Pumps", 3), reason="new")
    assert (made.devices, made.group.created_by, made.group.priority) == (0, "ada", 3)
    changed = service(platform).change(ADA, "a", "cellar", description="", priority=4)
    assert service(platform).show(ADA, "a", "cellar") == changed
    assert (changed.group.description, changed.group.priority) == ("", 4)
    service(platform).remove(ADA, "a", "cellar")
    with pytest.raises(NotFound):
        service(platform).show(ADA, "a", "cellar")
    with platform.database.read() as connection:
        rows = connection.execute(
            sa.select(audit.c.action, audit.c.subject, audit.c.tenant, audit.c.reason)
            .where(audit.c.action.like("group.%"))
            .order_by(audit.c.id)
        ).all()
    assert rows[0] == ("group.create", "cellar", "a", "new")
    assert [row.action for row in rows] == ["group.create", "group.set", "group.remove"]


def test_a_dynamic_group_is_counted_before_it_is_saved(platform: App) -> None:
    new = NewGroup("pulses", "a", "dialect = pulse")
    assert service(platform).create(ADA, new, dry_run=True).devices == 2
    with pytest.raises(NotFound):
        service(platform).show(ADA, "a", "pulses")
    assert service(platform).create(ADA, new).devices == 2
    with platform.database.read() as connection:
        assert connection.execute(sa.select(device_groups)).all() == []
    add(platform, "p-3")
    assert service(platform).show(ADA, "a", "pulses").devices == 3
    assert names(platform, "pulses", limit=2) == ["p-1", "p-2"]
    changed = service(platform).change(ADA, "a", "pulses", query="name ~ i*", dry_run=True)
    assert (changed.devices, names(platform, "pulses")) == (1, ["p-1", "p-2", "p-3"])
    service(platform).change(ADA, "a", "pulses", query="name ~ i*")
    assert names(platform, "pulses") == ["i-1"]
    listed = service(platform).page(ADA, "a")
    assert [(one.group.name, one.devices) for one in listed] == [("pulses", None)]
    assert service(platform).remove(ADA, "a", "pulses") == MembersChanged(0, 0, 0)


def test_what_is_not_a_group(platform: App) -> None:
    create = service(platform).create
    create(ADA, NewGroup("static", "a"))
    create(ADA, NewGroup("dynamic", "a", "online"))
    for new, code in (
        (NewGroup("static", "a"), "group_exists"),
        (NewGroup("x", "a", "type ="), "invalid_search"),
        (NewGroup("x", "a", "group = nobody"), "group_not_found"),
        (NewGroup("x", "a", "group = dynamic"), "invalid_search"),
        (NewGroup("a/b", "a"), "invalid_id"),
        (NewGroup("x\0", "a"), "invalid_id"),
        (NewGroup("x", "a", None, "\u202eevil"), "invalid_id"),
        (NewGroup("x", "a", None, "y" * 201), "invalid"),
        (NewGroup("x", "a", None, "", 10**7), "invalid"),
        (NewGroup("x", "nobody"), "tenant_not_found"),
    ):
        with pytest.raises(MooringError) as caught:
            create(ADA if new.tenant == "a" else SYSTEM, new)
        assert slug(caught) == code, new
    with pytest.raises(Conflict) as static:
        service(platform).change(ADA, "a", "static", query="online")
    assert slug(static) == "group_is_static"
    for odd in ("\0", "\ud800", "a/b", ""):
        with pytest.raises(NotFound):
            service(platform).show(ADA, "a", odd)
        with pytest.raises(NotFound):
            service(platform).show(SYSTEM, odd, "static")


def test_there_are_so_many_groups_and_no_more(platform: App) -> None:
    for number in range(5):
        service(platform).create(ADA, NewGroup(f"g{number}", "a"))
    with pytest.raises(Conflict) as created:
        service(platform).create(ADA, NewGroup("g5", "a"))
    with pytest.raises(Conflict) as named:
        add(platform, "p-9", groups=("g5",))
    assert slug(created) == slug(named) == "limit_reached"
    add(platform, "p-9", groups=("g4",))
    add(platform, "q-1", tenant="b", groups=("g5",))  # a limit of each tenant


# ------------------------------------------------------------------ members


def test_members_are_added_and_taken_out(platform: App) -> None:
    service(platform).create(ADA, NewGroup("cellar", "a"))
    change = service(platform)
    settle(platform)
    everybody = Selector("a")
    planned = change.add(ADA, "cellar", everybody, dry_run=True)
    assert (planned.devices, planned.changes, names(platform, "cellar")) == (3, (), [])
    done = change.add(ADA, "cellar", everybody)
    assert (done.devices, names(platform, "cellar")) == (3, ["p-1", "p-2", "i-1"])
    assert change.add(ADA, "cellar", everybody).devices == 0
    assert change.drop(ADA, "cellar", Selector("a", names=("p-2",))).devices == 1
    assert change.drop(ADA, "cellar", Selector("a", where="name = p-2")).devices == 0
    service(platform).create(ADA, NewGroup("other", "a"))
    assert change.add(ADA, "other", Selector("a", group="cellar")).devices == 2
    shown = service(platform).page(ADA, "a")
    assert [(one.group.name, one.devices) for one in shown] == [("cellar", 2), ("other", 2)]
    assert platform.devices.get(ADA, "p-1").groups == ("cellar", "other")
    assert service(platform).remove(ADA, "a", "cellar").devices == 2
    assert platform.devices.get(ADA, "p-1").groups == ("other",)


def test_only_who_gets_other_rights_concerns_the_broker(platform: App) -> None:
    """Of these three devices one speaks a dialect whose topics name groups."""
    service(platform).create(ADA, NewGroup("cellar", "a"))
    settle(platform)
    everybody = Selector("a")
    planned = service(platform).add(ADA, "cellar", everybody, dry_run=True)
    assert (planned.rights, planned.sessions) == (1, 1)
    assert pending(platform) == []
    done = service(platform).add(ADA, "cellar", everybody)
    assert pending(platform) == [("put", "i-1")]
    with platform.database.read() as connection:
        assert queue.existing(connection, list(done.changes)) == set(done.changes)
    assert {a.username for a in platform.devices.accounts() if "cellar" in a.values} == {"i-1"}
    settle(platform)
    assert service(platform).remove(ADA, "a", "cellar", dry_run=True).sessions == 1
    service(platform).remove(ADA, "a", "cellar")
    assert pending(platform) == [("put", "i-1")]


def test_a_dynamic_group_gives_nobody_anything(platform: App) -> None:
    settle(platform)
    rights = {one.username: one.rights for one in platform.devices.accounts()}
    service(platform).create(ADA, NewGroup("all", "a", "enabled"))
    service(platform).change(ADA, "a", "all", query="dialect = iotflow", priority=3)
    service(platform).remove(ADA, "a", "all")
    assert pending(platform) == []
    assert {one.username: one.rights for one in platform.devices.accounts()} == rights
    service(platform).create(ADA, NewGroup("all", "a", "enabled"))
    for change in (service(platform).add, service(platform).drop):
        with pytest.raises(Conflict) as caught:
            change(ADA, "all", Selector("a"))
        assert slug(caught) == "group_is_dynamic"
    with pytest.raises(Conflict):
        add(platform, "p-9", groups=("all",))


def test_many_members_take_several_steps(platform: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "STEP", 2)
    service(platform).create(ADA, NewGroup("cellar", "a"))
    for number in range(4):
        add(platform, f"x-{number}", tenant="b")  # between them
        add(platform, f"q-{number}")
    with platform.database.read() as connection:
        before = changes.newest(connection)
    done = service(platform).add(ADA, "cellar", Selector("a", where="name != p-2"))
    assert (done.devices, done.rights) == (6, 1)
    assert names(platform, "cellar") == ["p-1", "i-1", "q-0", "q-1", "q-2", "q-3"]
    with platform.database.read() as connection:
        spans = changes.changed_since(connection, before).spans or ()
    known = {platform.devices.get(ADA, name).id for name in names(platform, "cellar")}
    assert known <= {n for first, last in spans for n in range(first, (last or first) + 1)}
    assert service(platform).drop(ADA, "cellar", Selector("a", group="cellar")).devices == 6


def test_a_device_is_in_so_many_groups_and_no_more(platform: App) -> None:
    service(platform).create(ADA, NewGroup("one", "a"))
    number = platform.devices.get(ADA, "p-2").id
    many = [f"g{n}" for n in range(GROUPS_MAX)]
    with platform.database.write() as connection:
        group_store.ensure(connection, "a", many, most=1000, actor="x")
        group_store.add_members(connection, [(number, "a", name) for name in many])
    with pytest.raises(Conflict) as caught:
        service(platform).add(ADA, "one", Selector("a"))
    assert slug(caught) == "limit_reached"
    assert names(platform, "one") == []  # nobody, not some of them


def test_a_removed_device_leaves_its_groups(platform: App) -> None:
    add(platform, "p-9", groups=("cellar",))
    assert service(platform).show(ADA, "a", "cellar").devices == 1
    platform.devices.remove(SYSTEM, "a:p-9")
    assert service(platform).show(ADA, "a", "cellar").devices == 0


# ------------------------------------------------------------------ who


def test_nothing_crosses_between_tenants(platform: App) -> None:
    add(platform, "q-1", "iotflow", tenant="b", groups=("cellar",))
    service(platform).create(ADA, NewGroup("cellar", "a"))
    service(platform).add(ADA, "cellar", Selector("a", names=("i-1",)))
    assert [one.name for one in service(platform).members(EVE, "b", "cellar")] == ["q-1"]
    assert names(platform, "cellar") == ["i-1"]
    groups_of = service(platform)
    for work in (
        lambda: groups_of.show(EVE, "a", "cellar"),
        lambda: groups_of.page(EVE, "a"),
        lambda: groups_of.members(EVE, "a", "cellar"),
        lambda: groups_of.conditions(EVE, "a", "cellar"),
        lambda: groups_of.create(EVE, NewGroup("x", "a")),
        lambda: groups_of.change(EVE, "a", "cellar", priority=1),
        lambda: groups_of.remove(EVE, "a", "cellar"),
        lambda: groups_of.add(EVE, "cellar", Selector("a")),
        lambda: groups_of.drop(EVE, "cellar", Selector("a")),
        lambda: groups_of.add(EVE, "cellar", Selector("b", names=("i-1",))),
    ):
        with pytest.raises(NotFound):
            work()
    assert groups_of.create(EVE, NewGroup("all", "b", "enabled")).devices == 1
    assert groups_of.drop(EVE, "cellar", Selector("b")).devices == 1
    assert names(platform, "cellar") == ["i-1"]
    with platform.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(groups)).scalar() == 3


def test_a_viewer_looks_and_changes_nothing(platform: App) -> None:
    viewer = Actor("v", Role.VIEWER, "a")
    service(platform).create(ADA, NewGroup("cellar", "a"))
    assert service(platform).page(viewer, "a")
    for work in (
        lambda: service(platform).create(viewer, NewGroup("x", "a"), dry_run=True),
        lambda: service(platform).change(viewer, "a", "cellar", priority=1),
        lambda: service(platform).remove(viewer, "a", "cellar", dry_run=True),
        lambda: service(platform).add(viewer, "cellar", Selector("a"), dry_run=True),
        lambda: service(platform).drop(viewer, "cellar", Selector("a")),
    ):
        with pytest.raises(Forbidden):
            work()


# ------------------------------------------------------------------ settings


def test_settings_of_groups_go_by_the_groups_priority(platform: App) -> None:
    levels = platform.service(SettingsLevels)
    number = add(platform, "p-9", groups=("east", "west"))
    levels.change(SYSTEM, "a", Level.GROUP, "east", Change({"who": "east"}), priority=2)
    levels.change(SYSTEM, "a", Level.GROUP, "west", Change({"who": "west"}))
    assert service(platform).show(ADA, "a", "east").group.priority == 2
    with platform.database.read() as connection:
        before = changes.newest(connection)
    service(platform).change(ADA, "a", "west", priority=3)
    assert levels.show(SYSTEM, "a", Level.GROUP, "west").row.priority == 3
    with platform.database.read() as connection:  # what the worker of settings follows
        assert changes.changed_since(connection, before).spans == ((number, number),)
    service(platform).create(ADA, NewGroup("all", "a", "enabled"))
    with pytest.raises(Conflict) as caught:
        levels.change(SYSTEM, "a", Level.GROUP, "all", Change({"who": "x"}))
    assert slug(caught) == "group_is_dynamic"
    levels.change(SYSTEM, "a", Level.GROUP, "new", Change({"who": "x"}))
    assert service(platform).show(ADA, "a", "new").devices == 0


def test_a_selection_cannot_ask_for_odd_names() -> None:
    for odd in ("\0", "\ud800"):
        with pytest.raises(Invalid):
            Selector("a", names=(odd,))
        with pytest.raises(Invalid):
            Selector("a", group=odd)
        with pytest.raises(Invalid):
            Selector("a", where=f"type = {odd}")
