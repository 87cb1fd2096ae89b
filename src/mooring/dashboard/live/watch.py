"""What a tab asks for and has not been sent yet. Pure.

A message of a tab is ``{"watch": [TOPIC, …]}``: everything that it watches from now on. A topic is
a word, or a word and an argument (``device:17``). It is sent ``{"topic", "values", "whole"}`` with
the values that changed; a value that is gone is ``null``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from mooring.errors import Invalid

__all__ = [
    "PACE_SECONDS",
    "ROWS_MAX",
    "TOPICS_MAX",
    "VALUES_MAX",
    "Outbox",
    "Topic",
    "Values",
    "changed",
    "parse",
]

TOPICS_MAX = 24  # of one tab
TOPIC_MAX = 1_000  # characters
PACE_SECONDS = 1.0  # between two messages of one topic
VALUES_MAX = 2_048  # of one topic that wait for a tab; the oldest ones are left out
ROWS_MAX = 200  # new rows of a list that wait for a tab; older ones are counted and left out

Values = dict[str, Any]
ROWS, DROPPED = "rows", "dropped"  # values that are not replaced by newer ones, but added to


class Topic(NamedTuple):
    """``device:17`` is the topic ``device`` with the argument ``17``."""

    word: str
    argument: str

    def __str__(self) -> str:
        return f"{self.word}:{self.argument}" if self.argument else self.word


class _Ask(msgspec.Struct, forbid_unknown_fields=True):
    watch: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=TOPIC_MAX)]], Meta(max_length=TOPICS_MAX)
    ]


_DECODER = msgspec.json.Decoder(_Ask)


def parse(text: str | bytes) -> frozenset[Topic]:
    """What a tab watches from now on.

    Raises:
        Invalid: it is no such message.
    """
    try:
        ask = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Invalid(f"The message is not valid: {exc}.", code="invalid_message") from exc
    found = set()
    for one in ask.watch:
        word, _, argument = one.partition(":")
        found.add(Topic(word, argument))
    return frozenset(found)


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Values:
    """The values of ``now`` that are not those of ``before``; ``None`` for one that is gone."""
    missing = object()
    found = {name: value for name, value in now.items() if before.get(name, missing) != value}
    found.update((name, None) for name in before if name not in now)
    return found


class _Waiting:
    __slots__ = ("sent_at", "values", "whole")

    def __init__(self) -> None:
        self.values: Values = {}
        self.whole = False
        self.sent_at = float("-inf")


class Outbox:
    """Of one tab. Of each value only the newest waits, so that a tab which reads slowly costs no
    more memory than its page."""

    def __init__(self) -> None:
        self._topics: dict[Topic, _Waiting] = {}

    def keep(self, topics: Iterable[Topic]) -> None:
        """Forgets what waits of any other topic."""
        wanted = set(topics)
        self._topics = {one: held for one, held in self._topics.items() if one in wanted}

    def put(self, topic: Topic, values: Mapping[str, Any], *, whole: bool = False) -> int:
        """Values to send, and how many rows had to be left out.

        Args:
            whole: they are everything that is known; sent without waiting.
        """
        held = self._topics.setdefault(topic, _Waiting())
        if whole:
            held.values, held.whole, held.sent_at = dict(values), True, float("-inf")
            return 0
        before = held.values.get(ROWS, [])
        dropped = held.values.get(DROPPED, 0)
        held.values.update(values)
        while len(held.values) > VALUES_MAX:
            del held.values[next(iter(held.values))]
        if ROWS not in values:
            return 0
        rows = [*before, *values[ROWS]]
        over = max(0, len(rows) - ROWS_MAX)
        held.values[ROWS] = rows[over:]
        held.values[DROPPED] = dropped + over + values.get(DROPPED, 0)
        return over

    def take(self, now: float) -> list[dict[str, Any]]:
        """Messages that may be sent now.

        Args:
            now: seconds of any clock that only goes forward.
        """
        found = []
        for topic, held in self._topics.items():
            if not (held.values or held.whole) or held.sent_at + PACE_SECONDS > now:
                continue
            message: dict[str, Any] = {"topic": str(topic), "values": held.values}
            if held.whole:
                message["whole"] = True
            found.append(message)
            held.values, held.whole, held.sent_at = {}, False, now
        return found

    def due(self) -> float | None:
        """When the next message may be sent; ``None``: nothing waits."""
        waiting = [
            held.sent_at + PACE_SECONDS
            for held in self._topics.values()
            if held.values or held.whole
        ]
        return min(waiting, default=None)
