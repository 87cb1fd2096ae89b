"""``mooring simulate`` as a command, with a broker that lets everybody in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mooring.pki.ensure import ensure
from tests.support.golden import check_sentences
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.unit.cli.conftest import Mooring


@pytest.fixture
def fleet(mooring: Mooring, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Mooring:
    """Nothing tells this broker of devices, so nobody is to wait until it knows them."""
    monkeypatch.setenv("MOORING_MQTT_PORT", str(broker.port))
    monkeypatch.setattr("mooring.cli.simulate.ACCEPTANCE_SECONDS", 0.0)
    return mooring


def test_a_run_in_json(fleet: Mooring) -> None:
    words = ["--dialect", "pulse", "-n", "3", "--rate", "10", "--duration", "1s", "--json"]
    found = fleet("simulate", *words).json()
    assert (found["devices"], found["connected"], found["refused"]) == (3, 3, 0)
    assert found["sent"] > 6
    assert found["acknowledged"] == found["confirmable"] == found["sent"]
    assert found["latency_p50_ms"] > 0
    devices = fleet("device", "list", "--json").json()["devices"]
    assert {(d["device"], d["label"]) for d in devices} == {
        (f"sim-pulse-{n}", "simulated") for n in (1, 2, 3)
    }


def test_a_run_for_people(fleet: Mooring) -> None:
    said = fleet("simulate", "-d", "mooring", "-n", "2", "--duration", "0.5s", "--qos", "0")
    assert said.out.count("\n") == 1
    assert "2 of 2 connected" in said.out
    assert "0 acknowledged" in said.out
    assert "`mooring status`" in said.err  # nothing updates the broker


def test_devices_may_go_afterwards(fleet: Mooring) -> None:
    words = ["simulate", "-d", "drivesafe", "-n", "2", "--duration", "0.2s"]
    fleet(*words)
    fleet(*words, "--no-keep")
    assert fleet("device", "list", "--json").json()["devices"] == []
    stored = (fleet.data_dir / "simulated.json").read_text(encoding="utf-8")
    assert "drivesafe" not in stored


def test_the_demo_speaks_every_dialect(fleet: Mooring) -> None:
    found = fleet("simulate", "--demo", "--duration", "1s", "--total-rate", "48", "--json").json()
    assert found["connected"] == found["devices"] == 24
    assert 24 <= found["sent"] < 300


def test_over_tls(
    mooring: Mooring,
    start_mosquitto: Callable[..., Mosquitto],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datetime import UTC, datetime

    paths = ensure(mooring.data_dir, [], datetime.now(UTC), machine=[])
    port = free_port()
    start_mosquitto(
        "allow_anonymous true",
        f"listener {port}",
        f"cafile {paths.ca}",
        f"certfile {paths.server_cert}",
        f"keyfile {paths.server_key}",
    )
    monkeypatch.setenv("MOORING_MQTT_TLS_PORT", str(port))
    monkeypatch.setattr("mooring.cli.simulate.ACCEPTANCE_SECONDS", 0.0)
    words = ["simulate", "-d", "pulse", "-n", "2", "--duration", "0.5s", "--tls", "--json"]
    assert mooring(*words).json()["connected"] == 2
    foreign = Path(mooring.data_dir).parent / "foreign"
    ensure(foreign, [], datetime.now(UTC), machine=[])
    monkeypatch.setenv("MOORING_TLS_CAFILE", str(foreign / "pki" / "ca.crt"))
    error = mooring(*words, code=7).error()
    check_sentences("simulate: none accepted", f"{error['message']}\n{error['hint']}")


def test_without_a_broker_nothing_is_added(
    mooring: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("MOORING_MQTT_PORT", str(port))
    said = mooring("simulate", "-d", "pulse", code=7)
    check_sentences("simulate: no broker", said.err.replace(str(port), "PORT"))
    assert mooring("device", "list", "--json").json()["devices"] == []


def test_a_fleet_that_nobody_lets_in_is_a_failure(
    mooring: Mooring,
    start_mosquitto: Callable[..., Mosquitto],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = start_mosquitto("allow_anonymous false")
    monkeypatch.setenv("MOORING_MQTT_PORT", str(broker.port))
    monkeypatch.setattr("mooring.cli.simulate.ACCEPTANCE_SECONDS", 0.0)
    said = mooring("simulate", "-d", "pulse", "-n", "1", "--duration", "0.5s", code=7)
    assert "0 of 1 connected" in said.out
    assert "`mooring status`" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["-d", "pulse", "--demo"],
        ["-d", "pulse", "--rate", "1", "--total-rate", "1"],
        ["-d", "pulse", "--total-rate", "0"],
        ["-d", "pulse", "--duration", "soon"],
        ["-d", "pulse", "--qos", "3"],
        ["-d", "pulse", "--devices", "0"],
    ],
)
def test_options_that_make_no_sense(mooring: Mooring, words: list[str]) -> None:
    assert "Traceback" not in mooring("simulate", *words, code=2).err
