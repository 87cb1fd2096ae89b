"""Merge patches by the table of RFC 7396, and what a document may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.device_settings.documents import (
    DEPTH_MAX,
    MASK,
    canonical,
    check_document,
    difference,
    keep_masked,
    masked,
    merge_all,
    merge_patch,
    parse,
    without_nulls,
)
from mooring.errors import Invalid

# RFC 7396, appendix A: original, patch, result.
RFC_TABLE = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

keys = st.sampled_from(["a", "b", "c", "d"])
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"])
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)
# What a document of a device can be: an object holds no nulls.
full = objects.map(without_nulls)


@pytest.mark.parametrize(("original", "patch", "result"), RFC_TABLE)
def test_the_table_of_the_rfc(original: str, patch: str, result: str) -> None:
    assert merge_patch(json.loads(original), json.loads(patch)) == json.loads(result)


@given(values, values)
def test_merging_twice_is_merging_once_and_changes_no_argument(target: Any, patch: Any) -> None:
    before = json.dumps([target, patch])
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert json.dumps([target, patch]) == before


@given(objects, objects)
def test_a_key_follows_the_patch_or_else_the_target(target: Any, patch: Any) -> None:
    merged = merge_patch(target, patch)
    for key in "abcd":
        if key not in patch:
            assert merged.get(key, "-") == target.get(key, "-")
        elif patch[key] is None:
            assert key not in merged
        elif not isinstance(patch[key], dict):
            assert merged[key] == patch[key]


@given(full, full)
def test_a_difference_leads_from_one_document_to_the_other(source: Any, target: Any) -> None:
    patch = difference(source, target)
    assert canonical(merge_patch(source, patch)) == canonical(target)
    assert (patch == {}) is (canonical(source) == canonical(target))


@given(st.lists(objects, max_size=4))
def test_levels_merge_from_the_general_to_the_special(levels: list[Any]) -> None:
    merged: Any = {}
    for level in levels:
        merged = merge_patch(merged, level)
    assert merge_all(levels) == merged


def test_true_and_one_are_different_values() -> None:
    assert canonical({"a": True}) != canonical({"a": 1})
    assert difference({"a": True}, {"a": 1}) == {"a": 1}
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {"x": 1}
    for _ in range(depth - 1):
        document = {"x": document}
    return document


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"a": float("nan")}, "a"),
        ({"a": {"b": 2**63}}, "a.b"),
        ({"a": ["x", "\0"]}, "a.1"),
        ({"a": "\ud800"}, "a"),
        ({"": 1}, "."),
        ({"k" * 129: 1}, "."),
        (nested(DEPTH_MAX + 1), ".".join("x" * DEPTH_MAX)),
    ],
)
def test_what_no_reader_accepts_is_rejected_with_its_path(
    document: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        check_document(document, 8192)
    assert (refusal.value.slug, refusal.value.context["path"]) == ("invalid_settings", path)


def test_a_document_is_as_large_as_its_json() -> None:
    check_document(nested(DEPTH_MAX), 8192)
    size = len(canonical({"a": "é" * 20}))
    check_document({"a": "é" * 20}, size)
    with pytest.raises(Invalid) as refusal:
        check_document({"a": "é" * 20}, size - 1)
    assert refusal.value.context == {"size": size, "most": size - 1}


SECRETS = frozenset({("wifi", "password"), ("users", "*", "pin")})


def test_secret_values_are_masked_wherever_they_are() -> None:
    document = {
        "wifi": {"ssid": "attic", "password": "hunter2"},
        "users": [{"name": "ada", "pin": 1234}, {"name": "bob"}],
    }
    shown = masked(document, SECRETS)
    assert shown == {
        "wifi": {"ssid": "attic", "password": MASK},
        "users": [{"name": "ada", "pin": MASK}, {"name": "bob"}],
    }
    assert document["wifi"] == {"ssid": "attic", "password": "hunter2"}
    assert masked({"wifi": {"password": None}}, SECRETS) == {"wifi": {"password": None}}


def test_a_mask_that_is_sent_back_keeps_the_value() -> None:
    current = {"wifi": {"ssid": "attic", "password": "hunter2"}}
    given_back = {"wifi": {"ssid": "cellar", "password": MASK}, "note": MASK}
    kept = keep_masked(given_back, current, SECRETS)
    assert kept == {"wifi": {"ssid": "cellar", "password": "hunter2"}, "note": MASK}
    assert keep_masked({"wifi": {"password": MASK}}, {}, SECRETS) == {"wifi": {}}


@given(full)
def test_a_document_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    assert canonical(parse(canonical(document))) == canonical(document)
