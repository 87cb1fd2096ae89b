"""One question for all tabs that watch the same; none while nobody watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from mooring.dashboard.live import collector as under_test
from mooring.dashboard.live.collector import Collector
from mooring.dashboard.live.sources import Ask, Source
from mooring.dashboard.live.watch import Topic
from mooring.devices.reference import DeviceRef
from mooring.dialects.model import Identity
from mooring.dialects.times import iso
from mooring.errors import DatabaseUnavailable, MooringError, NotFound
from mooring.identity.actor import Actor, Role
from mooring.stream.journal import Journal
from mooring.stream.model import Change, Wanted
from mooring.stream.reader import Reader

ADA = Actor("ada", Role.VIEWER, "acme")
OTHER = Actor("eve", Role.VIEWER, "evil")
FIGURES, DEVICE = Topic("figures", ""), Topic("device", "17")


class Tab:
    """Puts together what it is sent, as a page does."""

    def __init__(self, actor: Actor = ADA) -> None:
        self.actor = actor
        self.view: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.messages = 0

    def put(self, topic: Topic, values: Mapping[str, Any], *, whole: bool = False) -> None:
        self.messages += 1
        known = {} if whole else self.view[str(topic)]
        self.view[str(topic)] = known | dict(values)

    def fail(self, topic: Topic, fault: MooringError) -> None:
        self.faults.append(f"{topic} {fault.slug}")


class Hub:
    """The stream's readers, without a broker."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.readers: list[Reader] = []

    def change(self, reader: Reader, wanted: Wanted) -> None:
        reader.wanted = wanted
        self.readers.append(reader)
        self.journal.add(reader)

    def drop(self, reader: Reader) -> None:
        self.readers.remove(reader)
        self.journal.drop(reader)


