"""Lists that a person pages through find their rows by an index, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.audit import log as audit_log
from mooring.commands import handed_over_store
from mooring.commands import store as commands
from mooring.commands.about import about_devices
from mooring.commands.rules import OPEN, State
from mooring.dashboard.data import trouble
from mooring.devices.model import NewDevice
from mooring.downlink import store as downlinks
from mooring.downlink.live import store as live
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.ota.rollouts import store as rollouts
from mooring.settings import Settings
from mooring.store import schema
from mooring.telemetry import store as telemetry

LIMIT = 50
MINE = Actor("ada", Role.ADMIN, "acme")


@pytest.fixture
def app(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path, database_url=migrated_url)) as opened:
        opened.devices.add(SYSTEM, NewDevice("lamp", "mooring", "acme"))
        with opened.database.write() as connection:
            for number in range(400):  # of a few rows any index is as good
                audit_log.record(connection, SYSTEM, "test", "row", tenant=f"tenant-{number % 40}")
            if not opened.database.is_sqlite:
                connection.exec_driver_sql("ANALYZE audit")
        yield opened


def audit(app: App, actor: Actor) -> object:
    with app.database.read() as connection:
        return audit_log.rows(connection, actor, limit=LIMIT, before=10**9)


def rejected(app: App) -> object:
    with app.database.read() as connection:
        return trouble._rejected(connection, SYSTEM, 1_000)


# What is asked, and the index that must find it.
LISTS: dict[str, Callable[[App], object]] = {
    "ix_dead_letters_tenant_id": lambda app: app.telemetry.dead_letters(MINE, limit=LIMIT),
    "ix_dead_letters_reason_id": lambda app: app.telemetry.dead_letters(
        SYSTEM, limit=LIMIT, reason="denied"
    ),
    "ix_dead_letters_device_id": lambda app: app.telemetry.dead_letters(
        SYSTEM, limit=LIMIT, device=app.devices.get(SYSTEM, "lamp")
    ),
    "ix_audit_tenant_id": lambda app: audit(app, MINE),
    "ix_rotations_created_at": lambda app: app.rotations.page(SYSTEM, limit=LIMIT, before=(1, "x")),
}
LISTS["ix_broker_events_refused_at"] = rejected
ABOUT = ("FROM", "JOIN", "UPDATE")
GROWING = ("broker_events", "dead_letters", "audit", "rotations")


def test_no_list_reads_a_whole_table(app: App) -> None:
    for index, ask in LISTS.items():
        plan = plans(app, ask)
        assert index in plan, plan
        assert not any(word in plan for word in SORTS), plan


NOW = 1_800_000_000_000
DUE = ("ix_downlinks_due", "ix_downlinks_next_at")
COMMANDS = ("ix_commands_state_device_id",)
# A device has few commands: where it is known, the index of its own ones is as good.
OF_DEVICE = (*COMMANDS, "ix_commands_device_id_id", "uq_commands_device_id_uid")
# Of few open rows, reading all once is as good.
ONCE = (*OF_DEVICE, "ix_commands_open_tenant", "ix_commands_due_at")

# What is asked of open rows, and the indexes that hold no others, of which one must be used.
OPEN_ROWS: dict[str, tuple[tuple[str, ...], Callable[[sa.Connection], object]]] = {
    "live messages due": (DUE, lambda c: live.due(c, NOW, 10)),
    "devices due": (DUE, lambda c: live.live_devices(c, "acme", NOW, 10)),
    "anything due": (DUE, lambda c: downlinks.any_due(c, NOW)),
    "tenants": (DUE, lambda c: downlinks.tenants_with_work(c, None, 10)),
    "claim": (DUE, lambda c: downlinks.claim(c, "acme", NOW, 10, alone=False)),
    "room of a tenant": (DUE, lambda c: downlinks.open_of_tenant(c, "acme", 10)),
    "left by a sender": (DUE, lambda c: live.unclaim_live(c, NOW)),
    "deadlines": (("ix_commands_due_at",), lambda c: commands.due(c, NOW, 10)),
    "handed over": (OF_DEVICE, lambda c: handed_over_store.without_outcome(c, [1])),
    "carried": (OF_DEVICE, lambda c: handed_over_store.carried_by(c, [(1, 1)])),
    "sessions": (OF_DEVICE, lambda c: handed_over_store.of_earlier_sessions(c, [1])),
    "connections": (COMMANDS, lambda c: commands.connection_changed(c, 10)),
    "about devices": (ONCE, lambda c: about_devices(c, [1])),
    "room for commands": (
        ("ix_commands_open_tenant",),
        lambda c: commands.open_of_tenant(c, "acme", 10),
    ),
    "number of open ones": (("ix_downlinks_expires_at", *DUE), telemetry.downlinks_open),
    "work of the sender": (DUE, lambda c: c.execute(sa.text(downlinks.WORK), {"at": NOW})),
    "work of commands": (COMMANDS, lambda c: c.execute(sa.text(commands.WORK), {"at": NOW})),
}


def test_what_is_asked_of_open_rows_passes_over_those_that_are_over(app: App) -> None:
    fill(app)
    wrong = []
    for what, (indexes, ask) in OPEN_ROWS.items():
        with app.database.write() as connection:
            first, *_ = asked_of(app, partial(ask, connection), ("downlinks", "commands"))
        plan = "\n".join([what, first[0], *planned(app, *first, off=("seqscan",))])
        if not any(one in plan for one in indexes):
            wrong.append(plan)
    assert not wrong, "\n\n".join(wrong)


FAILED = (State.FAILED, State.REJECTED, State.TIMED_OUT, State.EXPIRED)


@pytest.mark.parametrize(
    ("states", "said", "indexes"),
    [
        (tuple(OPEN), ("finished_at IS NULL",), COMMANDS),
        (FAILED, ("finished_at IS NOT NULL", "state != 'done'"), ("ix_commands_not_done",)),
    ],
    ids=["open", "failed"],
)
def test_a_list_of_few_commands_does_not_read_all(
    app: App, states: tuple[State, ...], said: tuple[str, ...], indexes: tuple[str, ...]
) -> None:
    """An open page asks for it again and again. What the statement says is what the index holds;
    PostgreSQL uses it where few rows are in it."""
    fill(app)
    with app.database.read() as connection:
        ask = partial(commands.listed, connection, SYSTEM, limit=LIMIT, states=states)
        ((text, values),) = asked_of(app, ask, ("commands",))
    assert all(f"commands.{one}" in text for one in said)
    plan = "\n".join([text, *planned(app, text, values, off=("seqscan",))])
    if app.database.is_sqlite or states == FAILED:
        assert any(one in plan for one in indexes), plan


def test_devices_that_wait_with_an_image_are_counted_among_open_updates(app: App) -> None:
    with app.database.read() as connection:
        (asked,) = asked_of(app, partial(rollouts.patient, connection, 1), ("firmware_updates",))
    plan = "\n".join(planned(app, *asked, off=("seqscan",)))
    assert "ix_firmware_updates_open_of_job" in plan, plan


def test_open_commands_are_counted_for_all_devices_together(app: App) -> None:
    """Not for each: a database that does not know how many are open reads all for each device."""
    fill(app)
    with app.database.write() as connection:
        first, *_ = asked_of(app, partial(about_devices, connection, [1, 2]), ("commands",))
    plan = planned(app, *first)
    assert not [line for line in plan if "SubPlan" in line or "CORRELATED" in line], plan


def fill(app: App) -> None:
    """Some thousands of rows of 40 devices, of which one in 4 is open."""
    with app.database.write() as connection:
        made = [
            app.devices.insert(connection, NewDevice(f"d{n}", "mooring", "acme"), "x" * 32)[0].id
            for n in range(40)
        ]
        rows = [(n, made[n % 40], None if n % 4 == 0 else NOW) for n in range(4_000)]
        connection.execute(
            sa.insert(schema.downlinks),
            [
                {
                    "device_id": device,
                    "tenant": f"tenant-{n % 7}",
                    "topic": "t",
                    "qos": 1,
                    "until": "live",
                    "state": "sent" if over else ("queued", "waiting", "held")[n % 3],
                    "created_at": n,
                    "next_at": NOW + n,
                    "expires_at": NOW + n,
                    "finished_at": over,
                    "origin": "test",
                }
                for n, device, over in rows
            ],
        )
        connection.execute(
            sa.insert(schema.commands),
            [
                {
                    "device_id": device,
                    "tenant": f"tenant-{n % 7}",
                    "uid": f"c-{n}",
                    "channel": "command",
                    "name": "x",
                    "parameters": "{}",
                    "actor": "test",
                    "topic": "t",
                    "qos": 1,
                    "delivery": "at_most_once",
                    "replies": False,
                    "state": "done" if over else ("queued", "sent")[n % 2],
                    "created_at": n,
                    "expires_at": NOW,
                    "reply_timeout_ms": 1,
                    "finished_at": over,
                    "due_at": None if over else NOW + n,
                    "downlink_id": n,
                    "evidence": "[]",
                }
                for n, device, over in rows
            ],
        )
        if not app.database.is_sqlite:
            connection.exec_driver_sql("ANALYZE downlinks")
            connection.exec_driver_sql("ANALYZE commands")


SORTS = ("USE TEMP B-TREE FOR ORDER BY", "->  Sort  (")


def plans(app: App, ask: Callable[[App], object]) -> str:
    """What the database does for the statements about a table that grows."""
    asked = asked_of(app, partial(ask, app), GROWING)
    assert len(asked) == 1
    return "\n".join([asked[0][0], *planned(app, *asked[0])])


def asked_of(app: App, ask: Callable[[], object], tables: Sequence[str]) -> list[tuple[str, Any]]:
    """The statements about these tables, with their values."""
    asked: list[tuple[str, Any]] = []

    def before(_c: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        if not many and any(f"{word} {one}" in text for one in tables for word in ABOUT):
            asked.append((text, values))

    sa.event.listen(app.database.engine, "before_cursor_execute", before)
    ask()
    sa.event.remove(app.database.engine, "before_cursor_execute", before)
    return asked


def planned(
    app: App, text: str, values: Any, off: Sequence[str] = ("seqscan", "sort")
) -> list[str]:
    """The steps of a statement, as if the tables were large.

    Args:
        off: what PostgreSQL does not do if there is another way.
    """
    with app.database.read() as connection:
        if app.database.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            return [str(row[3]) for row in rows]
        for choice in off:
            connection.exec_driver_sql(f"SET LOCAL enable_{choice} = off")
        return [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {text}", values)]
