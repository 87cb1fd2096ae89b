"""A process that dies at any statement, and a thousand changes at the same time."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mooring.app import App
from mooring.device_settings import store
from mooring.device_settings.apply import Applying
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Level
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.identity.actor import SYSTEM
from mooring.store.schema import desired
from tests.integration.device_settings.conftest import Add, patch, run

STRIDE = 3  # statements; each round dies a little later


class Killed(BaseException):
    """The process has died."""


class Death:
    """Comes with the n-th statement."""

    def __init__(self, engine: sa.Engine) -> None:
        self.left = -1
        event.listen(engine, "before_cursor_execute", self.count)

    def count(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture
def migrated_url(migrated_file: Path, tmp_path: Path) -> str:
    """SQLite alone: where a transaction ends is the same on both."""
    path = tmp_path / "mooring.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


def test_killed_at_any_statement_each_device_gets_one_version(
    platform: App, device: Add, levels: SettingsLevels
) -> None:
    made = [device(f"lamp{number}") for number in range(4)]
    death = Death(platform.database.engine)
    version, at, killed = 0, 0, True
    while killed:
        version, at, killed = version + 1, at + STRIDE, False
        levels.change(SYSTEM, "a", Level.TENANT, "a", patch(x=version))
        death.left = at
        try:
            run(worker_of(platform))
        except Killed:
            killed = True
        death.left = -1
        run(worker_of(platform))
        with platform.database.read() as connection:
            rows = store.rows(connection, platform.instance, [one.id for one in made])
            assert {row.record.version for row in rows.values()} == {version}
            assert {row.document["x"] for row in rows.values() if row.document} == {version}
            sent = connection.execute(sa.select(desired.c.version)).scalars()
            assert set(sent) == {version}
            history = store.history(connection, platform.instance, made[0].id, limit=2)
        assert [entry.version for entry in history] == [version, version - 1][: len(history)]
    assert at > 20  # so many statements there are


def worker_of(platform: App) -> SettingsWorker:
    return SettingsWorker(platform.database, platform.service(Applying), platform.settings, batch=2)


@pytest.mark.soak
def test_a_thousand_changes_at_the_same_time(
    device: Add, own: DeviceSettings, platform: App
) -> None:
    device("lamp")

    def change(at: int) -> int:
        return own.change(SYSTEM, "lamp", patch(x=at))[1].row.record.version

    with ThreadPoolExecutor(16) as pool:
        versions = list(pool.map(change, range(1000)))
    assert sorted(versions) == list(range(1, 1001))
    assert len(own.history(SYSTEM, "lamp")[1]) == platform.settings.device_settings_versions_kept
