"""One session on the broker has one ingest, on this machine and on others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.errors import Conflict
from mooring.run import one_ingest
from mooring.run.one_ingest import only_ingest
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import leases


@pytest.fixture
def app(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setattr(one_ingest, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(one_ingest, "WAIT_SECONDS", 0.3)
    with open_app(Settings(data_dir=tmp_path, database_url=migrated_url)) as opened:
        yield opened


async def run(app: App) -> None:
    async with only_ingest(app, asyncio.Event()):
        pass


def held_by(app: App, holder: str, until: int) -> None:
    """The session's lease, as another process has written it."""

    async def take() -> None:
        async with only_ingest(app, asyncio.Event()):
            with app.database.write() as connection:
                connection.execute(sa.update(leases).values(holder=holder, until=until))

    asyncio.run(take())


def test_a_second_one_on_this_machine_is_refused(app: App) -> None:
    async def both() -> None:
        async with only_ingest(app, asyncio.Event()):
            with pytest.raises(Conflict) as caught:
                await run(app)
            assert caught.value.slug == "ingest_running"

    asyncio.run(both())
    asyncio.run(run(app))  # it has ended


def test_a_second_one_on_another_machine_is_refused(app: App) -> None:
    held_by(app, "elsewhere:42:abc", now_ms() + 60_000)
    with pytest.raises(Conflict, match="process 42 on elsewhere"):
        asyncio.run(run(app))
    held_by_nobody(app)
    held_by(app, "elsewhere:42:abc", now_ms() - 1)  # it died long ago
    asyncio.run(run(app))


def held_by_nobody(app: App) -> None:
    with app.database.write() as connection:
        connection.execute(sa.delete(leases))


def test_one_that_was_killed_is_followed_by_the_next(app: App) -> None:
    """The kernel has released its lock: nobody waits for the lease of the dead."""
    import socket

    held_by(app, f"{socket.gethostname()}:42:abc", now_ms() + 60_000)
    asyncio.run(run(app))


def test_it_stops_when_another_machine_has_the_session(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_ingest, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr("mooring.store.leases.LEASE_MS", 100)

    async def lose() -> None:
        stop = asyncio.Event()
        async with only_ingest(app, stop):
            with app.database.write() as connection:
                connection.execute(sa.update(leases).values(holder="elsewhere:1:x", until=2**60))
            async with asyncio.timeout(30):
                await stop.wait()

    asyncio.run(lose())


def test_the_client_id_is_secret_and_stays(tmp_path: Path) -> None:
    def opened() -> str:
        with open_app(Settings(data_dir=tmp_path), upgrade=True) as app:
            assert app.instance.former_ingest_client_id is None
            return app.ingest_client_id

    first = opened()
    assert first == opened()
    secrets = tmp_path / "secrets.json"
    assert secrets.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    with open_app(Settings(data_dir=other), upgrade=True) as app:
        assert app.ingest_client_id != first
        assert len(app.ingest_client_id) > 32


def test_an_older_installation_gets_one(tmp_path: Path) -> None:
    """What its session of the known name still holds is to be stored."""
    with open_app(Settings(data_dir=tmp_path), upgrade=True) as app:
        key = app.instance.instance_key
    path = tmp_path / "secrets.json"
    content = json.loads(path.read_text())
    del content["ingest_client_id"]
    path.write_text(json.dumps(content))
    with open_app(Settings(data_dir=tmp_path)) as app:
        assert app.instance.instance_key == key
        assert app.instance.former_ingest_client_id == "mooring-ingest"
        new = app.ingest_client_id
    with open_app(Settings(data_dir=tmp_path)) as app:
        assert app.ingest_client_id == new
