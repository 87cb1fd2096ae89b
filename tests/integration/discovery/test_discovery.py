"""Unknown devices against a real database: listed, accepted, refused, and by rules."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.discovery.model import Action, Heard, NewRule, State
from mooring.discovery.service import Discovery
from mooring.discovery.worker import ANSWERS_PER_SECOND, DiscoveryWorker
from mooring.errors import Conflict, Forbidden, Gone, Invalid, MooringError, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.presence.store import add_unknown
from mooring.secrets import verifiers
from mooring.store.engine import now_ms
from mooring.store.schema import (
    audit,
    claim_codes,
    counters,
    devices,
    discovery_decisions,
    downlinks,
    strangers,
)
from tests.integration.discovery.conftest import Speak

A = Actor("a", Role.ADMIN, "a")
B = Actor("b", Role.ADMIN, "b")
REGISTERS = b'{"device_type":"boiler","firmware_version":"1"}'


def every(platform: App, *columns: Any, **where: Any) -> list[tuple[Any, ...]]:
    with platform.database.read() as connection:
        statement = sa.select(*columns)
        for name, value in where.items():
            statement = statement.where(columns[0].table.c[name] == value)
        return [tuple(row) for row in connection.execute(statement.order_by(*columns))]


def counted(platform: App, name: str) -> int:
    rows = every(platform, counters.c.value, name=name)
    return int(rows[0][0]) if rows else 0


def states(discovery: Discovery, actor: Actor = SYSTEM, **which: Any) -> dict[str, State]:
    return {one.name: one.state for one in discovery.page(actor, limit=500, **which)}


def exists(platform: App, *tenants: str) -> None:
    for tenant in tenants:
        platform.devices.add(SYSTEM, NewDevice(f"first-{tenant}", "iotflow", tenant))


# ------------------------------------------------------------------------- the list


def test_a_registration_is_pending_with_what_it_says(discovery: Discovery, speak: Speak) -> None:
    speak("boiler-9", registers=REGISTERS)
    speak("boiler-9")
    speak("other")
    found = discovery.get(SYSTEM, "boiler-9")
    assert (found.state, found.heard, found.messages) == (State.PENDING, Heard.REGISTRATION, 2)
    assert found.about == {"device_type": "boiler"}
    assert {one.name for one in discovery.page(SYSTEM)} == {"other", "boiler-9"}
    assert discovery.get(SYSTEM, "other").heard is Heard.MESSAGE


def test_a_tenant_sees_its_own_list_alone(discovery: Discovery, speak: Speak) -> None:
    speak("x", tenant="a", dialect="pulse")
    speak("x", tenant="b", dialect="pulse")
    assert [one.tenant for one in discovery.page(A)] == ["a"]
    assert discovery.get(A, "x").tenant == "a"
    with pytest.raises(Conflict):
        discovery.get(SYSTEM, "x")
    for call in (discovery.accept, discovery.refuse):
        with pytest.raises(NotFound):
            call(A, "x", tenant="b")
    assert discovery.refuse(B, "x").state is State.REFUSED
    assert states(discovery, A) == {"x": State.PENDING}


def test_a_list_is_full_of_its_own_tenant_alone(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    exists(platform, "a", "b")
    at = now_ms()
    speak("honest", tenant="b", dialect="pulse", at=at)
    for number in range(50):
        speak(*(f"f{number}-{n}" for n in range(4)), tenant="a", dialect="pulse", at=at + number)
        speak(*(f"g{number}-{n}" for n in range(4)), tenant=f"no-{number}", dialect="pulse")
    speak("late", tenant="b", dialect="pulse", at=at)
    assert states(discovery, B) == {"honest": State.PENDING, "late": State.PENDING}
    assert len(states(discovery, A)) == 20  # twice what is kept, until the next look
    assert len(every(platform, strangers.c.name)) <= 22 + 30
    worker.step(at)
    assert len(states(discovery, A)) == 10
    assert counted(platform, "discovery_displaced") == 10
    assert states(discovery, B) == {"honest": State.PENDING, "late": State.PENDING}
    # Those that still speak stay, whoever came in between.
    kept = sorted(states(discovery, A))[0]
    speak(kept, tenant="a", dialect="pulse", at=at + 10_000)
    speak(*(f"h{n}" for n in range(9)), tenant="a", dialect="pulse", at=at + 9_000)
    worker.step(at + 20_000)
    assert set(states(discovery, A)) == {kept, *(f"h{n}" for n in range(9))}


def test_attempts_to_log_in_displace_nobody_who_spoke(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    exists(platform, "a")
    at = now_ms()
    spoke = [f"s{n}" for n in range(8)]
    speak(*spoke, tenant="a", dialect="pulse", at=at - 1000)
    for number in range(5):
        tried = {("pulse", "a", f"t{number}-{n}"): at for n in range(20)}
        with platform.database.write() as connection:
            add_unknown(connection, tried, 10, 30)
    assert len(states(discovery)) == 8 + 10
    assert discovery.get(SYSTEM, "t0-0").heard is Heard.LOGIN
    worker.step(at)
    found = states(discovery)
    assert set(spoke) < set(found)
    assert len(found) == 10
    speak("s8", "s9", tenant="a", dialect="pulse", at=at)
    worker.step(at + 10_000)
    assert set(states(discovery)) == {*spoke, "s8", "s9"}


def test_a_device_that_is_added_is_unknown_no_more(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    speak("pump", tenant="a", dialect="pulse")
    speak("pump", tenant="b", dialect="pulse")
    speak("boiler-9")
    discovery.refuse(SYSTEM, "boiler-9")
    platform.devices.add(SYSTEM, NewDevice("pump", "pulse", "a"))
    platform.devices.add(SYSTEM, NewDevice("boiler-9", "iotflow", "b"))
    worker.step(now_ms())
    assert every(platform, strangers.c.tenant, strangers.c.name) == [("b", "pump")]
    assert every(platform, discovery_decisions.c.name) == []


# ------------------------------------------------------------------------- a person decides


def test_accepted_and_claimed(platform: App, discovery: Discovery, speak: Speak) -> None:
    speak("boiler-9", registers=REGISTERS)
    made = discovery.accept(SYSTEM, "boiler-9", label="Cellar", groups=("g",), reason="mine")
    assert made.device.state is State.ACCEPTED
    claimed = platform.claims.claim(made.issued.code, "serial-1")
    device = claimed.credentials.device
    assert (device.name, device.dialect, device.tenant) == ("boiler-9", "iotflow", "default")
    assert (device.label, device.groups) == ("Cellar", ("g",))
    topics = claimed.credentials.topics
    assert topics["register"] == "iotflow/discovery/register/boiler-9"
    actions = [row[0] for row in every(platform, audit.c.action)]
    assert {"discovery.accept", "claim.new", "claim"} <= set(actions)


def test_accepted_again_the_first_code_ends(
    platform: App, discovery: Discovery, speak: Speak
) -> None:
    speak("boiler-9")
    first = discovery.accept(SYSTEM, "boiler-9")
    second = discovery.accept(SYSTEM, "boiler-9")
    with pytest.raises(Gone):
        platform.claims.claim(first.issued.code, "x")
    assert platform.claims.claim(second.issued.code, "x").credentials.device.name == "boiler-9"


def test_refused_after_all(platform: App, discovery: Discovery, speak: Speak) -> None:
    speak("boiler-9")
    made = discovery.accept(SYSTEM, "boiler-9")
    assert discovery.refuse(SYSTEM, "boiler-9", reason="not ours").reason == "not ours"
    with pytest.raises(Gone):
        platform.claims.claim(made.issued.code, "x")
    assert states(discovery, state=State.PENDING) == {}
    assert every(platform, devices.c.name) == []


def test_a_refusal_ends_after_a_day(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    speak("boiler-9")
    found = discovery.refuse(SYSTEM, "boiler-9")
    assert found.until is not None
    assert 0 <= found.until - now_ms() - 24 * 3_600_000 + 60_000 <= 60_000
    with platform.database.write() as connection:
        connection.execute(sa.update(discovery_decisions).values(until=now_ms()))
    assert states(discovery) == {"boiler-9": State.PENDING}
    worker.step(now_ms() + 1)
    assert every(platform, discovery_decisions.c.name) == []


def test_the_owner_of_a_device_whose_topics_name_no_tenant(
    platform: App, discovery: Discovery, speak: Speak
) -> None:
    speak("boiler-9")
    speak("pump", tenant="a", dialect="pulse")
    with pytest.raises(NotFound):
        discovery.accept(A, "boiler-9", into="a")  # the list belongs to nobody of tenant a
    made = discovery.accept(SYSTEM, "boiler-9", into="a")
    assert platform.claims.claim(made.issued.code, "x").credentials.device.tenant == "a"
    with pytest.raises(Invalid) as wrong:
        discovery.accept(SYSTEM, "pump", into="b")
    assert wrong.value.slug == "other_tenant"


def test_an_existing_device_keeps_its_credentials(
    platform: App, discovery: Discovery, speak: Speak
) -> None:
    """Added after it was heard, and before somebody accepts it."""
    speak("boiler-9")
    platform.devices.add(SYSTEM, NewDevice("boiler-9", "iotflow", "default"))
    with pytest.raises(Conflict) as refusal:
        discovery.accept(SYSTEM, "boiler-9")
    assert refusal.value.slug == "device_exists"
    assert every(platform, claim_codes.c.id) == []


@pytest.mark.parametrize("name", ["{x}", "a\nb", " a", "$x"])
def test_a_name_that_no_device_can_have_is_not_accepted(
    discovery: Discovery, speak: Speak, name: str
) -> None:
    speak(name, registers=b"\xff")
    with pytest.raises(Invalid):
        discovery.accept(SYSTEM, name)
    assert discovery.refuse(SYSTEM, name).state is State.REFUSED


def test_many_decide_at_the_same_moment(platform: App, discovery: Discovery, speak: Speak) -> None:
    speak("boiler-9")

    def decide(number: int) -> str | None:
        try:
            if number % 2:
                discovery.refuse(SYSTEM, "boiler-9")
                return None
            return discovery.accept(SYSTEM, "boiler-9").issued.code
        except MooringError as exc:
            raise AssertionError(exc) from exc

    with ThreadPoolExecutor(4) as pool:
        codes = [code for code in pool.map(decide, range(6)) if code]
    assert len(every(platform, discovery_decisions.c.name)) == 1
    valid = 0
    for code in codes:
        try:
            platform.claims.claim(code, "x")
        except Gone:
            continue
        valid += 1
    accepted = states(discovery)["boiler-9"] is State.ACCEPTED
    assert valid == accepted


# ------------------------------------------------------------------------- rules


def rule(discovery: Discovery, pattern: str, per_day: int = 2, **more: Any) -> str:
    made = discovery.add_rule(
        SYSTEM, NewRule("iotflow", pattern, Action.ACCEPT, per_day=per_day, **more)
    )
    assert made.code is not None
    return made.code


def test_a_rule_accepts_as_many_as_it_may_in_a_day(platform: App, discovery: Discovery) -> None:
    code = rule(discovery, "sensor-*")
    first = platform.claims.claim(code, "sensor-1")
    assert first.credentials.device.name == "sensor-1"
    again = platform.claims.claim(code.lower().replace("-", ""), "sensor-1")
    assert again.again
    assert again.credentials.password == first.credentials.password
    platform.claims.claim(code, "sensor-2")
    with pytest.raises(Conflict) as refusal:
        platform.claims.claim(code, "sensor-3")
    assert refusal.value.slug == "discovery_quota_used"
    [found] = discovery.rules(SYSTEM)
    assert (found.today(now_ms()), found.used, found.left(now_ms())) == (2, 2, 0)
    assert found.left(now_ms() + 86_400_000) == 2


def test_what_a_fleet_code_is_not_worth(platform: App, discovery: Discovery, speak: Speak) -> None:
    """The same answer as to a code that does not exist, and no device."""
    speak("sensor-9")
    discovery.refuse(SYSTEM, "sensor-9")
    held, _ = platform.devices.add(SYSTEM, NewDevice("sensor-1", "iotflow", "default"))
    platform.devices.add(SYSTEM, NewDevice("sensor-2", "iotflow", "another"))
    discovery.add_rule(SYSTEM, NewRule("iotflow", "sensor-bad*", Action.REFUSE))
    code = rule(discovery, "sensor-*", per_day=50)
    before = every(platform, devices.c.name)
    for name in ("boiler-1", "sensor-9", "sensor-1", "sensor-2", "sensor-bad-1"):
        with pytest.raises(NotFound) as refusal:
            platform.claims.claim(code, name)
        assert refusal.value.slug == "claim_refused", name
    assert every(platform, devices.c.name) == before
    assert every(platform, claim_codes.c.id) == []
    [accepting] = [one for one in discovery.rules(SYSTEM) if one.action is Action.ACCEPT]
    assert accepting.used == 0
    account = platform.devices.account(held.device.username)
    assert account is not None
    assert verifiers.check(held.password, account.verifier or "")


def test_a_removed_rule_ends_its_code(platform: App, discovery: Discovery) -> None:
    code = rule(discovery, "*")
    platform.claims.claim(code, "sensor-1")
    [found] = discovery.rules(SYSTEM)
    discovery.remove_rule(SYSTEM, found.id)
    for name in ("sensor-1", "sensor-2"):
        with pytest.raises(NotFound):
            platform.claims.claim(code, name)
    assert every(platform, devices.c.name) == [("sensor-1",)]


def test_one_quota_for_all_who_ask_at_the_same_moment(platform: App, discovery: Discovery) -> None:
    code = rule(discovery, "*", per_day=3)

    def claim(number: int) -> str:
        try:
            return platform.claims.claim(code, f"s{number % 6}").credentials.device.name
        except MooringError as exc:
            return exc.slug

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(claim, range(12)))
    assert len(every(platform, devices.c.name)) == 3
    assert {one for one in said if not one.startswith("s")} == {"discovery_quota_used"}


def test_rules_of_a_tenant(discovery: Discovery) -> None:
    mine = discovery.add_rule(A, NewRule("pulse", "*", Action.ACCEPT, "a", 1)).rule
    assert discovery.rules(A) == [mine]
    assert discovery.rules(B) == []
    with pytest.raises(NotFound):
        discovery.add_rule(A, NewRule("pulse", "*", Action.ACCEPT, "b", 1))
    with pytest.raises(NotFound):
        discovery.remove_rule(B, mine.id)
    with pytest.raises(Forbidden):
        discovery.add_rule(
            replace(A, role=Role.OPERATOR), NewRule("pulse", "*", Action.REFUSE, "a")
        )
    for quota in (0, -1, 100_001):
        with pytest.raises(Invalid):
            discovery.add_rule(A, NewRule("pulse", "*", Action.ACCEPT, "a", quota))


def test_a_rule_that_refuses(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    discovery.add_rule(SYSTEM, NewRule("iotflow", "bad-*", Action.REFUSE))
    speak("bad-1", "good-1", registers=REGISTERS)
    worker.step(now_ms())
    assert states(discovery) == {"bad-1": State.REFUSED, "good-1": State.PENDING}
    assert discovery.get(SYSTEM, "bad-1").actor.startswith("rule ")
    assert answered(platform) == {"bad-1": "refused", "good-1": "pending"}


# ------------------------------------------------------------------------- answers


def answered(platform: App) -> dict[str, str]:
    return {
        topic.rpartition("/")[2]: json.loads(payload)["status"]
        for topic, payload in every(platform, downlinks.c.topic, downlinks.c.payload)
    }


def test_each_registration_is_answered_once(
    platform: App, discovery: Discovery, speak: Speak, worker: DiscoveryWorker
) -> None:
    rule(discovery, "sensor-*")
    at = now_ms()
    speak("boiler-9", "sensor-1", registers=REGISTERS, at=at)
    speak("quiet", at=at)
    worker.step(at)
    worker.step(at + 10)
    assert answered(platform) == {"boiler-9": "pending", "sensor-1": "accepted"}
    assert every(platform, downlinks.c.retain, downlinks.c.tenant) == [(False, "default")] * 2
    speak("boiler-9", registers=REGISTERS, at=at + 100)
    worker.step(at + 200)
    assert len(every(platform, downlinks.c.id)) == 3


def test_a_flood_of_registrations_leaves_room_for_others(
    platform: App, speak: Speak, worker: DiscoveryWorker
) -> None:
    exists(platform, "default")
    at = now_ms()
    for number in range(40):
        speak(*(f"f{number}-{n}" for n in range(50)), registers=REGISTERS, at=at)
    worker.step(at)
    assert len(every(platform, downlinks.c.id)) == ANSWERS_PER_SECOND
    worker.step(at + 120_000)  # nobody waits any more
    assert len(every(platform, downlinks.c.id)) == ANSWERS_PER_SECOND
    # Answers that are over leave no row.
    with platform.database.write() as connection:
        connection.execute(sa.update(downlinks).values(finished_at=at))
    worker.step(at + 130_000)
    assert every(platform, downlinks.c.id) == []
