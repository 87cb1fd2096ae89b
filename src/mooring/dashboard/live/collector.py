"""Asks for what open pages show: once for all tabs that watch the same, and only while one does.

One task asks the database, a topic at most every two seconds, and the slower it answers the less
often: at most a twentieth of the time is spent on one topic. Tenants take turns: one that watches
many topics delays only itself. Messages of devices come from the stream's hub, once for all topics
about the same devices. Failure invariant: a tab that has left is known to no topic, and a topic
that nobody watches is known to no reader.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mooring.app import App
from mooring.clock import now_ms
from mooring.dashboard.live.rows import fits, stream_row, stream_values, wanted_filter
from mooring.dashboard.live.sources import SOURCES, Ask, Source
from mooring.dashboard.live.watch import ROWS, Topic, Values, changed
from mooring.errors import DatabaseUnavailable, Internal, Invalid, MooringError
from mooring.identity.actor import Actor, Role
from mooring.stream.hub import Hub
from mooring.stream.model import KINDS, Wanted
from mooring.stream.reader import Reader
from mooring.supervisor.worker import Worker

__all__ = ["Collector", "Tab"]

log = logging.getLogger(__name__)

COST_SHARE = 20  # a topic is asked for after twenty times as long as its answer took
ROUND_SECONDS = 0.5  # of asking, until what has become due meanwhile takes its turn
METRICS_MAX = 512  # of one device, whose values are kept; the oldest ones go
STREAM_SECONDS = 0.5  # between two looks at what the stream has brought
IDLE_SECONDS = 600.0
AGAIN_SECONDS = 2.0  # until a question is asked again that the database has not answered


class Tab(Protocol):
    """One open page, which is sent values."""

    actor: Actor

    def put(self, topic: Topic, values: Mapping[str, Any], *, whole: bool = False) -> None: ...

    def fail(self, topic: Topic, fault: MooringError) -> None: ...


@dataclass(eq=False, slots=True)
class _Watched:
    """One topic of one tenant and role."""

    topic: Topic
    actor: Actor
    source: Source
    tabs: set[Tab] = field(default_factory=set)
    fresh: set[Tab] = field(default_factory=set)  # which have been sent nothing yet
    values: Values = field(default_factory=dict)
    known: bool = False
    asked_at: int = 0  # epoch milliseconds, of ``values``
    next_at: float = 0.0  # monotonic
    feed: _Feed | None = None
    wanted: Mapping[str, str] = field(default_factory=dict)  # the filter of a list of messages


@dataclass(eq=False, slots=True)
class _Feed:
    """What the stream brings of one device, or of all that a tenant has, to every topic about
    it."""

    reader: Reader
    topics: set[_Watched] = field(default_factory=set)


_Key = tuple[str | None, Role, Topic]
_Whose = tuple[str | None, frozenset[int] | None]


class Collector:
    """Of one process.

    Args:
        hub: the stream's.
        platform: the services as they are now.
        sources: where the values of each topic come from.
    """

    def __init__(
        self,
        hub: Hub,
        platform: Callable[[], Awaitable[App]],
        sources: Mapping[str, Source] = SOURCES,
    ) -> None:
        self.questions = 0
        """How many were asked."""
        self.unavailable_since: int | None = None
        """Since when the database does not answer, epoch milliseconds."""
        self._hub = hub
        self._platform = platform
        self._sources = sources
        self._watched: dict[_Key, _Watched] = {}
        self._of_tab: dict[Tab, set[_Key]] = {}
        self._work = asyncio.Event()
        self._brought = asyncio.Event()
        self._feeds: dict[_Whose, _Feed] = {}
        self._dirty: set[_Feed] = set()
        self._numbers = 0
        self._last_turn: dict[str | None, int] = {}  # of a tenant: its last question's number

    def workers(self) -> tuple[Worker, ...]:
        """Its lasting work."""
        return (Worker("dashboard", self._ask), Worker("dashboard stream", self._listen))

    # ------------------------------------------------------------------ tabs

    def watch(self, tab: Tab, topics: Iterable[Topic]) -> None:
        """From now on a tab is sent these, and no others."""
        wanted = {(tab.actor.tenant, tab.actor.role, topic): topic for topic in topics}
        before = self._of_tab.get(tab, set())
        for key in before - wanted.keys():
            self._leave(tab, key)
        joined: set[_Key] = set()
        for key, topic in wanted.items():
            if key in before:
                joined.add(key)
                continue
            source = self._sources.get(topic.word)
            if source is None or (topic.argument and not source.argument):
                tab.fail(topic, Invalid(f"There is no topic {str(topic)[:40]!a}."))
                continue
            held = self._watched.get(key)
            if held is None:
                held = self._watched[key] = _Watched(topic, tab.actor, source)
            held.tabs.add(tab)
            if held.known:
                tab.put(topic, held.values, whole=True)
            else:
                held.fresh.add(tab)
            joined.add(key)
        self._of_tab[tab] = joined
        self._work.set()

    def leave(self, tab: Tab) -> None:
        """A tab has gone."""
        for key in self._of_tab.pop(tab, set()):
            self._leave(tab, key)

    def _leave(self, tab: Tab, key: _Key) -> None:
        held = self._watched.get(key)
        if held is None:
            return
        held.tabs.discard(tab)
        held.fresh.discard(tab)
        if not held.tabs:
            del self._watched[key]
            self._unhear(held)

    @property
    def topics(self) -> int:
        """How many are watched."""
        return len(self._watched)

    @property
    def feeds(self) -> int:
        """How many readers of the stream they need."""
        return len(self._feeds)

    # ------------------------------------------------------------------ the database

    async def _ask(self) -> None:
        while True:
            clock = time.monotonic()
            due = [one for one in self._watched.values() if one.next_at <= clock]
            for held in self._in_turn(due):
                if held.tabs:
                    await self._one(held)
                if self.unavailable_since is not None:
                    self._later(due)
                    break
                if time.monotonic() - clock >= ROUND_SECONDS:
                    break
            await self._until_due()

    @staticmethod
    def _later(due: Iterable[_Watched]) -> None:
        """A database that does not answer is asked once, not once for each topic."""
        clock = time.monotonic()
        for held in due:
            held.next_at = max(held.next_at, clock + min(AGAIN_SECONDS, held.source.seconds))

    def _in_turn(self, due: Iterable[_Watched]) -> list[_Watched]:
        """One of each tenant, then another of each. The tenant that was asked for longest ago comes
        first, and of one tenant what waits longest."""
        rank: Counter[str | None] = Counter()
        ordered = []
        for held in sorted(due, key=lambda one: one.next_at):
            tenant = held.actor.tenant
            ordered.append((rank[tenant], self._last_turn.get(tenant, 0), held))
            rank[tenant] += 1
        return [held for *_, held in sorted(ordered, key=lambda one: one[:2])]

    async def _until_due(self) -> None:
        waits = [one.next_at for one in self._watched.values()]
        seconds = min(waits, default=time.monotonic() + IDLE_SECONDS) - time.monotonic()
        if seconds <= 0:
            return
        self._work.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._work.wait()
        except TimeoutError:
            return  # something is due

    async def _one(self, held: _Watched) -> None:
        begun = time.monotonic()
        at = now_ms()
        self.questions += 1
        self._last_turn[held.actor.tenant] = self.questions
        try:
            app = await self._platform()
            before: Mapping[str, Any] = held.values if held.known else {}
            ask = Ask(app, held.actor, held.topic.argument, before, held.asked_at)
            values = await asyncio.to_thread(held.source.load, ask)
        except DatabaseUnavailable as exc:
            if self.unavailable_since is None:
                self.unavailable_since = at
                log.warning("live values of the dashboard come later: %s", exc)
            return
        except MooringError as exc:
            self._fail(held, exc)  # removed meanwhile, or never to be seen by this person
            return
        except Exception:
            # A fault of ours. Raised, it would end the values of every page, of all tenants.
            log.exception("the live values of %.60r cannot be loaded", str(held.topic))
            self._fail(held, Internal("The values cannot be loaded."))
            return
        self.unavailable_since = None
        took = time.monotonic() - begun
        held.next_at = time.monotonic() + max(held.source.seconds, COST_SHARE * took)
        held.asked_at = at
        self._hear(held)
        self._give(held, values)

    @staticmethod
    def _fail(held: _Watched, why: MooringError) -> None:
        for tab in list(held.tabs):
            tab.fail(held.topic, why)
        held.next_at = time.monotonic() + max(30.0, held.source.seconds)

    def _give(self, held: _Watched, values: Values) -> None:
        if held.known and held.source.device:
            # What the stream has brought meanwhile is newer than the database's answer.
            values = _newer(held.values, values)
            for name in _too_many(values):
                del values[name]
        news = changed(held.values, values) if held.known else values
        held.values, held.known = values, True
        for tab in list(held.tabs):
            if tab in held.fresh:
                tab.put(held.topic, values, whole=True)
            elif news:
                tab.put(held.topic, news)
        held.fresh.clear()

    # ------------------------------------------------------------------ the stream

    def _hear(self, held: _Watched) -> None:
        """Begins to listen for a topic; its rights were just checked by asking for it."""
        if held.feed is not None or not (held.source.device or held.source.fleet):
            return
        if not held.tabs:
            return
        devices = None if held.source.fleet else frozenset({int(held.topic.argument)})
        whose = (held.actor.tenant, devices)
        feed = self._feeds.get(whose)
        if feed is None:
            feed = self._feeds[whose] = self._new_feed(Wanted(held.actor.tenant, devices, KINDS))
        else:
            self._take(feed)  # what came before is for those who listened before
        if held.source.fleet:
            held.wanted = wanted_filter(held.topic.argument)
        feed.topics.add(held)
        held.feed = feed

    def _new_feed(self, wanted: Wanted) -> _Feed:
        self._numbers += 1
        feed = _Feed(Reader(str(self._numbers), wanted))

        def wake() -> None:
            self._dirty.add(feed)
            self._brought.set()

        feed.reader.wake = wake
        feed.reader.restart(self._hub.journal.number)
        self._hub.change(feed.reader, wanted)
        return feed

    def _unhear(self, held: _Watched) -> None:
        feed, held.feed = held.feed, None
        if feed is None:
            return
        feed.topics.discard(held)
        if not feed.topics:
            self._dirty.discard(feed)
            self._hub.drop(feed.reader)
            wanted = feed.reader.wanted
            del self._feeds[wanted.tenant, wanted.devices]

    async def _listen(self) -> None:
        while True:
            await self._brought.wait()
            await asyncio.sleep(STREAM_SECONDS)
            self._brought.clear()
            dirty, self._dirty = self._dirty, set()
            for feed in dirty:
                if feed.topics:
                    self._take(feed)

    def _take(self, feed: _Feed) -> None:
        """Hands on what the stream has brought."""
        items, missed = feed.reader.take(self._hub.journal.number)
        if feed.reader:
            self._dirty.add(feed)  # there is more
            self._brought.set()
        if feed.reader.lost:
            feed.reader.restart(self._hub.journal.number)
            for held in feed.topics:
                held.next_at = 0.0
            self._work.set()
        if items:
            self._bring(feed, items, missed)

    def _bring(self, feed: _Feed, items: list[dict[str, Any]], missed: int) -> None:
        rows: dict[int, dict[str, Any]] = {}  # made once for all lists
        said: Values = {}
        for item in items if feed.reader.wanted.devices is not None else ():
            said.update(stream_values(item))
        for held in feed.topics:
            if held.source.fleet:
                chosen = [(n, item) for n, item in enumerate(items) if fits(item, held.wanted)]
                if not chosen:
                    continue
                shown = [rows.get(n) or rows.setdefault(n, stream_row(one)) for n, one in chosen]
                values: Values = {ROWS: shown, "dropped": missed}
            else:
                values = dict(said)
                held.values.update(values)
                gone = _too_many(held.values)
                for name in gone:
                    del held.values[name]
                values.update(dict.fromkeys(gone))
            for tab in held.tabs - held.fresh:
                tab.put(held.topic, values)


def _newer(held: Values, found: Values) -> Values:
    """Of each metric the newer value."""
    kept = dict(found)
    for name, at in held.items():
        metric, dot, what = name.rpartition(".")
        if dot and what == "at" and f"{metric}.value" in held and at > (found.get(name) or 0):
            kept[name], kept[f"{metric}.value"] = at, held[f"{metric}.value"]
    return kept


def _too_many(values: Values) -> list[str]:
    """Names of values that are not kept: a device may send other metrics with each message."""
    metrics = [name[:-3] for name in values if name.endswith(".at")]
    metrics.sort(key=lambda metric: values[f"{metric}.at"])
    old = metrics[: max(0, len(metrics) - METRICS_MAX)]
    return [name for metric in old for name in (f"{metric}.at", f"{metric}.value")]
