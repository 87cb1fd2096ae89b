"""Dead letters that are read again: stored once, as they came, and only one's own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.devices.model import Device
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.ingest import channels, write_isolated
from mooring.ingest.resend import service, store
from mooring.ingest.resend.model import Outcome, Resent
from mooring.ingest.resend.planning import plan_of
from mooring.ingest.resend.service import Resending
from mooring.store.schema import (
    alerts,
    audit,
    counters,
    dead_letters,
    device_state,
    latest,
    messages,
)
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice

T0 = 1_771_000_000_000
RESEND = "/api/v1/dead-letters/resend"
OF_A = Actor("ann", Role.OPERATOR, "a")


def letter(
    platform: App,
    body: Any,
    *,
    topic: str = "smarthome/a/lamp/telemetry",
    at: int = T0,
    reason: str = "not_json",
    tenant: str | None = "a",
    device: Device | None = None,
    size: int | None = None,
) -> int:
    """A dead letter; its number."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    row = {
        "received_at": at,
        "reason": reason,
        "detail": "As it was.",
        "topic": topic,
        "tenant": tenant,
        "device_id": None if device is None else device.id,
        "size": len(payload) if size is None else size,
        "payload": payload,
    }
    with platform.database.write() as connection:
        added = sa.insert(dead_letters).values(**row).returning(dead_letters.c.id)
        return int(connection.execute(added).scalar_one())


def resend(platform: App, *numbers: int, who: Actor = SYSTEM) -> Resent:
    return platform.service(Resending).ids(who, numbers)


def outcomes(found: Resent) -> list[str]:
    return [str(one.outcome) for one in found.tried]


def stored(platform: App) -> list[tuple[int, int]]:
    """Time and time of arrival of each message."""
    c = messages.c
    with platform.database.read() as connection:
        rows = connection.execute(sa.select(c.ts, c.received_at).order_by(c.received_at))
        return [(ts, received) for ts, received in rows]


def kept(platform: App) -> list[int]:
    with platform.database.read() as connection:
        return list(
            connection.execute(sa.select(dead_letters.c.id).order_by(dead_letters.c.id)).scalars()
        )


def test_a_message_is_stored_once_as_it_came(platform: App, add_device: AddDevice) -> None:
    device = add_device("lamp")
    said = {"timestamp": T0 - 5_000, "sensors": {"powerW": 4.2}}
    number = letter(platform, said, device=device)
    assert outcomes(resend(platform, number)) == ["stored"]
    assert stored(platform) == [(T0 - 5_000, T0)]
    assert kept(platform) == []
    assert outcomes(resend(platform, number)) == ["not_found"]
    assert stored(platform) == [(T0 - 5_000, T0)]
    with platform.database.read() as connection:
        assert connection.execute(sa.select(latest.c.received_at)).scalars().all() == [T0]
        noted = sa.select(audit.c.actor, audit.c.subject, audit.c.tenant).where(
            audit.c.action == "dead_letter.resend"
        )
        assert connection.execute(noted).all() == [(SYSTEM.name, str(number), "a")]
        counted = sa.select(counters.c.value).where(counters.c.name == "dead_letters_resent")
        assert connection.execute(counted).scalar_one() == 1


def test_a_message_of_a_device_that_was_added_later(platform: App, add_device: AddDevice) -> None:
    number = letter(platform, {"sensors": {"powerW": 1}}, reason="unknown_device")
    first = resend(platform, number)
    assert [(str(o.outcome), o.reason) for o in first.tried] == [("rejected", "unknown_device")]
    assert kept(platform) == [number]
    add_device("lamp")
    assert outcomes(resend(platform, number, who=OF_A)) == ["stored"]
    assert stored(platform) == [(T0, T0)]


def test_what_cannot_be_stored_stays_with_the_reason_of_now(
    platform: App, add_device: AddDevice
) -> None:
    device = add_device("lamp")
    add_device("kettle", tenant="b")
    cases = {
        letter(platform, b"{not json", device=device): "not_json",
        letter(platform, {"sensors": {}}, device=device, size=99_999): "incomplete",
        letter(
            platform, {"sensors": {}}, topic="nobody/declares/this", tenant=None
        ): "undeclared_topic",
        letter(platform, b"\x30\x00", reason="malformed_packet", tenant=None): "malformed_packet",
        letter(platform, b"", reason="not_storable", device=device): "not_storable",
        # The topic's device is another one than the message's, or of another tenant.
        letter(
            platform, {"sensors": {}}, topic="smarthome/b/kettle/telemetry", device=device
        ): "other_device",
        letter(
            platform, {"sensors": {}}, topic="smarthome/b/kettle/telemetry", tenant="a"
        ): "other_device",
    }
    found = resend(platform, *cases)
    assert {one.id: one.reason for one in found.tried} == cases
    assert {one.outcome for one in found.tried} == {Outcome.REJECTED}
    assert kept(platform) == sorted(cases)
    assert stored(platform) == []


def test_one_that_the_database_rejects_is_kept_whole(platform: App, add_device: AddDevice) -> None:
    device = add_device("lamp")
    number = letter(platform, {"sensors": {"text": "x" * 70_000}}, device=device)
    resending = platform.service(Resending)
    with platform.database.read() as connection:
        letters = store.letters(connection, SYSTEM, ids=[number], limit=1)
    routes = resending._routes(letters, channels.numbers(platform.database, platform.catalogue))
    plan, readable, _ = plan_of(letters, routes, resending.limits)
    assert readable == letters
    kept_again = write_isolated._message(plan, 0, ValueError("rejected"))
    assert (kept_again.size, len(kept_again.payload)) == (letters[0].size,) * 2


