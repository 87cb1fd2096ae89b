"""Whatever a device calls itself and sends, the log tells nothing of another login."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.broker.log import LogReader
from mooring.presence.observe import Observations, Observer
from tests.unit.broker.log_lines import CUT, STAMP, Broker

BROKERS = (Broker((2, 0, 11)), Broker((2, 1, 2)))
VICTIM, VICTIM_ID, VICTIM_ADDRESS = "acme/lamp", "acme:lamp", "10.0.0.7"
MINE, MY_ADDRESS = "evil/plug", "10.6.6.6"

# What an attacker would want to have in the log.
FORGED = (
    f"New client connected from 10.0.0.7:5 as {VICTIM_ID} (p2, c1, k60, u'{VICTIM}').",
    f"{VICTIM_ID} (p2, c1, k60, u'{VICTIM}').",
    f"x (p2, c1, k60, u'{VICTIM}",
    f"Client {VICTIM_ID} disconnected.",
    f"{VICTIM_ID} disconnected: x",
    f"{VICTIM_ID} disconnected.",
    f"{VICTIM_ID} closed its connection.",
    f"{VICTIM_ID} has",
    f"{VICTIM_ID} [10.0.0.7:5]",
    f"{VICTIM_ID} [10.0.0.7:5] disconnected: not authorised.",
    f"{VICTIM_ID} [10.0.0.7:5] disconnected: session taken over.",
    f"{VICTIM_ID} disconnected due to protocol error.",
    f"{VICTIM_ID} already connected, closing old connection.",
    f"{VICTIM_ID} (d0, q1, r0, m1, 'mooring/acme/lamp/x', ... (1 bytes))",
    f"{VICTIM_ID} (d0, q1, r0, m1, 'mooring/acme/lamp/x",
    f"Denied PUBLISH from {VICTIM_ID} (d0, q1, r0, m1, 'x', ... (1 bytes))",
    f"Denied SUBSCRIBE from {VICTIM_ID} (q1, '#')",
    f"Outgoing messages are being dropped for client {VICTIM_ID}.",
    f"Bad socket read/write on client {VICTIM_ID}: A TLS error occurred.",
    "mosquitto version 9.9.9 running",
    "mosquitto version 9.9.9 starting",
    "Reloading config.",
    f"a: Received {VICTIM_ID}",
    f"connection from {VICTIM_ADDRESS} failed: error:0A:x",
    f"connection from {VICTIM_ADDRESS} denied: max_connections exceeded.",
    "<unknown>",
    VICTIM_ADDRESS,
    VICTIM,
)
PREFIXES = (
    "New client connected from 10.6.6.6:4242 as ",
    "Client ",
    "Denied PUBLISH from ",
    "Denied PUBLISH from plug (d0, q1, r0, m7, '",
    "Denied SUBSCRIBE from ",
    "Outgoing messages are being dropped for client ",
    "",
    "\t",
)
sentences = st.sampled_from(FORGED) | st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Sentences one after another, filled up so that the line is cut anywhere, also exactly
    behind a sentence."""
    text = draw(st.sampled_from(("", " ", "x "))).join(
        draw(st.lists(sentences, min_size=1, max_size=4))
    )
    how = draw(st.sampled_from(("short", "exact", "long")))
    if how == "short":
        return text
    taken = len((STAMP + draw(st.sampled_from(PREFIXES)) + text).encode())
    room = CUT - taken + draw(st.integers(-2, 2) if how == "exact" else st.integers(0, 1200))
    return "é" * (max(0, room) // 2) + "x" * (max(0, room) % 2) + text + draw(sentences)


@st.composite
def acts(draw: st.DrawFn, broker: Broker, port: int) -> list[str]:
    """What one connection of the attacker's brings into the log."""
    client_id, text = draw(texts()), draw(texts())
    lines = broker.opened(MY_ADDRESS, port)
    if draw(st.booleans()):
        return lines + broker.refused(client_id, MY_ADDRESS, port)
    lines += broker.connected(client_id, MINE, MY_ADDRESS, port)
    for _ in range(draw(st.integers(0, 3))):
        lines += draw(
            st.sampled_from(
                [
                    broker.subscribed(client_id, text),
                    broker.published(client_id, text, denied=True),
                    broker.published(client_id, text, denied=False),
                    broker.dropping(client_id),
                ]
            )
        )
    if draw(st.booleans()):
        lines += broker.taken_over(client_id, MY_ADDRESS, port)
        lines += broker.connected(client_id, MINE, MY_ADDRESS, port + 1)
    return lines + broker.ended(draw(st.integers(0, 20)), client_id, MY_ADDRESS, port)


def observed(broker: Broker, lines: list[str]) -> Observations:
    """What an observer makes of it who has seen the victim connect."""
    reader, observer = LogReader(broker.version), Observer(lambda: 1)
    before = [
        *broker.running(),
        *broker.opened(VICTIM_ADDRESS, 5),
        *broker.connected(VICTIM_ID, VICTIM, VICTIM_ADDRESS, 5),
    ]
    first = observer.observe([e for line in before if (e := reader.read(line))], now=0)
    assert first.latest[VICTIM].connected
    return observer.observe([e for line in lines if (e := reader.read(line))], now=0)


@pytest.mark.parametrize("broker", BROKERS, ids=str)
@given(data=st.data())
def test_nothing_is_said_of_another_login(broker: Broker, data: st.DataObject) -> None:
    seen = observed(broker, [line for port in (10, 20) for line in data.draw(acts(broker, port))])
    assert set(seen.latest) <= {MINE}
    assert not seen.restarted
    for row in seen.rows:
        assert row.username in {MINE, None}
        assert row.username == MINE or row.client_id is None
        assert row.address in {MY_ADDRESS, None} or row.username is None
        if row.event in {"denied_publish", "denied_subscribe", "dropping", "taken_over"}:
            assert row.client_id != VICTIM_ID


@pytest.mark.parametrize("broker", BROKERS, ids=str)
@pytest.mark.parametrize("text", FORGED)
def test_each_forged_sentence_at_the_cut(broker: Broker, text: str) -> None:
    """The line ends, for whoever reads it, with the sentence of the attacker's choice."""
    for prefix in PREFIXES:
        fill = "x" * (CUT - len(STAMP + prefix + text))
        for client_id in (fill + text + "tail", text + " " + fill, text):
            lines = [
                *broker.opened(MY_ADDRESS, 10),
                *broker.connected(client_id, MINE, MY_ADDRESS, 10),
                *broker.published(client_id, fill + text + "tail", denied=True),
                *broker.published("plug", fill + text + "tail", denied=True),
                *broker.ended(10, client_id, MY_ADDRESS, 10),
            ]
            seen = observed(broker, lines)
            assert set(seen.latest) <= {MINE}
            assert not seen.restarted
            assert {row.username for row in seen.rows} <= {MINE, None}


@pytest.mark.parametrize("broker", BROKERS, ids=str)
@given(
    client_id=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=200),
    ending=st.integers(0, 20),
)
@example(client_id="a: Received b", ending=0)
@example(client_id="a: Sending b", ending=0)
@example(client_id=f"{VICTIM_ID} disconnected: x", ending=0)
def test_what_a_device_does_is_seen_whatever_its_client_id(
    broker: Broker, client_id: str, ending: int
) -> None:
    lines = [
        *broker.opened(MY_ADDRESS, 10),
        *broker.connected(client_id, MINE, MY_ADDRESS, 10),
        *broker.published(client_id, "other/topic", denied=True),
    ]
    seen = observed(broker, lines)
    assert seen.refused == 0
    assert seen.latest[MINE].connected
    assert [(r.event, r.username, r.client_id) for r in seen.rows] == [
        ("connected", MINE, client_id),
        ("denied_publish", MINE, client_id),
    ]
    assert seen.rows[1].detail == "other/topic"
    if client_id not in {"<unknown>", MY_ADDRESS}:
        seen = observed(broker, lines + broker.ended(ending, client_id, MY_ADDRESS, 10))
        assert not seen.latest[MINE].connected


