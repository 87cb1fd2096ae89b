"""Questions that are asked often, on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mooring.commands import store as commands
from mooring.credentials.rotation import store as rotations
from mooring.device_settings import worker as device_settings
from mooring.downlink import store as downlinks
from mooring.jobs import store as jobs
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.lookout import Lookout


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
    lookout.close()


def test_the_time_is_a_value_of_the_question(database: Database) -> None:
    lookout = Lookout(database)
    question = "SELECT :at + :at"
    assert lookout.ask(question, {"at": 4}) == (8,)
    if database.is_sqlite:
        assert lookout.ask(question, {"at": 5}) is None, "nobody has committed anything"
    assert lookout.ask(question, {"at": 5}, always=True) == (10,)
    lookout.close()
