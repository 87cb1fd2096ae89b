from __future__ import annotations

from mooring.broker.log import LogEvent, parse_line
from mooring.presence.observe import Observer

LOG = """\
2026-02-13T12:00:00+0000: mosquitto version 2.0.11 running
2026-02-13T12:00:01+0000: New connection from 10.0.0.7:50000 on port 8883.
2026-02-13T12:00:01+0000: New client connected from 10.0.0.7:5 as lamp (p2, c1, k60, u'home/lamp').
2026-02-13T12:00:02+0000: New connection from 10.0.0.9:50001 on port 8883.
2026-02-13T12:00:02+0000: Client <unknown> disconnected, not authorised.
2026-02-13T12:00:03+0000: Client lamp has exceeded timeout, disconnecting.
"""


def events(text: str) -> list[LogEvent]:
    return [event for line in text.splitlines() if (event := parse_line(line)) is not None]


def test_the_log_tells_who_is_connected_and_from_where() -> None:
    seen = Observer().observe(events(LOG), now=0)
    assert seen.restarted
    assert [row.event for row in seen.rows] == ["running", "connected", "refused", "disconnected"]
    assert [row.keepalive for row in seen.rows] == [None, 60, None, None]
    lamp = seen.latest["home/lamp"]
    assert (lamp.connected, lamp.address) == (False, "10.0.0.7")


def test_a_refusal_gets_the_address_of_the_connection_before_it() -> None:
    refused = [r for r in Observer().observe(events(LOG), now=0).rows if r.event == "refused"]
    assert [(r.address, r.username) for r in refused] == [("10.0.0.9", None)]


def test_a_goodbye_in_a_later_piece_of_log_still_knows_the_username() -> None:
    observer = Observer()
    first, last = LOG.rsplit("2026-02-13T12:00:03", 1)
    assert observer.observe(events(first), now=0).latest["home/lamp"].connected
    seen = observer.observe(events("2026-02-13T12:00:03" + last), now=0)
    assert not seen.latest["home/lamp"].connected
    assert seen.rows[0].detail == "exceeded timeout"


def test_a_restart_of_the_broker_ends_every_session() -> None:
    observer = Observer()
    observer.observe(events(LOG.rsplit("2026-02-13T12:00:03", 1)[0]), now=0)
    seen = observer.observe(events(LOG.splitlines()[0]), now=0)
    assert seen.restarted
    assert seen.latest == {}
