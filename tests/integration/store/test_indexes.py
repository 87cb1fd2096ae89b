"""Lists that a person pages through find their rows by an index, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.audit import log as audit_log
from mooring.dashboard.data import trouble
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.settings import Settings

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
GROWING = ("broker_events", "dead_letters", "audit", "rotations")


def test_no_list_reads_a_whole_table(app: App) -> None:
    for index, ask in LISTS.items():
        plan = plans(app, ask)
        assert index in plan, plan
        assert not any(word in plan for word in SORTS), plan


SORTS = ("USE TEMP B-TREE FOR ORDER BY", "->  Sort  (")


def plans(app: App, ask: Callable[[App], object]) -> str:
    """What the database does for the statements about a table that grows."""
    asked: list[tuple[str, Any]] = []

    def before(_c: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        if not many and any(f"FROM {table}" in text for table in GROWING):
            asked.append((text, values))

    sa.event.listen(app.database.engine, "before_cursor_execute", before)
    ask(app)
    sa.event.remove(app.database.engine, "before_cursor_execute", before)
    assert len(asked) == 1
    return "\n".join([asked[0][0], *planned(app, *asked[0])])


def planned(app: App, text: str, values: Any) -> list[str]:
    """The steps of a statement, as if the tables were large."""
    with app.database.read() as connection:
        if app.database.is_sqlite:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            return [str(row[3]) for row in rows]
        for choice in ("seqscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{choice} = off")
        return [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {text}", values)]
