"""Questions that are asked often, on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.pool import QueuePool

from mooring.alerts.rules import store as rules
from mooring.commands import store as commands
from mooring.credentials.rotation import store as rotations
from mooring.device_settings import worker as device_settings
from mooring.discovery import worker as discovery
from mooring.downlink import store as downlinks
from mooring.errors import DatabaseUnavailable
from mooring.jobs import store as jobs
from mooring.limits import disconnects
from mooring.notify import group_store as notifications
from mooring.ota.updates import work as updates
from mooring.presence.states import store as presence
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.lookout import Lookout
from mooring.store.versions import bump


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    opened = open_database(migrated_url)
    yield opened
    opened.close()


def test_every_question_is_answered(database: Database) -> None:
    lookout = Lookout(database)
    at = {"at": now_ms()}
    for _ in range(2):
        assert lookout.ask(commands.WORK, at, always=True) == (0, 0, None)
        assert lookout.ask(downlinks.WORK, at, always=True) == (0, 0, 0, None)
        assert lookout.ask(jobs.WORK, at, always=True) == (0, 0, None)
        assert lookout.ask(rotations.WORK, always=True) == (0, 0, 0, None)
        row = lookout.ask(device_settings._WORK, always=True)
        assert row is not None
        assert (row[0], row[3]) == (0, None)
        assert lookout.ask(rules.WORK, always=True) == (None, 0)
        assert lookout.ask(discovery._WORK, always=True) == (0, 0)
        assert lookout.ask(disconnects._WORK, always=True) == (None, None, 0, None, None)
        assert lookout.ask(presence.EVIDENCE, {"since": at["at"]}, always=True) == (
            *(None, 0, None, 0, None),
        )
        assert lookout.ask(notifications.WORK, always=True) is not None
        assert lookout.ask(updates.WORK, at, always=True) is not None
    lookout.close()


def test_the_time_is_a_value_of_the_question(database: Database) -> None:
    lookout = Lookout(database)
    question = "SELECT :at + :at"
    assert lookout.ask(question, {"at": 4}) == (8,)
    if database.is_sqlite:
        assert lookout.ask(question, {"at": 5}) is None, "nobody has committed anything"
    assert lookout.ask(question, {"at": 5}, always=True) == (10,)
    lookout.close()


def test_on_sqlite_all_share_one_connection_and_each_notices_for_itself(
    database: Database,
) -> None:
    one, two = Lookout(database), Lookout(database)
    assert one.ask("SELECT 1") is not None
    assert two.ask("SELECT 1") is not None
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == (1 if database.is_sqlite else 2)
    with database.write() as connection:
        bump(connection, "something")
    assert one.ask("SELECT 1") is not None
    if database.is_sqlite:
        assert one.ask("SELECT 1") is None
    assert two.ask("SELECT 1") is not None, "the other's look is not its own"
    one.close()
    assert two.ask("SELECT 1", always=True) is not None
    two.close()
    assert pool.checkedout() == 0


def test_after_a_fault_of_one_all_look_again(database: Database) -> None:
    """The new connection counts changes by itself, so what the old one has seen says nothing."""
    one, two = Lookout(database), Lookout(database)
    for lookout in (one, two):
        assert lookout.ask("SELECT 1") is not None
    with pytest.raises(DatabaseUnavailable):
        one.ask("SELECT no_such_column", always=True)
    for lookout in (one, two):
        assert lookout.ask("SELECT 1") is not None
        lookout.close()