class Scene:
    """A collector whose answers the test chooses."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []
        self.answer: dict[str, Any] = {"n": 1}
        self.fault: Exception | None = None
        self.hub = Hub()
        sources = {
            "figures": Source(self.load, seconds=0.02),
            "device": Source(self.load, seconds=60, device=True, argument=True),
            "messages": Source(self.load, seconds=60, fleet=True, argument=True),
        }
        self.collector = Collector(self.hub, self.platform, sources)  # type: ignore[arg-type]

    async def platform(self) -> Any:
        return None

    def load(self, ask: Ask) -> dict[str, Any]:
        self.asked.append((ask.actor.tenant, ask.argument))
        if self.fault is not None:
            raise self.fault
        return dict(self.answer)


def played(steps: Callable[[Scene], Awaitable[None]]) -> None:
    async def play() -> None:
        scene = Scene()
        tasks = [asyncio.ensure_future(worker.run()) for worker in scene.collector.workers()]
        try:
            await steps(scene)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(play())


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not found():  # noqa: ASYNC110 - any of many states
            await asyncio.sleep(0.005)


def test_tabs_of_one_tenant_share_a_question() -> None:
    async def steps(scene: Scene) -> None:
        tabs = [Tab(), Tab(), Tab()]
        for tab in tabs:
            scene.collector.watch(tab, [FIGURES])
        await until(lambda: all(tab.view for tab in tabs))
        assert len(scene.asked) == 1 and scene.collector.topics == 1
        late = Tab()
        scene.collector.watch(late, [FIGURES])
        assert late.view == {"figures": {"n": 1}}  # known already

    played(steps)


def test_tenants_do_not_share_answers() -> None:
    async def steps(scene: Scene) -> None:
        mine, others = Tab(), Tab(OTHER)
        scene.collector.watch(mine, [FIGURES])
        scene.collector.watch(others, [FIGURES])
        await until(lambda: mine.view and others.view)
        assert {tenant for tenant, _ in scene.asked} == {"acme", "evil"}

    played(steps)


def test_only_changes_are_sent() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.collector.watch(tab, [FIGURES])
        await until(lambda: len(scene.asked) > 3)
        assert tab.messages == 1
        scene.answer = {"n": 2}
        await until(lambda: tab.view["figures"] == {"n": 2})
        assert tab.messages == 2

    played(steps)


def test_nobody_watches_so_nothing_is_asked() -> None:
    async def steps(scene: Scene) -> None:
        await asyncio.sleep(0.06)
        assert scene.asked == []
        tab = Tab()
        scene.collector.watch(tab, [FIGURES, DEVICE])
        await until(lambda: scene.hub.readers and len(tab.view) == 2)
        scene.collector.leave(tab)
        assert scene.collector.topics == 0 and scene.hub.readers == []
        asked = len(scene.asked)
        await asyncio.sleep(0.1)
        assert len(scene.asked) <= asked + 1  # one may have been on its way

    played(steps)


DIALECT: Any = None  # not looked at
REFS = {
    name: DeviceRef(number, "acme", name, DIALECT, Identity("acme", name))
    for number, name in ((17, "oven"), (18, "kitchen"))
}


def message(device: str, n: int) -> Change:
    return Change(REFS[device], "telemetry", "telemetry", "", 1_000 * n, {"n": n})


def hear(scene: Scene, change: Change) -> None:
    for reader in scene.hub.journal.take(change):
        reader.wake()


def shown(tab: Tab, topic: str) -> list[tuple[str, str]]:
    rows = tab.view.get(topic, {}).get("rows", [])
    return [(row["cells"][1]["text"], row["cells"][4]["text"]) for row in rows]


def test_lists_of_messages_share_one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are filtered by, and whoever looks at them."""
    monkeypatch.setattr(under_test, "STREAM_SECONDS", 0.005)

    async def steps(scene: Scene) -> None:
        ada, bob, late = Tab(), Tab(Actor("bob", Role.ADMIN, "acme")), Tab()
        scene.collector.watch(ada, [Topic("messages", "device=oven"), DEVICE])
        scene.collector.watch(bob, [Topic("messages", ""), DEVICE])
        await until(lambda: len(ada.view) == 2 and len(bob.view) == 2)
        assert len(scene.hub.readers) == scene.collector.feeds == 2  # the tenant's, and the device
        hear(scene, message("kitchen", 1))
        scene.collector.watch(late, [Topic("messages", "kind=telemetry")])
        await until(lambda: late.view)
        hear(scene, message("oven", 2))
        await until(lambda: shown(late, "messages:kind=telemetry"))
        assert shown(late, "messages:kind=telemetry") == [("acme:oven", "n 2")]
        assert shown(bob, "messages")[-1] == ("acme:oven", "n 2")
        assert shown(ada, "messages:device=oven") == [("acme:oven", "n 2")]
        await until(lambda: "n.value" in ada.view["device:17"])
        assert ada.view["device:17"]["n.value"] == bob.view["device:17"]["n.value"] == 2
        scene.collector.leave(ada)
        scene.collector.leave(bob)
        assert len(scene.hub.readers) == scene.collector.feeds == 1
        scene.collector.leave(late)
        assert scene.hub.readers == [] and scene.collector.feeds == 0

    played(steps)


def test_another_page_watches_something_else() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.collector.watch(tab, [DEVICE])
        await until(lambda: scene.hub.readers)
        scene.collector.watch(tab, [FIGURES])
        await until(lambda: "figures" in tab.view)
        assert scene.hub.readers == [] and scene.collector.topics == 1

    played(steps)


def test_a_database_that_does_not_answer() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.fault = DatabaseUnavailable("gone")
        scene.collector.watch(tab, [FIGURES])
        await until(lambda: scene.collector.unavailable_since)
        since = scene.collector.unavailable_since
        await until(lambda: len(scene.asked) > 2)
        assert scene.collector.unavailable_since == since and not tab.view
        scene.fault = None
        await until(lambda: tab.view)
        assert scene.collector.unavailable_since is None

    played(steps)


