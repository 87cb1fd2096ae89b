"""What lasts is said once a minute, not every second."""

from __future__ import annotations

import logging

import pytest

from mooring.logs import AGAIN_SECONDS, Repetitions


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(clock: Clock) -> Repetitions:
    return Repetitions(clock)


def passed(
    said: Repetitions, text: str, name: str = "mooring.part", level: int = logging.WARNING
) -> str | None:
    """What is written of a line; ``None``: nothing."""
    line = logging.LogRecord(name, level, "", 1, "%s", (text,), None)
    return line.getMessage() if said.filter(line) else None


def test_the_same_warning_is_said_once_a_minute(said: Repetitions, clock: Clock) -> None:
    assert passed(said, "it waits") == "it waits"
    for _ in range(7):
        clock.now += 1
        assert passed(said, "it waits") is None
    clock.now += AGAIN_SECONDS
    assert passed(said, "it waits") == "it waits (7 times more since)"
    clock.now += AGAIN_SECONDS
    assert passed(said, "it waits") == "it waits"


def test_another_word_is_said_at_once(said: Repetitions) -> None:
    texts = ["one", "one", "two", "one"]
    assert [passed(said, text) for text in texts] == ["one", None, "two", "one"]


def test_each_part_speaks_for_itself(said: Repetitions) -> None:
    assert passed(said, "it waits", "mooring.one") == "it waits"
    assert passed(said, "it waits", "mooring.two") == "it waits"


def test_what_is_no_warning_is_always_said(said: Repetitions) -> None:
    assert [passed(said, "done", level=logging.INFO) for _ in range(3)] == ["done"] * 3
