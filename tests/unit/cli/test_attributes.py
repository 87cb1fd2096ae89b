"""Attributes of devices: set, shown, searched, imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Mooring


def test_attributes_are_set_shown_and_searched(mooring: Mooring) -> None:
    add = ["device", "add", "--dialect", "pulse"]
    mooring(*add, "one", "--attribute", "type=plug", "--attribute", "tags=a,b")
    mooring(*add, "two")
    said = mooring("device", "set", "one", "tag+=c", "room=hall", "--unset", "type", "--json")
    assert said.json()["attributes"] == {"tags": ["a", "b", "c"], "room": "hall"}
    mooring("device", "set", "two", "floor=2", "tag+=a", "position=52.5,13.4")
    shown = mooring("device", "show", "two").out
    assert "52.5, 13.4" in shown
    assert "person cli:" in shown
    assert mooring("device", "show", "one", "--json").json()["attributes"]["room"] == "hall"

    def listed(*words: str) -> list[str]:
        found = mooring("device", "list", "--json", *words).json()["devices"]
        return [device["device"] for device in found]

    assert listed("--where", "tag=a") == ["one", "two"]
    assert listed("--where", "tag=A", "--where", "room=HALL") == ["one"]
    assert listed("--where", "floor!=*") == ["one"]
    assert listed("--sort", "floor") == ["two", "one"]
    first = mooring("device", "list", "--json", "--sort", "floor", "--limit", "1").json()
    assert listed("--sort", "floor", "--after", str(first["next_after"])) == ["one"]


@pytest.mark.parametrize(
    "words",
    [
        ["device", "set", "one"],
        ["device", "set", "one", "timezone=Mars"],
        ["device", "set", "one", "type"],
        ["device", "add", "two", "--dialect", "pulse", "--attribute", "tag+=x"],
        ["claim", "new", "--dialect", "pulse", "--attribute", "max_packet=1"],
    ],
)
def test_attributes_that_are_not_valid(mooring: Mooring, words: list[str]) -> None:
    mooring("device", "add", "one", "--dialect", "pulse")
    assert mooring(*words, "--json", code=2).error()["code"] == "invalid_attribute"


def test_attributes_of_a_table(mooring: Mooring, tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    table.write_text(
        "name,type,tags,position,Attribute:Room\none,plug,a;b,,hall\ntwo,,,52.5;13.4,\n",
        encoding="utf-8",
    )
    out = tmp_path / "out.csv"
    mooring("device", "import", table, "--dialect", "pulse", "--output", out)
    one, two = (mooring("device", "show", name, "--json").json() for name in ("one", "two"))
    assert one["attributes"] == {"type": "plug", "tags": ["a", "b"], "Room": "hall"}
    assert two["attributes"] == {"position": {"lat": 52.5, "lon": 13.4}}
    assert "import" in mooring("device", "show", "one").out
    table.write_text("name,timezone\nthree,Mars\n", encoding="utf-8")
    said = mooring("device", "import", table, "--dialect", "pulse", "--dry-run", code=2)
    assert "Mars" in said.err
