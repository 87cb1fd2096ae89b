"""From a topic to what it means: which dialect, which channel, whose message.

The router is a trie over topic levels. Every topic a fleet uses comes again and again, so
an answer is kept per topic; the cache is emptied when it is full, which costs one search
per live topic and needs no bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mooring.dialects.model import Attribute, Channel, Dialect, Direction

__all__ = ["DEFAULT_CACHE_LIMIT", "Match", "Router"]

DEFAULT_CACHE_LIMIT = 200_000  # topics; about 0.5 kB each


@dataclass(frozen=True, slots=True)
class Match:
    """One reading of a topic; ``values`` holds what stood in the placeholders' places."""

    dialect: Dialect
    channel: Channel
    values: Mapping[Attribute, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class _Pattern:
    order: int  # in the order declared, so that answers are deterministic
    dialect: Dialect
    channel: Channel
    positions: tuple[tuple[int, Attribute], ...]


class _Node:
    __slots__ = ("ends", "literal", "wild")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.wild: _Node | None = None
        self.ends: list[_Pattern] = []


class Router:
    """Matches topic names against the channels of some dialects, exactly as MQTT does.

    Several dialects may claim one topic: every candidate is returned, and who knows the
    device decides. A placeholder stands for one whole level, which may be empty.

    Args:
        dialects: in the order in which candidates are to be returned.
        cache_limit: how many topics to remember before starting over.
    """

    def __init__(
        self, dialects: Iterable[Dialect], *, cache_limit: int = DEFAULT_CACHE_LIMIT
    ) -> None:
        self._root = _Node()
        self._cache: dict[str, tuple[Match, ...]] = {}
        self._cache_limit = cache_limit
        patterns = [(dialect, channel) for dialect in dialects for channel in dialect.channels]
        for order, (dialect, channel) in enumerate(patterns):
            self._add(order, dialect, channel)

    def match(self, topic: str) -> tuple[Match, ...]:
        """What a message from a device on this topic may be: channels that run up."""
        found = self._cache.get(topic)
        if found is None:
            found = tuple(m for m in self._search(topic) if m.channel.direction is Direction.UP)
            if len(self._cache) >= self._cache_limit:
                self._cache.clear()
            self._cache[topic] = found
        return found

    def match_any(self, topic: str) -> tuple[Match, ...]:
        """Every channel of either direction with this topic; not cached."""
        return self._search(topic)

    def _add(self, order: int, dialect: Dialect, channel: Channel) -> None:
        node = self._root
        positions = []
        for position, level in enumerate(channel.topic.split("/")):
            if level.startswith("{"):
                positions.append((position, channel.placeholders[level[1:-1]]))
                if node.wild is None:
                    node.wild = _Node()
                node = node.wild
            else:
                node = node.literal.setdefault(level, _Node())
        node.ends.append(_Pattern(order, dialect, channel, tuple(positions)))

    def _search(self, topic: str) -> tuple[Match, ...]:
        levels = topic.split("/")
        nodes = [self._root]
        for depth, level in enumerate(levels):
            # a leading wildcard does not cover the broker's own topics [MQTT-4.7.2-1]
            wild = depth > 0 or not level.startswith("$")
            following = []
            for node in nodes:
                child = node.literal.get(level)
                if child is not None:
                    following.append(child)
                if wild and node.wild is not None:
                    following.append(node.wild)
            if not following:
                return ()
            nodes = following
        patterns = sorted((p for node in nodes for p in node.ends), key=lambda p: p.order)
        return tuple(
            Match(
                pattern.dialect,
                pattern.channel,
                MappingProxyType({a: levels[position] for position, a in pattern.positions}),
            )
            for pattern in patterns
        )
