"""Filters of lists of devices as queries."""

from __future__ import annotations

from typing import Any

import pytest

from mooring.devices.attributes.query import terms
from mooring.devices.attributes.terms import (
    Connected,
    Either,
    Firmware,
    HasProblem,
    Mentions,
    Named,
    Not,
    Own,
    Presence,
    Problem,
    Sign,
    SilentFor,
)
from mooring.errors import Invalid
from mooring.fleet.model import STATES, VALUES_MAX, Filter
from mooring.store.version_key import version_key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ()),
        ({"dialect": 'pu"l\\se'}, (Named(Own.DIALECT, 'pu"l\\se'),)),
        ({"search": "  Kitchen (old) "}, (Mentions("kitchen (old)"),)),
        ({"search": "   "}, ()),
        ({"states": ("silent",)}, (Presence("silent"),)),
        (
            {"states": ("connected", "disconnected")},
            (Either((Connected(), Not(Connected()))),),
        ),
        ({"firmware": ("1.4 beta",)}, (Firmware(Sign.EQUAL, version_key("1.4 beta")),)),
        ({"firmware": ("",)}, (Not(Firmware(Sign.EQUAL, None)),)),
        ({"silent_ms": 90_500}, (SilentFor(91_000),)),
        ({"problems": ("any",)}, (HasProblem(None),)),
        (
            {"problems": ("alert", "silent")},
            (Either((HasProblem(Problem.ALERT), HasProblem(Problem.SILENT))),),
        ),
    ],
)
def test_a_filter_is_a_query(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert terms(Filter(**given).queries()) == expected


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_a_condition(state: str) -> None:
    assert len(terms(Filter(states=(state,)).queries())) == 1


@pytest.mark.parametrize("problem", ["any", *Problem])
def test_each_problem_is_a_condition(problem: str) -> None:
    assert len(terms(Filter(problems=(problem,)).queries())) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"states": ("well",)},
        {"problems": ("boredom",)},
        {"silent_ms": 0},
        {"firmware": ("1",) * (VALUES_MAX + 1)},
        {"states": ("online",) * (VALUES_MAX + 1)},
    ],
)
def test_what_does_not_exist_is_rejected(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        Filter(**given)
    assert caught.value.slug == "invalid_search"


@pytest.mark.parametrize(
    "text",
    [
        "silent_for > soon",
        "silent_for = 1h",
        "problem > 1",
        "problem = boredom",
        "search ~ x",
        "connected = 5",
    ],
)
def test_a_query_that_says_nothing_is_rejected(text: str) -> None:
    with pytest.raises(Invalid):
        terms([text])


def test_silence_can_be_denied() -> None:
    assert terms(["silent_for < 2h"]) == (Not(SilentFor(7_200_000)),)
