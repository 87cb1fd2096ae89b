from __future__ import annotations

import pytest

from mooring.ingest.pacing import Pace


def paced(rate: float, *, batches: int = 400) -> Pace:
    pace = Pace(0.005)
    at = 0.0
    for _ in range(batches):
        at += 0.01
        pace.took(int(rate / 100), at)
    return pace


@pytest.mark.parametrize("rate", [100, 400, 5000])
def test_a_quiet_stream_waits_for_nothing(rate: float) -> None:
    assert paced(rate).linger() == 0


def test_a_busy_stream_waits_the_whole_linger() -> None:
    assert paced(40_000).linger() == 0.005


def test_in_between_it_grows_with_the_rate() -> None:
    lingers = [paced(rate).linger() for rate in (7000, 8000, 10_000, 11_000)]
    assert lingers == sorted(lingers)
    assert 0 < lingers[0] < lingers[-1] < 0.005


def test_a_stream_that_goes_quiet_is_noticed_within_a_second() -> None:
    pace = paced(40_000)
    at = 4.0
    for _ in range(10):
        at += 0.1
        pace.took(1, at)
    assert pace.linger() == 0
