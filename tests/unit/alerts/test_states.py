"""The states of alerts: the table, and the page that shows it."""

from __future__ import annotations

import re

import pytest

from mooring.alerts.model import Event, Severity, State, severity_of
from mooring.alerts.states import TABLE, follow
from tests.support.source import ROOT


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "explanation" / "rules.md").read_text("utf-8")
    section = page.partition("## States of an alert")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| ([\w ]+) \| ([\w ]+) \| ([\w ]+) \|$", section, re.MULTILINE)[1:]
    table = [
        (str(state), str(event), str(after))
        for state, events in TABLE.items()
        for event, after in events.items()
    ]
    assert shown == table


def test_a_cleared_alert_comes_back_only_when_its_source_reopens_it() -> None:
    assert [event for event in Event if follow(State.CLEARED, event)] == [Event.REOPENED]


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL),
        (" HIGH ", Severity.ERROR),
        ("warn", Severity.WARNING),
        ("low", Severity.INFO),
        ("", None),
        ("x" * 5000, None),
        (5, None),
        (None, None),
        (["critical"], None),
    ],
)
def test_words_of_firmware(word: object, severity: Severity | None) -> None:
    assert severity_of(word) is severity
