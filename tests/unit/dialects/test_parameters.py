"""Values of declared parameters."""

from __future__ import annotations

from typing import Any

import pytest

from mooring.dialects.parameters import Parameter, ParameterType, is_number, wrong_value


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (1, True),
        (-2.5, True),
        (True, False),
        ("1", False),
        (float("nan"), False),
        (float("inf"), False),
        (10**308, True),
        (10**400, False),  # no float is as large, so nothing can be said of it
    ],
)
def test_numbers(value: Any, is_one: bool) -> None:
    assert is_number(value) is is_one


@pytest.mark.parametrize("kind", [ParameterType.INTEGER, ParameterType.NUMBER])
def test_a_number_of_hundreds_of_digits_is_a_wrong_value(kind: ParameterType) -> None:
    assert wrong_value(Parameter("level", kind, minimum=0, maximum=10), 10**400)
