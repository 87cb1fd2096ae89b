"""Records are values: compared and hashed by what they hold, and replaced rather than changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from mooring.devices.model import Login
from mooring.identity.account import Account, Rights
from mooring.record import record


@record
class Point:
    x: int
    y: int = 0
    note: str = field(default="", repr=False)


def test_it_is_a_value() -> None:
    assert Point(1) == Point(1, 0)
    assert {Point(1, 2), Point(1, 2)} == {Point(1, 2)}
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    assert repr(Point(1, 2, "x")) == "Point(x=1, y=2)"
    assert not hasattr(Point(1), "__dict__")


def test_values_of_accounts_are_records() -> None:
    one = Account("lamp", "$7$x", Rights(("up",)))
    assert one == replace(one)
    assert hash(one) == hash(replace(one))
    assert replace(one, locked=True) != one
    assert "$7$" not in repr(Login("$7$x"))


def test_making_one_sets_its_fields_directly() -> None:
    """That is what it is for: a frozen dataclass has a way of its own, which costs five times as
    much."""

    @dataclass(frozen=True)
    class Frozen:
        x: int

    with pytest.raises(FrozenInstanceError):
        Frozen(1).x = 2  # type: ignore[misc]
    assert "__setattr__" not in vars(Point)
    assert "__setattr__" not in vars(Account)
