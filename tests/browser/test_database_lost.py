"""The database has gone: said on an open page with the time since, values grey, and well again by
itself, with filter, scroll position and typed text as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.browser.conftest import Site, running_site
from tests.browser.test_lost import back, says, working
from tests.support.postgres import Postgres

Lost = Callable[[], AbstractContextManager[None]]


@contextmanager
def on_postgresql(data_dir: Path) -> Iterator[tuple[Site, Lost]]:
    with Postgres() as server:

        @contextmanager
        def stopped() -> Iterator[None]:
            server.crash()
            try:
                yield
            finally:
                server.restart()

        env = {"MOORING_DATABASE_URL": server.create_database()}
        with running_site(data_dir, env=env) as site:
            yield site, stopped


@contextmanager
def on_sqlite(data_dir: Path) -> Iterator[tuple[Site, Lost]]:
    @contextmanager
    def locked() -> Iterator[None]:
        """By another program, as a shell with an open transaction does."""
        other = sqlite3.connect(data_dir / "mooring.db", isolation_level=None, timeout=30)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    with running_site(data_dir) as site:
        yield site, locked


@pytest.mark.parametrize("database", [on_postgresql, on_sqlite], ids=["postgresql", "sqlite"])
def test_the_database_is_lost_and_comes_back(
    database: Callable[[Path], AbstractContextManager[tuple[Site, Lost]]], tmp_path: Path
) -> None:
    with database(tmp_path / "data") as (site, lost), site.tab() as tab:
        tab.expected += ["503"]
        working(tab)
        with lost():
            says(tab, "The database has not answered")
        back(tab)
