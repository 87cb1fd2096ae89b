"""A change of one device costs the same in a large fleet: the same statements, and no scan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.connection import Endpoint
from mooring.bulk.model import Entry
from mooring.changes import queue as change_queue
from mooring.credentials.claims.model import NewClaim
from mooring.credentials.rotation.rules import Phase
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Role
from mooring.ingest.channels import numbers as channel_numbers
from mooring.people.model import NewKey
from mooring.presence import store as presence
from mooring.presence.observe import Connectivity
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.settings.field import Secret
from mooring.store.schema import broker_changes, downlinks, latest, rotations

SMALL, LARGE = 100, 10_000
VERIFIER = verifiers.make("not asked for")


class Counted:
    """Statements of one piece of work, and on SQLite those that go through a whole table."""

    def __init__(self) -> None:
        self.statements = 0
        self.scans: list[str] = []


@contextmanager
def counted(app: App) -> Iterator[Counted]:
    found, asked = Counted(), list[tuple[str, Any]]()

    def before(_c: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        found.statements += 1
        if not many and text.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((text, values))

    sa.event.listen(app.database.engine, "before_cursor_execute", before)
    try:
        yield found
    finally:
        sa.event.remove(app.database.engine, "before_cursor_execute", before)
    if app.database.is_sqlite:
        with app.database.read() as connection:
            for text, values in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
                if any(row[3] in WHOLE for row in plan):
                    found.scans.append(text)


GROWING = ("devices", "credentials", "rotations", "certificates", "leftovers", "former_verifiers")
WHOLE = {f"SCAN {table}" for table in (*GROWING, "broker_changes", "claim_codes", "broker_users")}


def fleet(app: App, have: int, count: int) -> None:
    """As many devices, one of which ``have`` there are already."""
    entries = [Entry(n, NewDevice(f"bulk-{n}", "mooring")) for n in range(have, count)]
    checked, wrong = app.bulk.check(SYSTEM, entries)
    assert not wrong
    app.bulk.store(SYSTEM, [replace(one, verifier=VERIFIER) for one in checked])


def work_of(app: App, size: int) -> dict[str, Callable[[], object]]:
    """What is done with one device, in the order in which it can be."""
    reference = f"one-{size}"
    logins = app.devices.logins
    claimed: list[str] = []

    def claim() -> None:
        wanted = NewClaim("mooring", name=f"claimed-{size}")
        code = app.claims.new(SYSTEM, wanted).code
        claimed.append(
            app.claims.claim(code, f"AA:BB:CC:00:00:{size % 97:02}").credentials.device.username
        )

    return {
        "add": lambda: app.devices.add(SYSTEM, NewDevice(reference, "mooring")),
        "read": lambda: logins.current([f"default/{reference}"]),
        "lock": lambda: app.devices.set_enabled(SYSTEM, reference, enabled=False),
        "unlock": lambda: app.devices.set_enabled(SYSTEM, reference, enabled=True),
        "rotate": lambda: app.rotations.start(SYSTEM, app.devices.get(SYSTEM, reference)),
        "claim": claim,
        "read the claimed": lambda: logins.current(claimed),
        "remove": lambda: app.devices.remove(SYSTEM, reference),
        "read the removed": lambda: logins.current([f"default/{reference}"]),
        "add it again": lambda: app.devices.add(SYSTEM, NewDevice(reference, "mooring")),
    }


def test_a_change_costs_its_own_size(tmp_path: Path, any_database_url: str) -> None:
    counts: dict[int, dict[str, int]] = {}
    sizes = (SMALL, LARGE)
    settings = Settings(
        data_dir=tmp_path / "data", auth_mode="plugin", database_url=Secret(any_database_url)
    )
    with open_app(settings, upgrade=True) as app:
        for size in sizes:
            fleet(app, sum(counts), size)
            counts[size] = {}
            for name, work in work_of(app, size).items():
                with counted(app) as found:
                    work()
                counts[size][name] = found.statements
                assert found.scans == [], name
    assert counts[SMALL] == counts[LARGE]
    assert counts[SMALL]["add"] > 0


def test_the_statements_of_a_change_are_put_together_once(tmp_path: Path) -> None:
    """Putting one together costs several times what running it costs."""
    asked: list[Any] = []

    def before(_c: Any, statement: Any, *_: Any) -> None:
        if isinstance(statement, sa.ClauseElement):
            asked.append(statement)

    settings = Settings(data_dir=tmp_path / "data", auth_mode="plugin")
    with open_app(settings, upgrade=True) as app:
        secret = app.people.add_key(SYSTEM, NewKey(name="test", role=Role.ADMIN)).secret

        def change(name: str) -> None:
            app.authenticate(secret, "127.0.0.1")
            made, pending = app.devices.add(SYSTEM, NewDevice(name, "mooring"))
            app.devices.logins.current([made.device.username])
            app.devices.set_enabled(SYSTEM, name, enabled=False)
            app.devices.remove(SYSTEM, name)
            with app.database.write() as connection:
                change_queue.settle(connection, pending)

        change("first")
        sa.event.listen(app.database.engine, "before_execute", before)
        change("a")
        known = {id(one) for one in asked}
        count = len(asked)
        change("b")
    new = [str(one) for one in asked[count:] if id(one) not in known]
    assert new == []
    assert len(asked) == 2 * count


def test_rotations_of_offline_devices_are_not_asked_for_one_by_one(
    tmp_path: Path, any_database_url: str
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", auth_mode="plugin", database_url=Secret(any_database_url)
    )
    counts: dict[int, int] = {}
    with open_app(settings, upgrade=True) as app:
        worker = worker_of(app)
        for have, size in ((0, 1), (1, 200)):
            fleet(app, have, size)
            for number in range(have, size):
                device = app.devices.get(SYSTEM, f"bulk-{number}")
                app.rotations.start(SYSTEM, device)
            asyncio.run(worker.step())  # the first looks at all of them
            with counted(app) as found:
                asyncio.run(worker.step())
            counts[size] = found.statements
            # A device that has used its new password is settled all the same.
            (rotation,) = app.rotations.by_ids([rotation_of(app, "bulk-0")])
            assert not rotation.phase.over
        assert counts[1] == counts[200]
        with app.database.write() as connection:
            connection.execute(sa.update(rotations).values(used_new_at=1))
        assert asyncio.run(worker.step()) == 200
        asyncio.run(worker.close())


def rotation_of(app: App, name: str) -> str:
    rotation = app.rotations.newest(app.devices.get(SYSTEM, name))
    assert rotation is not None
    return rotation.id


def test_rotations_whose_command_was_sent_are_not_asked_for_one_by_one(
    tmp_path: Path, any_database_url: str
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", auth_mode="plugin", database_url=Secret(any_database_url)
    )
    counts: dict[int, int] = {}
    with open_app(settings, upgrade=True) as app:
        worker = worker_of(app)
        for have, size in ((0, 1), (1, 20)):
            fleet(app, have, size)
            for number in range(have, size):
                device = app.devices.get(SYSTEM, f"bulk-{number}")
                app.rotations.start(SYSTEM, device)
                with app.database.write() as connection:
                    presence.set_connected(
                        connection, [Connectivity(device.username, True, 1, "192.0.2.1")]
                    )
            with app.database.write() as connection:  # the broker has been told
                connection.execute(sa.delete(broker_changes))
            assert asyncio.run(worker.step()) == size - have  # each command is written
            with counted(app) as found:
                asyncio.run(worker.step())
            counts[size] = found.statements
        assert counts[1] == counts[20]
        # What became of each command, and what each device answered, still counts for that one.
        refusing, storing = (rotation_of(app, f"bulk-{number}") for number in (7, 8))
        reply(app, "bulk-7", {"id": refusing, "ok": False})
        reply(app, "bulk-8", {"id": storing, "ok": True})
        reply(app, "bulk-9", {"id": storing, "ok": False})  # says nothing about its own
        with app.database.write() as connection:
            for name in ("bulk-7", "bulk-8", "bulk-9"):
                number = app.devices.get(SYSTEM, name).id
                connection.execute(
                    sa.update(downlinks)
                    .where(downlinks.c.device_id == number)
                    .values(state="sent", attempts=1, finished_at=1, open_key=None)
                )
        assert asyncio.run(worker.step()) == 2
        phases = {
            name: app.rotations.by_ids([rotation_of(app, name)])[0].phase
            for name in ("bulk-6", "bulk-7", "bulk-8", "bulk-9")
        }
        assert phases == {
            "bulk-6": Phase.SENT,
            "bulk-7": Phase.ROLLED_BACK,
            "bulk-8": Phase.PROBED,
            "bulk-9": Phase.SENT,
        }
        asyncio.run(worker.close())


def reply(app: App, name: str, body: dict[str, Any]) -> None:
    """Stores a device's answer as ingest does."""
    device = app.devices.get(SYSTEM, name)
    number = channel_numbers(app.database, app.catalogue)["mooring", "reply"]
    with app.database.write() as connection:
        connection.execute(
            sa.insert(latest).values(
                device_id=device.id,
                channel_id=number,
                ts=1,
                received_at=1,
                time_source=1,
                payload=json.dumps(body),
            )
        )


def worker_of(app: App) -> RotationWorker:
    """One whose lease is not renewed while statements are counted."""
    parts = Parts(
        app.database, app.devices, app.instance, app.rotations, app.downlinks, app.settings
    )
    endpoint = Endpoint(port=1, username="service", password="x")
    return RotationWorker(parts, endpoint, lease_ms=3_600_000)
