"""The benchmark itself runs: real broker, real processes, a moment of load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import ROOT


@pytest.mark.timeout(300)
def test_ingest_side_by_side(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--output", tmp_path),
            *("ingest", "--seconds", "0.25", "--rounds", "1", "--only", "sqlite,mosquitto_sub"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| mosquitto_sub > /dev/null" in done.stdout
    document = json.loads((tmp_path / "last.json").read_text())["ingest"]
    figures = {one["name"]: one["figures"] for one in document["contestants"]}
    assert figures["sqlite"]["messages"]["median"] == 10_000  # and as many rows, or it had failed
    assert figures["mosquitto_sub"]["messages"]["median"] == 10_000
    assert figures["sqlite"]["rate"]["median"] > 0
    assert 230 < figures["sqlite"]["bytes"]["median"] < 1000
    steady = document["keeping_up"]["contestants"]["sqlite"]
    assert steady["messages"] > 0
    assert next(iter(document["ratios"])) == "sqlite / mosquitto_sub"