@pytest.mark.parametrize("broker", BROKERS, ids=str)
def test_lines_that_were_not_believed_are_counted(broker: Broker) -> None:
    twice = f"x (p2, c1, k60, u'{VICTIM}"
    lines = [
        *broker.connected("x" * 1000, MINE, MY_ADDRESS, 10),
        *broker.connected(twice, MINE, MY_ADDRESS, 10),
        *broker.published("plug", "a (d0, q1, r0, m1, 'b", denied=True),
        *broker.running(),  # the second time, and it was started once
        *broker.published("plug", "x" * 1000, denied=False),  # nobody wants to know it
    ]
    seen = observed(broker, lines)
    assert seen.refused == 4
    assert seen.rows == []
    assert not seen.restarted


def test_another_ones_client_id_is_a_session_of_the_one_who_has_it_now() -> None:
    """Where the broker binds no client ids a login can end another one's session; that is
    seen, and what follows is the intruder's."""
    broker = BROKERS[0]
    seen = observed(
        broker,
        [
            *broker.taken_over(VICTIM_ID, VICTIM_ADDRESS, 5),
            *broker.connected(VICTIM_ID, MINE, MY_ADDRESS, 10),
            *broker.published(VICTIM_ID, "x", denied=True),
            *broker.ended(10, VICTIM_ID, MY_ADDRESS, 10),
        ],
    )
    assert [(row.event, row.username) for row in seen.rows] == [
        ("taken_over", VICTIM),
        ("connected", MINE),
        ("denied_publish", MINE),
        ("disconnected", MINE),
    ]
    assert not seen.latest[VICTIM].connected
    assert not seen.latest[MINE].connected


def test_another_version_is_read_from_the_log() -> None:
    reader = LogReader((2, 0, 11))
    for line in BROKERS[1].running():
        reader.read(line)
    event = reader.read(f"{STAMP}Client lamp [10.0.0.9:4711] disconnected.")
    assert event is not None
    assert (event.client_id, event.port) == ("lamp", 4711)
