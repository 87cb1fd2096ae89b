"""Patterns of rules, which rule decides, and what an unknown device is answered."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import load_all
from mooring.discovery.model import Action, Rule, State
from mooring.discovery.rules import (
    about,
    answer,
    check_pattern,
    device_name,
    key_of,
    matches,
    rule_for,
)
from mooring.errors import Invalid

DAY = 86_400_000
NOW = 20_000 * DAY + 5
CATALOGUE = load_all(None)
IOTFLOW = CATALOGUE.get("iotflow")


def rule(number: int, pattern: str, action: Action = Action.ACCEPT, **more: int) -> Rule:
    values = {"per_day": 2, "day": 0, "used_today": 0} | more
    return Rule(
        number,
        "t",
        "iotflow",
        pattern,
        action,
        values["per_day"],
        NOW,
        "ada",
        values["day"],
        values["used_today"],
        0,
    )


@given(st.text("ab*", max_size=12), st.text("ab", max_size=20))
def test_a_star_stands_for_any_characters(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatchcase(name, pattern)


@pytest.mark.parametrize("pattern", ["", "a*b*c*d*e", "a/b", "a+", "#", "a\0", "x" * 200])
def test_patterns_that_are_not_valid(pattern: str) -> None:
    with pytest.raises(Invalid):
        check_pattern(pattern)


def test_valid_patterns() -> None:
    for pattern in ("*", "sensor-*", "a*b*c*", "exact"):
        check_pattern(pattern)


def test_a_rule_that_refuses_comes_first_and_a_used_up_one_accepts_nothing() -> None:
    rules = [rule(1, "sensor-*"), rule(2, "sensor-9*", Action.REFUSE, per_day=0)]
    decided = [rule_for(rules, "iotflow", name, NOW) for name in ("sensor-1", "sensor-91", "x")]
    assert [one and one.id for one in decided] == [1, 2, None]
    assert rule_for(rules, "pulse", "sensor-1", NOW) is None
    used = [rule(1, "*", day=NOW // DAY, used_today=2)]
    assert rule_for(used, "iotflow", "a", NOW) is None
    assert rule_for(used, "iotflow", "a", NOW + DAY) is not None


def test_a_mac_address_is_one_name_however_it_is_written() -> None:
    ways = ("AA:BB:CC:DD:EE:01", "aa-bb-cc-dd-ee-01", "aabb.ccdd.ee01", "AABBCCDDEE01")
    assert {key_of(one) for one in ways} == {device_name(one) for one in ways} == {"aabbccddee01"}
    for name in ("a/b", " a", "a\n", "{x}", "x" * 129, ""):
        with pytest.raises(Invalid):
            device_name(name)


def test_the_answer_holds_a_state_and_nothing_else() -> None:
    """Whoever may read the topic learns no code."""
    found = answer(IOTFLOW, "default", "boiler-9", State.PENDING, NOW)
    assert found is not None
    assert found.topic == "iotflow/discovery/response/boiler-9"
    said = json.loads(found.payload)
    assert said.pop("timestamp")
    assert said == {"device_id": "boiler-9", "status": "pending"}


@pytest.mark.parametrize("name", ["+", "#", "a/b", "$SYS", "", "a\0b"])
def test_no_answer_to_a_name_that_no_device_can_have(name: str) -> None:
    assert answer(IOTFLOW, "default", name, State.PENDING, NOW) is None


def test_no_answer_where_the_dialect_has_no_channel_for_it() -> None:
    assert answer(CATALOGUE.get("pulse"), "t", "a", State.PENDING, NOW) is None


@given(st.binary(max_size=300))
def test_whatever_a_registration_holds_is_shown_or_left_out(payload: bytes) -> None:
    json.dumps(dict(about(IOTFLOW, payload))).encode()


def test_what_is_shown_of_a_registration_is_bounded() -> None:
    payload = json.dumps({f"k{n}": "x" * 500 for n in range(100)} | {"device_type": "boiler"})
    found = about(IOTFLOW, payload.encode())
    assert len(found) == 16
    assert all(isinstance(value, str) and len(value) <= 100 for value in found.values())
    assert about(IOTFLOW, b'{"device_type":"boiler","rssi":-50}') == {
        "device_type": "boiler",
        "rssi": -50,
    }
    assert about(IOTFLOW, b"") == about(IOTFLOW, b"\xff{") == about(IOTFLOW, b"[1]") == {}
