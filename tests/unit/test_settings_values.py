"""What makes a value of a setting valid, from a variable (text), a file or the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import InvalidSetting
from mooring.settings import Settings, load
from mooring.settings.field import Declared, InvalidValue, Secret, setting


def upper(text: str) -> str:
    if text == "no":
        raise ValueError("no is not a word")
    return text.upper()


class Hens(Declared):
    most: int = setting(12, "Hens.", "HENS", ge=1, le=100)
    seconds: float = setting(2.0, "Seconds.", gt=0)
    coop: Path = setting(Path("coop"), "Where.")
    other: Path | None = setting(None, "Another place.")
    mode: Literal["free", "caged"] = setting("free", "How.")
    called: tuple[str, ...] = setting((), "Names.")
    key: Secret | None = setting(None, "Key.")
    word: str = setting("CLUCK", "Word.", check=upper)


class Farm(Hens):
    cows: int = setting(3, "Cows.", ge=0)


class Mode(StrEnum):
    CAGED = "caged"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("most", "12", 12),
        ("most", " 12 ", 12),
        ("most", 100, 100),
        ("most", 12.0, 12),
        ("seconds", "0.5", 0.5),
        ("seconds", 3, 3.0),
        ("coop", "a/b", Path("a/b")),
        ("coop", Path("a"), Path("a")),
        ("other", None, None),
        ("other", "x", Path("x")),
        ("mode", "caged", "caged"),
        ("mode", Mode.CAGED, "caged"),
        ("called", ["a", "b"], ("a", "b")),
        ("called", (), ()),
        ("key", "s", Secret("s")),
        ("key", Secret("s"), Secret("s")),
        ("word", "cluck", "CLUCK"),
    ],
)
def test_valid_values(name: str, value: Any, expected: Any) -> None:
    found = getattr(Hens(**{name: value}), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("most", "0", "0 is less than 1"),
        ("most", 101, "101 is more than 100"),
        ("most", "many", "'many' is not a whole number"),
        ("most", 1.5, "1.5 is not a whole number"),
        ("most", True, "True is not a whole number"),
        ("most", None, "None is not a whole number"),
        ("seconds", 0, "0 is not more than 0"),
        ("seconds", "nan", "'nan' is not a number"),
        ("seconds", "inf", "'inf' is not a number"),
        ("coop", 1, "1 is not a path"),
        ("mode", "wild", "'wild' is not one of free, caged"),
        ("called", "ab", "'ab' is not a list of texts"),
        ("called", [1], "[1] is not a list of texts"),
        ("key", 1, "it is not a text"),
        ("word", 1, "1 is not a text"),
        ("word", "no", "no is not a word"),
        ("eggs", 1, "there is no such setting"),
    ],
)
def test_invalid_values(name: str, value: Any, problem: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Hens(**{name: value})
    assert (caught.value.name, caught.value.problem) == (name, problem)


def test_settings_of_several_classes_are_one() -> None:
    farm = Farm(cows=0)
    assert Farm.names() == (*Hens.names(), "cows")
    assert list(Farm.model_fields) == [*Hens.model_fields, "cows"]
    assert "cows" not in Hens.model_fields
    assert (farm.cows, farm.most) == (0, 12)
    assert Farm.model_fields["most"].aliases == ("HENS",)


def test_they_do_not_change_and_copies_are_checked() -> None:
    farm = Farm()
    with pytest.raises(AttributeError):
        farm.most = 3
    copy = farm.model_copy(update={"most": "5"})
    assert (farm.most, copy.most) == (12, 5)
    assert copy != farm
    assert copy.model_copy(update={"most": 12}) == farm
    with pytest.raises(InvalidValue):
        farm.model_copy(update={"most": 0})


def test_a_secret_is_shown_nowhere() -> None:
    farm = Farm(key="hunter2", coop="a", called=["x"])
    assert "hunter2" not in f"{farm} {farm!r} {farm.key} {farm.key!r} {farm.model_dump()}"
    assert farm.key is not None
    assert farm.key.get_secret_value() == "hunter2"
    assert farm.model_dump(exclude={"key"})["coop"] == "a"
    assert farm.model_dump()["called"] == ["x"]


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text())))
def test_any_value_is_taken_or_refused_in_words(value: Any) -> None:
    for name, declared in Settings.model_fields.items():
        try:
            found = Settings(**{name: value})
        except InvalidValue as exc:
            assert exc.name == name
            assert exc.problem
        else:
            again = Settings(**{name: getattr(found, name)})
            assert getattr(again, name) == getattr(found, name), declared


def test_every_default_is_valid() -> None:
    for name, declared in Settings.model_fields.items():
        if declared.default is not None:
            assert declared.read(declared.default) == declared.default, name


def test_an_error_names_setting_value_and_where_it_came_from(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(env={"MOORING_DATA_DIR": str(tmp_path), "MOORING_HTTP_PORT": "99999"})
    for word in ("http_port", "99999", "65535", "MOORING_HTTP_PORT"):
        assert word in caught.value.message
