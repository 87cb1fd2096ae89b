"""When everything is compared with the broker, and when nothing has to be."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring.app import App, open_app
from mooring.broker.plugin_rows import NAMES_AT_ONCE, pages
from mooring.changes import queue as change_queue
from mooring.devices.model import NewDevice
from mooring.devices.reconcile import Reconciler
from mooring.identity.account import Account, Rights
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.wiring.broker import BrokerFiles, build_authority, write_accounts
from mooring.wiring.follow import Follower


async def nothing(_app: App) -> None: ...


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each comparison of everything: whether it found differences."""
    found: list[bool] = []
    full = Reconciler.full

    async def noted(self: Reconciler, **options: Any) -> Any:
        report = await full(self, **options)
        found.append(bool(report.differences))
        return report

    monkeypatch.setattr(Reconciler, "full", noted)
    return found


def hand_written(app: App) -> None:
    with sqlite3.connect(BrokerFiles(app.settings).accounts) as db:
        db.execute("UPDATE account SET locked = 1 WHERE NOT service")
    db.close()


def added(app: App) -> None:
    app.devices.add(SYSTEM, NewDevice("another", "mooring"))


def lost(app: App) -> None:
    for path in BrokerFiles(app.settings).directory.glob("accounts.db*"):
        path.unlink()


@pytest.mark.parametrize(
    ("event", "differs"),
    [(hand_written, True), (added, False), (lost, True)],
)
def test_only_what_has_changed_is_compared(
    tmp_path: Path, compared: list[bool], event: Callable[[App], None], differs: bool
) -> None:
    async def body(app: App) -> None:
        _, changes = app.devices.add(SYSTEM, NewDevice("one", "mooring"))
        await write_accounts(app)
        with app.database.write() as connection:
            change_queue.settle(connection, changes)
        follower = Follower(app, None, None, nothing)
        follower.authority = build_authority(app, running=False)
        for _ in range(3):
            await follower._compare()
        assert compared == [False]  # the second and the third had nothing to do
        event(app)
        await follower._compare()
        # A device that was added is pending, so it is no difference.
        assert compared == [False, differs]
        for _ in range(2):
            await follower._compare()
        assert compared[2:] == ([False] if differs else [])  # after a correction, once more
        follower.compare_soon()
        await follower._compare()
        assert compared[-1] is False
        assert len(compared) == (4 if differs else 3)
        await follower.authority.close()  # type: ignore[attr-defined]

    with open_app(Settings(data_dir=tmp_path, auth_mode="plugin"), upgrade=True) as app:
        asyncio.run(body(app))


def test_accounts_are_taken_a_page_at_a_time() -> None:
    taken = 0

    def stream() -> Any:
        nonlocal taken
        for number in range(10 * NAMES_AT_ONCE):
            taken += 1
            yield Account(str(number), None, Rights())

    for number, page in enumerate(pages(stream()), 1):
        assert len(page) == NAMES_AT_ONCE
        assert taken == number * NAMES_AT_ONCE