def test_a_tenant_s_user_resends_only_the_tenant_s_own(
    platform: App, add_device: AddDevice
) -> None:
    add_device("lamp")
    add_device("kettle", tenant="b")
    topic = "smarthome/b/kettle/telemetry"
    theirs = letter(platform, {"sensors": {"a": 1}}, topic=topic, tenant="b")
    nobody_s = letter(platform, {"sensors": {"a": 1}}, tenant=None)
    assert outcomes(resend(platform, theirs, nobody_s, who=OF_A)) == ["not_found", "not_found"]
    assert platform.service(Resending).matching(OF_A).tried == []
    assert kept(platform) == [theirs, nobody_s]
    assert stored(platform) == []
    with pytest.raises(MooringError, match="operator"):
        resend(platform, theirs, who=Actor("vic", Role.VIEWER, "b"))


def test_the_same_one_from_several_people_at_once(platform: App, add_device: AddDevice) -> None:
    add_device("lamp")
    numbers = [letter(platform, {"sensors": {"n": n}}, at=T0 + n) for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: resend(platform, *numbers), range(3)))
    assert len(stored(platform)) == len(numbers)
    assert sum(one.count(Outcome.STORED) for one in found) == len(numbers)
    assert sum(one.count(Outcome.NOT_FOUND) for one in found) == 2 * len(numbers)
    assert kept(platform) == []


def test_one_that_the_device_has_sent_again_is_no_second_message(
    platform: App, add_device: AddDevice
) -> None:
    device = add_device("oven", dialect="mooring")
    topic = "mooring/a/oven/telemetry"
    said = {"ts": T0, "seq": 7, "values": {"temperature": 4}}
    both = [letter(platform, said, topic=topic, device=device, at=T0 + n) for n in range(2)]
    assert sorted(outcomes(resend(platform, *both))) == ["duplicate", "stored"]
    assert len(stored(platform)) == 1
    assert kept(platform) == []


@pytest.mark.parametrize(("newer", "online"), [(True, True), (False, False)])
def test_state_never_goes_back(
    platform: App, add_device: AddDevice, newer: bool, online: bool
) -> None:
    """ "Offline" is stored after "online", which arrived after it, or before it."""
    device = add_device("lamp")
    topic = "smarthome/a/lamp/status"
    at = T0 + 1_000 if newer else T0 - 1_000
    first = letter(platform, {"online": True}, topic=topic, device=device, at=at)
    late = letter(platform, {"online": False}, topic=topic, device=device, at=T0)
    assert outcomes(resend(platform, first)) == ["stored"]
    assert outcomes(resend(platform, late)) == ["stored"]
    assert len(stored(platform)) == 2
    with platform.database.read() as connection:
        state = connection.execute(sa.select(device_state.c.online)).scalar_one()
    assert bool(state) is online


@pytest.mark.parametrize(("newer", "open_ones"), [("alert", 1), ("alert_cleared", 0)])
def test_an_alert_is_as_its_newest_message_says(
    platform: App, add_device: AddDevice, newer: str, open_ones: int
) -> None:
    """An alert and its end are messages of two channels."""
    device = add_device("oven", dialect="mooring")
    for n, channel in enumerate(sorted(["alert", "alert_cleared"], key=lambda one: one != newer)):
        at = T0 - 1_000 * n
        body = {"ts": at, "seq": 2 - n, "alert": "hot"}
        number = letter(platform, body, topic=f"mooring/a/oven/{channel}", device=device, at=at)
        assert outcomes(resend(platform, number)) == ["stored"]
    with platform.database.read() as connection:
        raised = sa.select(sa.func.count(alerts.c.id)).where(alerts.c.cleared_at.is_(None))
        assert connection.execute(raised).scalar_one() == open_ones


def test_all_that_match_in_parts(
    platform: App, add_device: AddDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RESEND_MAX", 2)
    add_device("lamp")
    add_device("plug")
    bad = letter(platform, b"x", at=T0)
    numbers = [letter(platform, {"sensors": {"n": n}}, at=T0 + n) for n in range(3)]
    other = letter(platform, {"sensors": {}}, reason="unknown_device", at=T0)
    resending = platform.service(Resending)
    found = resending.matching(SYSTEM, reason="not_json")
    assert [one.id for one in found.tried] == [bad, numbers[0]]
    assert outcomes(found) == ["rejected", "stored"]
    found = resending.matching(SYSTEM, reason="not_json", after=found.next_after or 0)
    assert outcomes(found) == ["stored", "stored"] and found.next_after is None
    assert kept(platform) == [bad, other]
    assert resending.matching(SYSTEM, device="a:plug").tried == []
    with pytest.raises(MooringError, match="maximum"):
        resending.ids(SYSTEM, [1, 2, 3])


def test_over_http(platform: App, add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("lamp")
    operator = client_of("operator", "a")
    number, bad = letter(platform, {"sensors": {"n": 1}}), letter(platform, b"x")
    for wrong in ({}, {"ids": [1], "matching": {}}):
        answer = operator.post(RESEND, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "nothing_to_resend")
    assert client_of("viewer", "a").post(RESEND, json={"matching": {}}).status_code == 403
    assert operator.post(RESEND, json={"matching": {"device": "nobody"}}).status_code == 404
    answer: httpx.Response = operator.post(RESEND, json={"ids": [number, bad]})
    found = answer.json()
    assert [(one["id"], one["outcome"]) for one in found["results"]] == [
        (number, "stored"),
        (bad, "rejected"),
    ]
    assert (found["stored"], found["rejected"], found["next_after"]) == (1, 1, None)
    again = operator.post(RESEND, json={"matching": {"reason": "not_json"}}).json()
    assert [one["outcome"] for one in again["results"]] == ["rejected"]
    assert len(stored(platform)) == 1
