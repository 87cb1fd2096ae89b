"""Who may publish where, through the platform."""

from __future__ import annotations

import pytest

from mooring.dialects import Router, builtin
from mooring.dialects.sendable import check_topic
from mooring.errors import Forbidden, Invalid
from mooring.identity.actor import Actor, Role
from mooring.publish.rules import Addressed, check_publish

ROUTER = Router(builtin())


def addressed(topic: str, *tenants: str) -> list[Addressed]:
    return [Addressed(match, set(tenants)) for match in ROUTER.match_any(topic)]


def may(actor: Actor, topic: str, *tenants: str) -> bool:
    try:
        check_publish(actor, topic, addressed(topic, *tenants))
    except Forbidden:
        return False
    return True


ADMIN = Actor("root", Role.ADMIN)
OPERATOR = Actor("op", Role.OPERATOR)
VIEWER = Actor("eye", Role.VIEWER)
A_ADMIN = Actor("a-root", Role.ADMIN, "a")
A_OPERATOR = Actor("a-op", Role.OPERATOR, "a")
A_VIEWER = Actor("a-eye", Role.VIEWER, "a")

DOWN = "smarthome/a/lamp/commands"
UP = "smarthome/a/lamp/telemetry"
UNTENANTED = "iotflow/devices/s1/commands/control"
FLEET = "iotflow/fleet/commands/g1"
SYSTEM = "iotflow/system/health"
GLOBAL = "global/firmware/latest"
UNDECLARED = "some/other/topic"


@pytest.mark.parametrize(
    ("actor", "topic", "owners", "allowed"),
    [
        (ADMIN, DOWN, ["a"], True),
        (ADMIN, UP, ["a"], True),
        (ADMIN, UNDECLARED, [], True),
        (ADMIN, SYSTEM, [], True),
        (OPERATOR, DOWN, ["a"], True),
        (OPERATOR, UP, ["a"], False),  # would speak as the device
        (OPERATOR, UNDECLARED, [], False),
        (OPERATOR, FLEET, ["a", "b"], True),
        (OPERATOR, GLOBAL, ["a"], True),
        (VIEWER, DOWN, ["a"], False),
        (A_VIEWER, DOWN, ["a"], False),
        (A_OPERATOR, DOWN, ["a"], True),
        (A_OPERATOR, UP, ["a"], False),
        (A_ADMIN, UP, ["a"], True),
        (A_ADMIN, DOWN, [], False),  # no such device
        (A_ADMIN, "smarthome/b/lamp/commands", ["b"], False),
        (A_OPERATOR, UNTENANTED, ["a"], True),
        (A_OPERATOR, UNTENANTED, ["b"], False),
        (A_OPERATOR, UNTENANTED, ["a", "b"], False),
        (A_ADMIN, FLEET, ["a"], False),  # tomorrow another tenant's device may be in it
        (A_ADMIN, GLOBAL, ["a"], False),
        (A_ADMIN, SYSTEM, ["a"], False),
        (A_ADMIN, UNDECLARED, [], False),
    ],
)
def test_who_may_publish_where(actor: Actor, topic: str, owners: list[str], allowed: bool) -> None:
    assert may(actor, topic, *owners) is allowed


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "a/+/b",
        "a/#",
        "#",
        "$SYS/broker",
        "$CONTROL/dynamic-security/v1",
        "$share/g/t",
        "a\0b",
        "a\x01b",
        "a\x85",
        "\ufdd0",
        "\ufffe",
        "\U0001ffff",
        "\ud800",
        "/" * 200,
    ],
)
def test_what_nobody_may_publish_to(topic: str) -> None:
    with pytest.raises(Invalid):
        check_topic(topic)
    with pytest.raises(Invalid):
        check_publish(ADMIN, topic, [])


@pytest.mark.parametrize("topic", ["/", "a b", "ä/ö", "/" * 199, "a$", "\U0001f600"])
def test_what_an_administrator_may_publish_to(topic: str) -> None:
    check_publish(ADMIN, topic, [])


def test_a_topic_two_dialects_claim_must_be_the_tenants_in_both() -> None:
    mine, theirs = ROUTER.match_any(DOWN)[0], ROUTER.match_any("smarthome/b/lamp/commands")[0]
    with pytest.raises(Forbidden):
        check_publish(A_ADMIN, DOWN, [Addressed(mine, {"a"}), Addressed(theirs, {"b"})])
    check_publish(A_ADMIN, DOWN, [Addressed(mine, {"a"}), Addressed(theirs, set())])
