"""docs/reference/dialects.md names every key and word a dialect file may hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from mooring.dialects import (
    Attribute,
    Direction,
    DoneWhen,
    Format,
    Kind,
    PayloadLimits,
    Reason,
    TimeFormat,
    TimeNumbers,
    TimeSource,
    builtin,
    capabilities,
    check,
)
from mooring.dialects.tables import CHANNEL_KEYS, DIALECT_KEYS, PAYLOAD_KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "dialects.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"There is no section {title!r}."
    return found[1]


def rows(title: str) -> list[str]:
    """The words in the first column of the section's tables."""
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Keys of a dialect", DIALECT_KEYS),
        ("Keys of a channel", CHANNEL_KEYS),
        ("Keys of a payload", PAYLOAD_KEYS),
        ("Directions", [str(d) for d in Direction]),
        ("Kinds", [str(k) for k in Kind]),
        ("Effects", [str(e) for e in DoneWhen]),
        ("Attributes", [str(a) for a in Attribute]),
        ("Formats", [str(f) for f in Format]),
        ("Numbers instead of a time", [str(n) for n in TimeNumbers]),
        ("Time formats", [str(f) for f in TimeFormat]),
        ("Reasons a payload is rejected", [str(r) for r in Reason]),
        ("Where a message's time comes from", [str(s) for s in TimeSource]),
        ("Limits of a payload", list(PayloadLimits.__dataclass_fields__)),
        ("Dialects that come with Mooring", [d.name for d in builtin()]),
    ],
)
def test_the_table_holds_exactly_these(title: str, words: list[str]) -> None:
    assert sorted(rows(title)) == sorted(words)


def test_limits_are_given_with_their_defaults() -> None:
    text = section("Limits of a payload")
    for name, field in PayloadLimits.__dataclass_fields__.items():
        assert f"| `{name}` | {field.default} |" in text


def test_the_example_on_the_page_is_a_good_dialect() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    whole = [block for block in blocks if "[[channels]]" in block and "username" in block]
    assert whole
    for block in whole:
        assert tomllib.loads(block)
        assert check(block, "page")[1] == []


def test_the_page_shows_what_each_dialect_can_do() -> None:
    yes = {True: "yes", False: "no"}
    for dialect in builtin():
        can = capabilities(dialect)
        effects = ", ".join(f"{name}: {effect}" for name, effect in sorted(can.effects.items()))
        cells = [
            dialect.name,
            yes[can.replies],
            yes[can.cancel],
            yes[can.command_ids],
            effects or "none",
            yes[can.settings_down],
            yes[can.settings_reported],
            yes[can.firmware_down],
            yes[can.progress_up],
            str(can.max_packet or "not known"),
        ]
        assert f"| {' | '.join(cells)} |" in section("Capabilities")
