"""What a rule can say, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.alerts.rules.evaluate import compile_rule
from mooring.alerts.rules.model import Rule
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.words import condition, term_document
from mooring.errors import Invalid

STEP = {"value": 1, "severity": "error"}
HOT = {"metric": "t", "operator": ">", "value": 30}


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("temperature > 30", {"metric": "temperature", "operator": ">", "value": 30}),
        ("a.b>=1.5 clear 1", {"metric": "a.b", "operator": ">=", "value": 1.5, "clear": 1}),
        ("mode == error", {"metric": "mode", "operator": "==", "value": "error"}),
        ('mode != "5"', {"metric": "mode", "operator": "!=", "value": "5"}),
        ("door == true", {"metric": "door", "operator": "==", "value": True}),
        ("no data 90s", {"metric": None, "no_data_seconds": 90}),
        ("temperature no data for 5m", {"metric": "temperature", "no_data_seconds": 300}),
        ("no data", None),
        ("temperature", None),
        ("> 3", None),
        ("no data 5x", None),
    ],
)
def test_terms_as_people_write_them(text: str, document: dict[str, Any] | None) -> None:
    if document is None:
        with pytest.raises(Invalid):
            term_document(text)
        return
    assert term_document(text) == document
    definition = definition_of({"terms": [document]})
    assert definition_of({"terms": [term_document(condition(definition))]}) == definition


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("terms", {"terms": []}),
        ("terms", {"terms": [HOT] * 9}),
        ("terms[0]", {"terms": ["temperature > 30"]}),
        ("terms[0].metric", {"terms": [{**HOT, "metric": ""}]}),
        ("terms[0].metric", {"terms": [{**HOT, "metric": "x" * 257}]}),
        ("terms[0].operator", {"terms": [{**HOT, "operator": "~"}]}),
        ("terms[0].operator", {"terms": [{**HOT, "operator": [">"]}]}),
        ("terms[0].value", {"terms": [{**HOT, "value": "30"}]}),
        ("terms[0].value", {"terms": [{**HOT, "value": True}]}),
        ("terms[0].value", {"terms": [{**HOT, "value": float("nan")}]}),
        ("terms[0].clear", {"terms": [{**HOT, "clear": 31}]}),
        ("terms[0].clear", {"terms": [{"metric": "t", "operator": "==", "value": 1, "clear": 1}]}),
        ("terms[0].no_data_seconds", {"terms": [{"no_data_seconds": 1}]}),
        ("terms[0]", {"terms": [{"no_data_seconds": 60, "value": 1}]}),
        ("match", {"match": "some"}),
        ("for_seconds", {"for_seconds": -1}),
        ("for_seconds", {"for_seconds": 1e9}),
        ("severity", {"severity": "bad"}),
        (
            "steps",
            {"terms": [{"no_data_seconds": 60}], "steps": [{"value": 1, "severity": "error"}]},
        ),
        ("steps[0]", {"steps": [{"value": 20, "severity": "error"}]}),
        ("steps[0]", {"steps": [{"value": 40, "severity": "info"}]}),
        ("schedule.zone", {"schedule": {"zone": "../../etc/passwd"}}),
        ("schedule.zone", {"schedule": {"zone": "Mars/Base"}}),
        ("schedule.from", {"schedule": {"from": "25:00"}}),
        ("schedule.days", {"schedule": {"days": ["someday"]}}),
        ("schedule.days", {"schedule": {"days": []}}),
        ("scope", {"scope": {"tenant": "other"}}),
        ("scope.device", {"scope": {"device": "a\0"}}),
        ("text", {"text": 5}),
        ("The rule", {"wheels": 4}),
    ],
)
def test_what_is_not_a_rule_is_rejected_with_its_place(place: str, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as error:
        definition_of({"terms": [HOT], **change})
    assert error.value.code == "invalid_rule" or error.value.slug == "invalid_rule"
    assert str(error.value).startswith(f"{place}: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["match", "terms", "for_seconds", "severity", "steps", "schedule", "scope", "text"]
)


@settings(max_examples=200)
@given(JSON | st.dictionaries(KEYS, JSON))
def test_any_document_is_a_rule_or_rejected(document: Any) -> None:
    try:
        definition = definition_of(document)
    except Invalid:
        return
    assert definition_of(document_of(definition)) == definition
    compile_rule(Rule(1, "a", "r", True, 1, 0, 0, definition, {}))


def test_a_complete_document_is_read_as_it_was_written() -> None:
    document = {
        "match": "any",
        "terms": [{**HOT, "clear": 25}, {"metric": None, "no_data_seconds": 60.0}],
        "for_seconds": 120.0,
        "clear_for_seconds": 5.0,
        "severity": "error",
        "steps": [{"value": 40, "severity": "critical"}],
        "schedule": {
            "days": ["mon", "sun"],
            "from": "22:00",
            "to": "06:00",
            "zone": "Europe/Berlin",
        },
        "scope": {"dialect": "mooring", "device": None, "group": "g", "where": None},
        "text": "Check the valve.",
    }
    assert document_of(definition_of(document)) == document
