"""Messages over time on both databases: noted once a minute, thinned, deleted, by the keeper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.errors import Forbidden
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.run.keeper import Keeper
from mooring.settings import Settings
from mooring.store.schema import counters, traffic
from mooring.traffic.model import HOUR_MS, MINUTE_MS
from mooring.traffic.service import HOURS_KEPT_MS, MINUTES_KEPT_MS, Traffic

T0 = 1_771_000_000_000 // HOUR_MS * HOUR_MS


@pytest.fixture
def app(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as found:
        yield found


def tell(app: App, **values: int) -> None:
    with app.database.write() as connection:
        connection.execute(sa.delete(counters).where(counters.c.name.in_(values)))
        rows = [{"name": name, "value": value} for name, value in values.items()]
        connection.execute(sa.insert(counters), rows)


def times(app: App) -> list[int]:
    with app.database.read() as connection:
        return list(connection.execute(sa.select(traffic.c.at).order_by(traffic.c.at)).scalars())


def test_the_keeper_notes_each_minute_once(app: App) -> None:
    keeper = Keeper(app, app.database)
    tell(app, messages_stored=10, messages_duplicate=1, dead_letters=2, downlinks_sent=3)
    keeper.turn(T0 + 100)
    tell(app, messages_stored=70, dead_letters=2, dead_letters_dropped=5, desired_published=1)
    for at in (200, MINUTE_MS - 1, MINUTE_MS + 1_500, MINUTE_MS + 30_000):
        keeper.turn(T0 + at)
    assert times(app) == [T0, T0 + MINUTE_MS]
    (step,) = app.service(Traffic).over_time(SYSTEM, T0, MINUTE_MS, 1)
    assert (step.received, step.sent, step.rejected) == (60, 1, 5)


def test_two_keepers_note_one_minute(app: App) -> None:
    service = app.service(Traffic)
    tell(app, messages_stored=10)
    service.note(T0)
    tell(app, messages_stored=20)
    service.note(T0 + 59_999)
    assert times(app) == [T0]


def test_minutes_become_hours_and_hours_end(app: App) -> None:
    now = T0 + HOURS_KEPT_MS
    old = [T0 - HOUR_MS, T0, T0 + HOUR_MS]
    middle = [now - MINUTES_KEPT_MS - HOUR_MS + at * MINUTE_MS for at in range(61)]
    young = [now - MINUTES_KEPT_MS + MINUTE_MS, now - MINUTE_MS]
    with app.database.write() as connection:
        rows = [
            {"at": at, "received": number, "sent": 0, "rejected": 0}
            for number, at in enumerate([*old, *middle, *young])
        ]
        connection.execute(sa.insert(traffic), rows)
    app.service(Traffic).note(now)
    assert times(app) == [T0, T0 + HOUR_MS, middle[0], middle[-1], *young, now]


def test_samples_around_the_time_that_is_asked_for_count(app: App) -> None:
    service = app.service(Traffic)
    for hours, stored in ((0, 0), (2, 240)):
        tell(app, messages_stored=stored)
        service.note(T0 + hours * HOUR_MS)
    found = service.over_time(SYSTEM, T0 + HOUR_MS, 30 * MINUTE_MS, 3)
    assert [one.received for one in found] == [60, 60, None]


def test_a_login_of_one_tenant_does_not_see_the_installation(app: App) -> None:
    with pytest.raises(Forbidden):
        app.service(Traffic).over_time(Actor("ada", Role.ADMIN, "a"), T0, MINUTE_MS, 1)
