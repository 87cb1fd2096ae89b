"""A verdict tells nothing of other tenants' devices behind the same address."""

from __future__ import annotations

import sqlalchemy as sa

from mooring.doctor import store
from mooring.store.engine import Database
from mooring.store.schema import broker_events


def test_attempts_without_a_name_show_no_client_id(database: Database) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(broker_events).values(
                at=5, event="refused", client_id="of-another-tenant", address="10.0.0.1", detail=""
            )
        )
    with database.read() as connection:
        found = store.unnamed(connection, "10.0.0.1", 0)
    assert [(one.at, one.client_id) for one in found] == [(5, "")]
