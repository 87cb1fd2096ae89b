"""What bounds a rate, from the processes' shares of a core."""

from __future__ import annotations

import pytest

from bench.bottleneck import bottleneck


def test_a_program_that_fills_its_core_is_the_bottleneck() -> None:
    assert bottleneck({"broker": 0.97, "ingest": 0.4, "generator": 0.3}, 4) == "broker"


def test_cores_that_are_all_busy_are_the_bottleneck() -> None:
    shares = {"broker": 0.6, "ingest": 0.9, "generator": 0.4}
    assert bottleneck(shares, 2) == "all cores, most of it ingest"


def test_nobody_is_busy() -> None:
    assert bottleneck({"broker": 0.2, "ingest": 0.5}, 2).startswith("waiting")


def test_nobody_is_not_an_answer() -> None:
    with pytest.raises(ValueError, match="no processes"):
        bottleneck({}, 2)
