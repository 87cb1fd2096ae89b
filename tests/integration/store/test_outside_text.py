"""Text that somebody outside chooses, of any length and with any characters, on both engines."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from mooring.audit import log as audit_log
from mooring.devices.login import device_login
from mooring.errors import Invalid, Unauthorized
from mooring.identity.actor import Actor, Role
from mooring.identity.throttle import Limits, Throttle
from mooring.presence import store as presence
from mooring.presence.evidence import Denied
from mooring.presence.observe import Connectivity, EventRow
from mooring.store.engine import Database
from mooring.store.schema import audit, broker_events, dead_letters
from mooring.store.schema.base import TEXT_MAX
from mooring.store.tally import Tally
from mooring.web.basic import device_logins

ANY = st.text(st.characters(), max_size=80) | st.builds(
    lambda text, times: (text * times)[:65_535],
    st.text(st.characters(), min_size=1, max_size=20),
    st.sampled_from([1, 50, 4000, 65_535]),
)
ODD = ("\0", "a\0b", "\ud800", "\udfff\ud800", "x" * 65_535, "é" * 301, "\U0001f600" * 400, "")

short = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@short
@given(name=ANY, client_id=ANY, address=ANY, detail=ANY)
@example(*("x" * 400,) * 4)
@example(*("\0",) * 4)
@example(*("\udfff",) * 4)
def test_events_of_the_brokers_log(
    database: Database, name: str, client_id: str, address: str, detail: str
) -> None:
    row = EventRow(1, "denied_publish", name, client_id, address, detail)
    with database.write() as connection:
        presence.add_events(connection, [row])
    stored = sa.select(broker_events).order_by(broker_events.c.id.desc()).limit(1)
    with database.read() as connection:
        found = connection.execute(stored).one()
    assert len(found.client_id) <= 300
    assert len(found.address) <= 64
    assert len(found.detail) <= TEXT_MAX
    if len(client_id) <= 300 and client_id.isprintable():
        assert found.client_id == client_id


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_dead_letters_and_state_of_a_login_that_is_no_devices(
    database: Database, text: str
) -> None:
    with suppress(Invalid), database.write() as connection:  # refused, and nothing else
        row = EventRow(1, "denied_publish", text, text, text, "t")
        presence.add_denied(connection, [Denied(row, b"", 0, 1)], 10)
    with suppress(Invalid), database.write() as connection:
        presence.set_connected(connection, [Connectivity(text, True, 1, text)])
    with database.read() as connection:
        connection.execute(sa.select(dead_letters)).all()


@short
@given(name=ANY, origin=ANY, subject=ANY, reason=ANY)
@example(*("x" * 400,) * 4)
@example(*("\0",) * 4)
@example(*("\udfff",) * 4)
def test_audit(database: Database, name: str, origin: str, subject: str, reason: str) -> None:
    actor = Actor(name, Role.ADMIN, origin=origin)
    with database.write() as connection:
        audit_log.record(connection, actor, "login.failed", subject, reason=reason)
    stored = sa.select(audit).order_by(audit.c.id.desc()).limit(1)
    with database.read() as connection:
        found = connection.execute(stored).one()
    assert (len(found.actor) <= 200, len(found.origin) <= 200) == (True, True)
    assert (len(found.subject) <= 300, len(found.reason) <= TEXT_MAX) == (True, True)


@short
@given(pair=st.binary(max_size=200) | ANY.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"a\0b:c")
@example(b"\xed\xa0\x80:x")
def test_basic_logins_of_devices(database: Database, pair: bytes) -> None:
    header = b"Basic " + base64.b64encode(pair)
    request = Request({"type": "http", "headers": [(b"authorization", header)]})
    throttle = Throttle(Limits(1_000_000, 1_000_000, 1_000_000))
    with pytest.raises(Unauthorized):
        device_login(
            database, device_logins(request), throttle=throttle, tally=Tally(), audience="here"
        )