def test_a_database_that_does_not_answer_is_asked_once_not_for_each_topic() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.fault = DatabaseUnavailable("gone")
        scene.collector.watch(tab, [Topic("device", str(n)) for n in range(20)])
        await until(lambda: scene.collector.unavailable_since)
        await asyncio.sleep(0.05)
        assert len(scene.asked) == 1
        waits = {one.next_at for one in scene.collector._watched.values()}
        assert len(waits) == 1  # all are asked for again as soon as one would be

    played(steps)


def test_what_may_not_be_seen_is_said_and_ends_nothing() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.fault = NotFound("no such device", code="device_not_found")
        scene.collector.watch(tab, [DEVICE])
        await until(lambda: tab.faults)
        assert tab.faults == ["device:17 device_not_found"] and scene.hub.readers == []
        scene.collector.watch(tab, [Topic("nothing", "")])
        assert tab.faults[1].startswith("nothing ")
        scene.fault = None
        scene.collector.watch(tab, [FIGURES])
        await until(lambda: tab.view)

    played(steps)


def test_a_fault_of_ours_costs_one_topic() -> None:
    async def steps(scene: Scene) -> None:
        tab, other = Tab(), Tab()
        scene.fault = ValueError("not foreseen")
        scene.collector.watch(tab, [DEVICE])
        await until(lambda: tab.faults)
        assert tab.faults == ["device:17 internal"]
        scene.fault = None
        scene.collector.watch(other, [FIGURES])
        await until(lambda: other.view)

    played(steps)


def test_a_tenant_that_watches_much_waits_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 topics of one tenant and one of another, the one is asked for after the next."""
    monkeypatch.setattr(under_test, "ROUND_SECONDS", 0.0)  # each question is a round

    async def steps(scene: Scene) -> None:
        many, one = Tab(OTHER), Tab()
        scene.collector.watch(many, [Topic("device", str(n)) for n in range(300)])
        await until(lambda: len(scene.asked) > 2)
        before = len(scene.asked)
        scene.collector.watch(one, [DEVICE])
        await until(lambda: ("acme", "17") in scene.asked)
        assert scene.asked.index(("acme", "17")) <= before + 2

    played(steps)


def test_a_device_with_other_metrics_in_each_message_fills_no_memory() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.collector.watch(tab, [DEVICE])
        await until(lambda: scene.hub.readers and tab.view)
        (held,) = scene.collector._watched.values()
        for n in range(3 * under_test.METRICS_MAX):
            said = {"kind": "telemetry", "at": iso(1_000 * n), "values": {f"m{n}": n}}
            scene.collector._bring(held.feed, [said], 0)
        newest = f"m{3 * under_test.METRICS_MAX - 1}.value"
        view = {name: one for name, one in tab.view["device:17"].items() if one is not None}
        assert newest in held.values and newest in view
        assert len(held.values) <= 2 * under_test.METRICS_MAX + 3
        assert len(view) <= 2 * under_test.METRICS_MAX + 3  # the page is notified of those that go
        scene.collector._give(held, {"n": 2, "new.value": 1, "new.at": 10**12})
        assert len(held.values) <= 2 * under_test.METRICS_MAX + 3

    played(steps)


def test_an_argument_that_means_nothing_is_no_topic_of_its_own() -> None:
    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.collector.watch(tab, [FIGURES, *(Topic("figures", str(n)) for n in range(23))])
        assert scene.collector.topics == 1 and len(tab.faults) == 23
        await until(lambda: tab.view)
        assert {argument for _, argument in scene.asked} == {""}

    played(steps)


def test_a_slow_answer_is_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "COST_SHARE", 1_000_000)

    async def steps(scene: Scene) -> None:
        tab = Tab()
        scene.collector.watch(tab, [FIGURES])
        await until(lambda: tab.view)
        await asyncio.sleep(0.1)
        assert len(scene.asked) == 1

    played(steps)
