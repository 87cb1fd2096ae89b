"""The loss test: a device's queue goes through a network that fails and processes that die.

Two devices at once, one over plain TCP and one over TLS, each with a full queue and a live
reading now and then. Each device's network is cut 20 times in ways drawn at random, the device
processes, the broker and ingest are killed with -9, and then every reading must be stored
exactly once, in the device's order, and the platform must know of nothing missing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.cable import Cable
from tests.support.platform import Platform, running_platform
from tests.support.proxy import Proxy

ROOT = Path(__file__).parents[2]
WINDOW = 200  # the SDK's: readings that may be on their way at once
CUTS = 20
END = 90.0  # seconds the queue may still take when the last fault is over


@dataclass(frozen=True, slots=True)
class Dose:
    """How much of what happens to each device, and to the platform.

    Attributes:
        readings: in each device's queue at the start.
        drain_rate: how fast a device sends its queue, readings a second; 0: as fast as it can.
        devices, broker, ingest: how often each is killed.
    """

    readings: int
    drain_rate: float
    devices: int
    broker: int
    ingest: int


@dataclass(frozen=True, slots=True)
class Way:
    """How a device gets to the broker: through what, and where that is for it."""

    name: str
    network: Proxy | Cable
    host: str
    port: int
    tls: bool


class Unit:
    """One device process, started again after each death, and what it has said."""

    def __init__(self, platform: Platform, way: Way, folder: Path, dose: Dose) -> None:
        name = way.name
        answer = platform.cli("device", "add", name, "--dialect", "mooring", "--json").json()
        assert answer["accepted_by_broker"], answer
        broker = {"host": way.host, "port": way.port}
        if way.tls:
            broker |= {"tls_port": way.port, "ca_pem": answer["broker"]["ca_pem"]}
        folder.mkdir()
        self.credentials = folder / "credentials.json"
        self.credentials.touch(0o600)
        self.credentials.write_text(json.dumps({**answer, "broker": broker}))
        self.name = name
        self._words = way.network.words if isinstance(way.network, Cable) else []
        self.number = int(answer["id"])
        self.folder = folder
        self.network = way.network
        self.dose = dose
        self.said: dict[int, str] = {}
        self.starts = 0
        self.queued = 0
        self.end: dict[str, object] | None = None
        self._sent: list[int] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def sent(self) -> int:
        """Messages that went out, over all its lives, as far as it came to say so."""
        return sum(self._sent)

    def start(self) -> None:
        self._sent.append(0)
        arguments = (self.credentials, self.folder / "store", self.dose.readings)
        words = [*self._words, sys.executable, "-m", "tests.support.queueing_device"]
        words += [*map(str, arguments), f"life{self.starts}"]
        self.starts += 1
        with (self.folder / "device.log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, "DRAIN_RATE": str(self.dose.drain_rate)},
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """SIGKILL: no goodbye, no last write."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        self._process.kill()
        self._process.wait(20)
        self.join()

    def finish(self) -> None:
        """No more live readings; it ends when its queue is empty."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as exc:
            raise AssertionError(f"{self.name} keeps its queue:\n{self.log()}") from exc
        self.join()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def join(self) -> None:
        assert self._reader is not None
        self._reader.join(20)

    def log(self) -> str:
        return (self.folder / "device.log").read_text(errors="replace")[-5_000:]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                return  # it died in the middle of the line
            word, _, rest = line.rstrip("\n").partition(" ")
            match word:
                case "queued":
                    self.queued = self.queued or int(rest)
                case "said":
                    seq, name = rest.split()
                    self.said[int(seq)] = name
                case "sent":
                    self._sent[-1] = sum(map(int, rest.split()))
                case "done":
                    self.end = json.loads(rest)


def progress(platform: Platform, unit: Unit) -> int:
    """How many of its numbers are committed; from the gap ledger, since that is one row."""
    found = platform.rows("SELECT upto, above FROM sequences WHERE device_id = ?", unit.number)
    if not found:
        return 0
    upto, above = found[0]
    return sum((last - first + 1 for first, last in json.loads(above)), int(upto))


def broker_pid(platform: Platform) -> int:
    """The process id of a broker that runs now, or 0."""
    try:
        pid = int((platform.data_dir / "broker" / "mosquitto.pid").read_text() or 0)
        os.kill(pid, 0)
        zombie = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if zombie else pid


class Ordeal:
    """What happens when: each fault has its turn when so many readings are committed."""

    def __init__(
        self, platform: Platform, units: list[Unit], dose: Dose, draw: random.Random
    ) -> None:
        self.platform = platform
        self.units = units
        self.draw = draw
        self.border: int | None = None  # the newest message when the broker died first
        self.killed: dict[str, list[int]] = {"broker": [], "ingest": []}
        whole = dose.readings * len(units)
        self._began = time.monotonic()
        self._turns: list[tuple[int, str, Unit | None]] = []
        for unit in units:
            what = ["cut"] * CUTS + ["kill"] * dose.devices
            draw.shuffle(what)
            self._turns += [(at, one, unit) for at, one in self._at(dose.readings, what)]
        what = ["broker"] * dose.broker + ["ingest"] * dose.ingest
        draw.shuffle(what)
        self._turns += [(at, one, None) for at, one in self._at(whole, what)]

    def _at(self, most: int, what: list[str]) -> list[tuple[int, str]]:
        moments = sorted(self.draw.sample(range(most // 50, most * 9 // 10), len(what)))
        return list(zip(moments, what, strict=True))

    def run(self, seconds: float) -> None:
        """Until every fault has had its turn."""
        deadline = time.monotonic() + seconds
        while self._turns:
            assert time.monotonic() < deadline, f"These had no turn: {self._turns}"
            stored = {unit.name: progress(self.platform, unit) for unit in self.units}
            for turn in list(self._turns):
                at, what, unit = turn
                if (stored[unit.name] if unit else sum(stored.values())) < at:
                    continue
                if self._happens(what, unit):
                    self._turns.remove(turn)
                    break
            time.sleep(self.draw.random() * 0.1)

    def _happens(self, what: str, unit: Unit | None) -> bool:
        """Does it, unless there is nothing to break at this moment."""
        if unit is not None:
            if not unit.network.open:
                return False
            if what == "cut":
                network = unit.network
                kind = str(self.draw.choice(network.kinds))
                self._note(f"{unit.name} cut: {kind}")
                network.cut(kind, network.longest * (0.2 + 0.8 * self.draw.random()))
            else:
                self._note(f"{unit.name} killed")
                unit.kill()
                unit.start()
            return True
        if what == "broker":
            pid = broker_pid(self.platform)
            if pid and self.border is None:
                self.border = newest_row(self.platform)
        else:
            pid = self.platform.pid("ingest")
        if not pid or pid in self.killed[what]:
            return False
        self._note(f"{what} killed")
        os.kill(pid, signal.SIGKILL)
        self.killed[what].append(pid)
        return True

    def _note(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {what}")


def newest_row(platform: Platform) -> int:
    return int(platform.rows("SELECT coalesce(max(id), 0) FROM messages")[0][0])


def late(numbers: list[int]) -> int:
    """How many came after a higher one had."""
    highest = count = 0
    for number in numbers:
        count += number < highest
        highest = max(highest, number)
    return count


def check(platform: Platform, unit: Unit, ordeal: Ordeal) -> str:
    """Every reading is stored exactly once, in order; says so in numbers."""
    rows = platform.rows(
        "SELECT m.seq, m.ts, m.id, json_extract(m.payload, '$.values.n') FROM messages m"
        " JOIN channels c ON c.id = m.channel_id WHERE m.device_id = ? AND c.name = 'telemetry'"
        " ORDER BY m.seq",
        unit.number,
    )
    seqs = [row[0] for row in rows]
    names = {row[0]: row[3] for row in rows}
    assert unit.queued == unit.dose.readings
    expected = {f"queue-{n}" for n in range(unit.dose.readings)} | set(unit.said.values())
    missing = expected - set(names.values())
    twice = len(rows) - len(set(seqs)) + len(names) - len(set(names.values()))
    assert not missing, sorted(missing)[:20]
    assert not twice
    # What it was told is what is there, under the number it was told.
    assert {seq: names.get(seq) for seq in unit.said} == unit.said

    # In order: a higher number is never older, and the queue arrived from first to last. Only
    # a broker that dies with readings it has acknowledged makes some come after higher ones,
    # when the device repeats them: at most what may be on its way at once.
    assert all(earlier[1] <= later[1] for earlier, later in pairwise(rows))
    arrived = [row for row in sorted(rows, key=lambda row: row[2]) if row[3].startswith("queue-")]
    border = newest_row(platform) if ordeal.border is None else ordeal.border
    assert late([row[0] for row in arrived if row[2] <= border]) == 0
    behind = late([row[0] for row in arrived])
    assert behind <= WINDOW * len(ordeal.killed["broker"])

    gaps = platform.cli("device", "gaps", unit.name, "--json").json()["devices"][0]
    assert (gaps["missing"], gaps["lost"]) == ([], 0)
    assert gaps["upto"] == gaps["highest"] >= max(seqs)
    cuts = ", ".join(f"{number} {kind}" for kind, number in unit.network.cuts.items() if number)
    return (
        f"{unit.name}: readings {len(expected)}, sent {unit.sent}, "
        f"repeated {unit.sent - len(rows)}, stored {len(rows)}, missing 0, twice 0, "
        f"after a higher one {behind}; "
        f"cuts {sum(unit.network.cuts.values())} ({cuts}), "
        f"killed {unit.starts - 1}, connections {unit.network.connections}"
    )


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    env = {"MOORING_GAP_SECONDS": "2"}
    with running_platform(tmp_path / "data", env=env) as running:
        yield running


def loss_test(
    platform: Platform, folder: Path, ways: list[Way], dose: Dose, *, seed: int, seconds: float
) -> None:
    draw = random.Random(seed)
    with ExitStack() as stack:
        units = [Unit(platform, way, folder / way.name, dose) for way in ways]
        for unit in units:
            stack.callback(unit.stop)
        for unit in units:
            unit.start()
        ordeal = Ordeal(platform, units, dose, draw)
        ordeal.run(seconds)
        for unit in units:
            unit.finish()
        for unit in units:
            unit.wait(END + dose.readings / 500)
            assert unit.end is not None, unit.log()
            assert unit.end["drained"], unit.end
            assert (unit.end["queued"], unit.end["unstored"]) == (0, 0)
        # A receipt is for what is committed: nothing is to be waited for.
        print(
            f"\nbroker killed {len(ordeal.killed['broker'])}, "
            f"ingest killed {len(ordeal.killed['ingest'])}"
        )
        for unit in units:
            print(check(platform, unit, ordeal))
            assert sum(unit.network.cuts.values()) == CUTS


@pytest.fixture
def ways(platform: Platform) -> Iterator[list[Way]]:
    """Plain and TLS, each through a proxy."""
    with (
        Proxy(platform.ports["mqtt_port"]) as plain,
        Proxy(platform.ports["mqtt_tls_port"]) as tls,
    ):
        yield [
            Way("plain", plain, "127.0.0.1", plain.port, tls=False),
            Way("tls", tls, "127.0.0.1", tls.port, tls=True),
        ]


@pytest.mark.timeout(300)  # half a minute on a quiet machine
def test_a_device_loses_nothing(platform: Platform, ways: list[Way], tmp_path: Path) -> None:
    dose = Dose(2_000, drain_rate=300, devices=2, broker=2, ingest=1)
    loss_test(platform, tmp_path, ways, dose, seed=5, seconds=200)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_a_device_with_a_long_queue_loses_nothing(
    platform: Platform, ways: list[Way], tmp_path: Path, seed: int
) -> None:
    dose = Dose(100_000, drain_rate=2_000, devices=8, broker=5, ingest=5)
    loss_test(platform, tmp_path, ways, dose, seed=seed, seconds=1_200)


@pytest.mark.soak
def test_a_device_in_a_network_of_its_own_loses_nothing(tmp_path: Path) -> None:
    """The cable is pulled, for seconds; the kernel's own TCP has to find out."""
    refusal = Cable.refusal()
    if refusal:
        pytest.skip(f"No network namespaces: {refusal} The proxy's variants ran instead.")
    with Cable() as cable:
        env = {"MOORING_GAP_SECONDS": "2", "MOORING_PUBLIC_HOSTS": cable.address}
        with running_platform(tmp_path / "data", env=env) as platform:
            way = Way("cable", cable, cable.address, platform.ports["mqtt_tls_port"], tls=True)
            dose = Dose(20_000, drain_rate=500, devices=3, broker=2, ingest=2)
            loss_test(platform, tmp_path, [way], dose, seed=3, seconds=1_200)
