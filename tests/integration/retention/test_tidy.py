"""Rows that nothing needs any more are deleted, and nothing else, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.retention import tidy as module
from mooring.retention.tidy import FORMER_MAX, tidy
from mooring.retention.tidy_store import OF_DEVICES
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.schema import (
    alerts,
    api_keys,
    audit,
    broker_requests,
    claim_codes,
    dead_letters,
    device_metrics,
    devices,
    former_verifiers,
    metrics,
    processes,
    rollups,
    rotations,
    sequences,
    sightings,
    tenants,
)

DAY = 86_400_000


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    opened = open_database(migrated_url)
    with opened.write() as connection:
        connection.execute(sa.insert(tenants).values(name="a", created_at=0))
    yield opened
    opened.close()


def run(database: Database, now: int, **settings: int) -> dict[str, int]:
    wanted = Settings(**settings)  # type: ignore[arg-type]
    *_, last = tidy(database, wanted, now)
    return last.rows


def count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    with database.read() as connection:
        statement = sa.select(sa.func.count()).select_from(table).where(*where)
        return int(connection.execute(statement).scalar_one())


def device(database: Database, name: str) -> int:
    with database.write() as connection:
        return int(
            connection.execute(
                sa.insert(devices)
                .values(
                    tenant="a",
                    name=name,
                    scope="a",
                    dialect="mooring",
                    username=name,
                    client_id=name,
                    created_at=0,
                )
                .returning(devices.c.id)
            ).scalar_one()
        )


def dead(database: Database, device_id: int | None, rows: int, size: int = 10) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(dead_letters),
            [
                {
                    "received_at": number,
                    "reason": "not_json",
                    "detail": "",
                    "topic": "t",
                    "device_id": device_id,
                    "size": size,
                    "payload": b"x" * size,
                }
                for number in range(rows)
            ],
        )


def test_an_empty_database_loses_nothing(database: Database) -> None:
    assert run(database, now_ms()) == {}
    assert count(database, tenants) == 1


def test_finished_records_go_after_their_time_and_open_ones_stay(database: Database) -> None:
    now = now_ms()
    old, lately = now - 401 * DAY, now - DAY
    code = {"tenant": "a", "dialect": "mooring", "created_at": 0, "created_by": "x"}
    key = {"digest": "d", "name": "n", "role": "viewer", "created_at": 0}
    with database.write() as connection:
        for number, (expires, claimed, revoked) in enumerate(
            [
                (old, None, None),
                (now + DAY, old, None),
                (now + DAY, None, old),
                (lately, None, None),
                (now + DAY, None, None),
            ]
        ):
            connection.execute(
                sa.insert(claim_codes).values(
                    digest=str(number),
                    expires_at=expires,
                    claimed_at=claimed,
                    revoked_at=revoked,
                    **code,
                )
            )
        for number, (expires, revoked) in enumerate(
            [(old, None), (None, old), (None, None), (lately, None)]
        ):
            connection.execute(
                sa.insert(api_keys).values(
                    prefix=str(number), expires_at=expires, revoked_at=revoked, **key
                )
            )
        for number, beat in enumerate([now - 8 * DAY, now]):
            connection.execute(
                sa.insert(processes).values(
                    name=str(number), role="serve", pid=1, host="h", started_at=0, beat_at=beat
                )
            )
        for state, at in (("done", now - 2 * DAY), ("waiting", now - 2 * DAY), ("done", now)):
            connection.execute(
                sa.insert(broker_requests).values(
                    action="sync", actor="x", created_at=at, state=state
                )
            )
    gone = run(database, now)
    assert gone == {"claim_codes": 3, "api_keys": 2, "processes": 1, "broker_requests": 1}
    assert count(database, claim_codes, claim_codes.c.expires_at > now) == 1
    assert count(database, broker_requests, broker_requests.c.state == "waiting") == 1


def test_a_device_keeps_its_newest_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATIONS_MAX", 2)
    monkeypatch.setattr(module, "PIECE", 3)
    lamp, other = device(database, "lamp"), device(database, "other")
    with database.write() as connection:
        for number in range(FORMER_MAX + 5):
            connection.execute(
                sa.insert(former_verifiers).values(
                    device_id=lamp,
                    username="lamp",
                    tenant="a",
                    verifier=str(number),
                    until=now_ms() + DAY,
                )
            )
        for number in range(5):
            connection.execute(
                sa.insert(rotations).values(
                    id=f"r{number}",
                    device_id=lamp,
                    phase="settled",
                    actor="x",
                    created_at=number,
                    old_created_at=0,
                    finished_at=now_ms(),
                )
            )
    dead(database, lamp, 12)
    dead(database, other, 4)
    dead(database, None, 11)
    gone = run(database, now_ms(), dead_letters_max_per_device=10)
    assert gone == {"former_verifiers": 5, "rotations": 3, "dead_letters": 3}
    assert count(database, dead_letters, dead_letters.c.device_id == other) == 4
    with database.read() as connection:
        kept = connection.execute(sa.select(rotations.c.id).order_by(rotations.c.id)).scalars()
        assert list(kept) == ["r3", "r4"]
        oldest = connection.execute(
            sa.select(sa.func.min(dead_letters.c.received_at)).where(
                dead_letters.c.device_id == lamp
            )
        ).scalar_one()
    assert oldest == 2


def test_alerts_of_removed_devices_leave_those_of_the_platform_their_room(
    database: Database,
) -> None:
    """However many devices a tenant removes: both are kept for ``records_days``."""
    now = now_ms()
    rows = [(None, "", 8), *(("a", f"d{number}", 1) for number in range(9))]
    with database.write() as connection:
        for tenant, removed, number in rows:
            connection.execute(
                sa.insert(alerts),
                [
                    {
                        "key": f"{removed}:{one}",
                        "tenant": tenant,
                        "removed_device": removed,
                        "source": "platform",
                        "name": "x",
                        "severity": 1,
                        "state": "cleared",
                        "raised_at": now,
                        "updated_at": now,
                        "cleared_at": now,
                    }
                    for one in range(number)
                ],
            )
    assert run(database, now, alerts_kept_per_device=6) == {"alerts": 2}
    assert count(database, alerts, alerts.c.removed_device != "") == 9
    assert run(database, now + 401 * DAY) == {"alerts": 15}


def test_bytes_of_dead_letters_are_taken_from_the_device_with_most(database: Database) -> None:
    loud, quiet = device(database, "loud"), device(database, "quiet")
    dead(database, quiet, 5, size=100)
    dead(database, loud, 50, size=100)
    gone = run(database, now_ms(), dead_letters_max_bytes=2_000)
    assert gone["dead_letters"] >= 35
    assert count(database, dead_letters, dead_letters.c.device_id == quiet) == 5
    assert 0 < count(database, dead_letters, dead_letters.c.device_id == loud) <= 15


def test_failed_logins_displace_no_other_audit_entry(database: Database) -> None:
    with database.write() as connection:
        rows = [("device.add", n) for n in range(5)]
        rows += [("login.failed", n) for n in range(40)]
        connection.execute(
            sa.insert(audit),
            [{"at": n, "actor": "x", "action": action, "subject": "s"} for action, n in rows],
        )
    gone = run(database, now_ms(), audit_failures_max=10, audit_max=100)
    assert gone == {"audit": 30}
    assert count(database, audit, audit.c.action == "device.add") == 5
    assert run(database, now_ms(), audit_failures_max=10, audit_max=12) == {"audit": 3}


def test_rows_of_devices_that_are_gone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 2)
    lamp = device(database, "lamp")
    gone_ones = [lamp + number for number in range(10, 15)]
    with database.write() as connection:
        for number in (lamp, *gone_ones):
            connection.execute(sa.insert(sequences).values(device_id=number, upto=1))
        for number, name in ((1, "temperature"), (2, "old"), (3, "charted")):
            connection.execute(sa.insert(metrics).values(id=number, name=name))
        for owner, metric in ((lamp, 1), (gone_ones[0], 2), (gone_ones[1], 3)):
            connection.execute(sa.insert(device_metrics).values(device_id=owner, metric_id=metric))
        connection.execute(
            sa.insert(rollups).values(
                device_id=gone_ones[1], channel_id=1, level=0, bucket=1, data=b""
            )
        )
    gone = run(database, now_ms())
    assert gone == {"sequences": 5, "device_metrics": 1, "metrics": 1}
    with database.read() as connection:
        names = set(connection.execute(sa.select(metrics.c.name)).scalars())
    assert names == {"temperature", "charted"}
    assert count(database, sequences, sequences.c.device_id == lamp) == 1


def test_rows_of_removed_devices_in_every_table(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that did not know yet has written them."""
    monkeypatch.setattr(module, "LOOK", 2)
    lamp = device(database, "lamp")
    gone = [lamp + number for number in range(10, 15)]
    with database.write() as connection:
        for number in (lamp, *gone):
            for table in OF_DEVICES:
                connection.execute(sa.insert(table).values(_filled(table, number)))
            name = "lamp" if number == lamp else f"gone-{number}"
            connection.execute(sa.insert(sightings).values(username=name, authority="a", at=1))
    run(database, now_ms())
    for table in OF_DEVICES:
        assert count(database, table) == count(database, table, table.c.device_id == lamp) == 1
    assert count(database, sightings) == count(database, sightings, sightings.c.username == "lamp")
    assert count(database, sightings) == 1


def _filled(table: sa.Table, device_id: int) -> dict[str, Any]:
    """A row with the columns that it needs."""
    texts = (sa.String, sa.Text)
    return {
        column.name: "{}" if isinstance(column.type, texts) else 1
        for column in table.columns
        if not column.nullable and column.server_default is None
    } | {"device_id": device_id}
