"""The benchmark itself runs: real broker, real processes, a moment of load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Child
from tests.support.source import ROOT
from tests.support.waiting import wait_until


@pytest.mark.timeout(300)
def test_ingest_side_by_side(tmp_path: Path) -> None:
    child = Child(
        [
            *(sys.executable, "-m", "bench", "--output", tmp_path),
            *("ingest", "--seconds", "0.25", "--rounds", "1", "--only", "sqlite,mosquitto_sub"),
        ],
        tmp_path / "log",
        cwd=ROOT,
    )
    try:
        code = child.process.wait(280)
    finally:
        child.end()
    assert code == 0, child.log()
    assert "| mosquitto_sub > /dev/null" in child.log()
    document = json.loads((tmp_path / "last.json").read_text())["ingest"]
    figures = {one["name"]: one["figures"] for one in document["contestants"]}
    assert figures["sqlite"]["messages"]["median"] == 10_000  # and as many rows, or it had failed
    assert figures["mosquitto_sub"]["messages"]["median"] == 10_000
    assert figures["sqlite"]["rate"]["median"] > 0
    assert 230 < figures["sqlite"]["bytes"]["median"] < 1000
    steady = document["keeping_up"]["contestants"]["sqlite"]
    assert steady["messages"] > 0
    assert next(iter(document["ratios"])) == "sqlite / mosquitto_sub"


@pytest.mark.timeout(300)
def test_a_fleet(tmp_path: Path) -> None:
    child = Child(
        [
            *(sys.executable, "-m", "bench", "--output", tmp_path),
            *("fleet", "--devices", "40", "--rows", "0", "--store", "sqlite"),
            *("--rounds", "1", "--seconds", "0.1"),
        ],
        tmp_path / "log",
        cwd=ROOT,
    )
    try:
        code = child.process.wait(280)
    finally:
        child.end()
    assert code == 0, child.log()
    document = json.loads((tmp_path / "last.json").read_text())["fleet"]["40 0"]
    limit, ours = document["cases"]
    assert (limit["name"], ours["name"]) == ("mosquitto_sub", "sqlite")
    assert ours["figures"]["messages"]["median"] == 2_000  # and as many rows, or it had failed
    assert ours["ratio"]["median"] > 0
    assert "| mosquitto_sub > /dev/null" in child.log()


def test_ended_from_outside_it_ends_what_it_started(tmp_path: Path) -> None:
    child = Child(
        [
            *(sys.executable, "-m", "bench", "--output", tmp_path),
            *("memory", "--minutes", "5", "--rate", "100"),
        ],
        tmp_path / "log",
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        broker = wait_until(lambda: brokers_in(tmp_path), "its broker to run", timeout=60)
    finally:
        assert child.end(timeout=60) == 143, child.log()
    assert brokers_in(tmp_path) == []
    assert len(broker) == 1
    assert list(tmp_path.glob("mooring-bench-*")) == []


def brokers_in(directory: Path) -> list[int]:
    """Mosquittos whose configuration lies below a folder."""
    found = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, check=True)
    lines = [line.split(maxsplit=1) for line in found.stdout.decode(errors="replace").splitlines()]
    return [int(pid) for pid, words in lines if "mosquitto -c" in words and str(directory) in words]
