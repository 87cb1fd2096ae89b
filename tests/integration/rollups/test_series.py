"""Charts: exact over messages, roll-ups and what is in neither yet, as the values were sent."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mooring.devices.model import Device
from mooring.errors import Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.rollups.service import Roller
from mooring.telemetry import resolution
from mooring.telemetry.series import Aggregate, Charts, Series
from tests.integration.rollups.naive import Message, naive
from tests.integration.rollups.stand import DAY, DIALECT, HOUR, START, Stand

MINUTE = 60_000
DEVICE = Device(1, "default", "d1", "", DIALECT, None, "u", "c", True, 0)


def charts(stand: Stand) -> Charts:
    return Charts(stand.database, stand.catalogue)


def ask(
    stand: Stand, *metrics: str, start: int = START, end: int = START + DAY, **more: Any
) -> Series:
    return charts(stand).series(SYSTEM, DEVICE, metrics or ("t",), start, end, **more)


def values(series: Series, which: int = 0) -> list[tuple[int, Any]]:
    return [(point.ts, point.value) for point in series.curves[which].points]


def message(ts: int, **readings: Any) -> Message:
    return (1, 1, ts, readings)


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> int:
    """Long spans without many messages."""
    for name in ("mooring.telemetry.resolution.ROWS_MAX", "mooring.telemetry.series.ROWS_MAX"):
        monkeypatch.setattr(name, 40)
    assert resolution.ROWS_MAX == 40
    return 40


def test_few_messages_come_as_they_were_sent(stand: Stand) -> None:
    sent: list[Any] = [1, 2.50, True, "open", 2**60, -0.0]
    stand.batch([message(START + n, t=value, u={"v": value}) for n, value in enumerate(sent)])
    series = ask(stand, "t", "u.v")
    assert (series.source, series.step_ms, series.aggregate) == ("messages", None, None)
    for which in (0, 1):
        assert [value for _, value in values(series, which)] == sent
        assert [type(value) for _, value in values(series, which)] == [type(v) for v in sent]


def test_each_aggregate(stand: Stand) -> None:
    stand.batch([message(START + n * 1000, t=value) for n, value in enumerate([4, 1.5, 9, 2])])
    stand.batch([message(START + 90_000, t=True), message(START + 91_000, t="off")])
    expected: dict[Aggregate, tuple[Any, Any]] = {
        Aggregate.AVG: (4.125, 1.0),
        Aggregate.MIN: (1.5, 1),
        Aggregate.MAX: (9, 1),
        Aggregate.SUM: (16.5, 1),
        Aggregate.COUNT: (4, 2),
        Aggregate.LAST: (2, "off"),
    }
    for in_rollups in (False, True):
        if in_rollups:
            stand.roller().catch_up(START + 2 * DAY)
        for aggregate, (first, second) in expected.items():
            found = ask(stand, step_ms=MINUTE, aggregate=aggregate)
            assert found.source == "minutes"
            assert values(found) == [(START, first), (START + MINUTE, second)]
        fine = ask(stand, step_ms=30_000, aggregate=Aggregate.COUNT)
        assert fine.source == "messages"
        assert values(fine) == [(START, 4), (START + 90_000, 2)]


def test_a_step_without_values_is_left_out_and_text_has_no_average(stand: Stand) -> None:
    stand.batch([message(START, t="a"), message(START + 2 * HOUR, t=1)])
    assert values(ask(stand, step_ms=HOUR)) == [(START + 2 * HOUR, 1.0)]
    last = ask(stand, step_ms=HOUR, aggregate=Aggregate.LAST)
    assert values(last) == [(START, "a"), (START + 2 * HOUR, 1)]


@pytest.mark.parametrize(("points", "source"), [(100, "minutes"), (10, "hours"), (4, "days")])
def test_long_spans_read_rollups_and_are_exact_all_the_while(
    stand: Stand, few_rows: int, points: int, source: str
) -> None:
    """Before, in the midst of and after rolling up, with what is late."""
    span = {"minutes": 30 * MINUTE, "hours": 6 * HOUR, "days": 2 * DAY}[source]
    chance = random.Random(points)
    roller: Roller | None = None
    for turn in range(4):
        stand.batch(
            [
                message(START + chance.randrange(span), t=chance.randrange(100) / 4)
                for _ in range(60)
            ]
        )
        found = ask(stand, end=START + span, points=points, aggregate=Aggregate.SUM)
        assert found.source == source
        assert found.step_ms is not None
        sums = naive(stand.said, found.step_ms // MINUTE)
        assert values(found) == [
            (bucket * MINUTE, facts["t"][4]) for (_, _, bucket), facts in sorted(sums.items())
        ]
        roller = roller or stand.roller(round_rows=50)
        for _ in range(2 + turn):
            roller.step(START + turn * DAY + 7_000)


def test_the_span_is_whole_steps(stand: Stand) -> None:
    stand.batch([message(START + n * MINUTE, t=n) for n in range(10)])
    found = ask(
        stand,
        start=START + 150_000,
        end=START + 6 * MINUTE + 1,
        step_ms=120_000,
        aggregate=Aggregate.LAST,
    )
    assert (found.start, found.end) == (START + 120_000, START + 8 * MINUTE)
    assert values(found) == [(START + n * MINUTE, n + 1) for n in (2, 4, 6)]


def test_thinned_out_curves_keep_their_peaks(stand: Stand) -> None:
    stand.batch([message(START + n * 1000, t=99 if n == 137 else n % 3) for n in range(300)])
    found = ask(stand, points=20, lttb=True)
    assert found.source == "messages"
    assert len(values(found)) == 20
    assert (START + 137_000, 99) in values(found)


def test_thinned_out_minutes(stand: Stand, few_rows: int) -> None:
    stand.batch([message(START + n * 20_000, t=500 if n == 50 else 1) for n in range(100)])
    stand.roller().catch_up(START + 2 * DAY)
    found = ask(stand, end=START + 35 * MINUTE, points=10, lttb=True, aggregate=Aggregate.MAX)
    assert (found.source, found.step_ms) == ("minutes", MINUTE)
    assert len(values(found)) == 10
    assert (START + 16 * MINUTE, 500) in values(found)


def test_metrics_of_a_device(stand: Stand) -> None:
    stand.batch([message(START, b=1, a={"x": 2})])
    stand.roller().catch_up(START + DAY)
    assert charts(stand).metrics(SYSTEM, DEVICE) == ["a.x", "b"]


def test_a_metric_nobody_knows_is_an_empty_curve(stand: Stand) -> None:
    stand.batch([message(START, t=1)])
    found = ask(stand, "t", "nothing", step_ms=HOUR)
    assert [len(curve.points) for curve in found.curves] == [1, 0]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"end": START}, "invalid_span"),
        ({"points": 1}, "too_many_points"),
        ({"points": 10_001}, "too_many_points"),
        ({"step_ms": 1}, "too_many_points"),
    ],
)
def test_questions_that_are_refused(stand: Stand, options: dict[str, int], code: str) -> None:
    with pytest.raises(Invalid) as error:
        ask(stand, **options)
    assert error.value.slug == code
    with pytest.raises(Invalid) as error:
        ask(stand, *(f"m{n}" for n in range(33)))
    assert error.value.slug == "too_many_metrics"


def test_the_wall_between_tenants(stand: Stand) -> None:
    stranger = Actor("eve", Role.VIEWER, "elsewhere")
    with pytest.raises(NotFound):
        charts(stand).series(stranger, DEVICE, ["t"], START, START + DAY)
    with pytest.raises(NotFound):
        charts(stand).metrics(stranger, DEVICE)
    with pytest.raises(NotFound):
        ask(stand, channel="nowhere")
    assert values(ask(stand, channel="event")) == []


@pytest.mark.parametrize(("points", "source"), [(100, "minutes"), (10, "hours"), (4, "days")])
def test_bands_are_exact_before_in_the_midst_of_and_after_rolling_up(
    stand: Stand, few_rows: int, points: int, source: str
) -> None:
    span = {"minutes": 30 * MINUTE, "hours": 6 * HOUR, "days": 2 * DAY}[source]
    chance = random.Random(points)
    roller: Roller | None = None
    for turn in range(3):
        stand.batch(
            [
                message(START + chance.randrange(span), t=chance.randrange(100) / 4, u=turn)
                for _ in range(60)
            ]
        )
        found = charts(stand).bands(
            SYSTEM, DEVICE, ["t", "u", "none"], START, START + span, points=points
        )
        assert found.source == source
        assert found.step_ms is not None
        facts = naive(stand.said, found.step_ms // MINUTE)
        for which, name in enumerate(("t", "u")):
            curve = found.curves[which]
            columns = (curve.ts, curve.least, curve.greatest, curve.count)
            drawn = [row for row in zip(*columns, strict=True) if row[3] is not None]
            assert drawn == [
                (bucket * MINUTE, of[name][2], of[name][3], of[name][1])
                for (_, _, bucket), of in sorted(facts.items())
            ]
        assert found.curves[2].ts == []
        roller = roller or stand.roller(round_rows=50)
        for _ in range(2 + turn):
            roller.step(START + turn * DAY + 7_000)


def test_bands_of_few_messages_are_the_messages(stand: Stand) -> None:
    stand.batch([message(START + n * 1000, t=value) for n, value in enumerate([4, 1.5, 9])])
    found = charts(stand).bands(SYSTEM, DEVICE, ["t"], START, START + DAY)
    (curve,) = found.curves
    assert (found.source, found.step_ms, found.start) == ("messages", None, START)
    assert curve.ts == [START, START + 1000, START + 2000]
    assert curve.least == curve.mean == curve.greatest == [4, 1.5, 9]


def test_bands_of_another_tenants_device_are_not_there(stand: Stand) -> None:
    with pytest.raises(NotFound):
        charts(stand).bands(
            Actor("eve", Role.ADMIN, "elsewhere"), DEVICE, ["t"], START, START + DAY
        )
