"""A rollout from the command line against a fleet: devices with the SDK, and traps on plain MQTT.

The first release is broken in several ways. The rollout stops by itself after its canaries; a fixed
release takes over what waits, and every device confirms it.
"""

from __future__ import annotations

import csv
import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mooring.ota.releases import manifest
from tests.support.platform import Login, Platform, running_platform
from tests.support.updating import SdkFleet, Traps
from tests.support.waiting import wait_until

ENV = {
    "MOORING_FIRMWARE_PROOF_SECONDS": "5",
    "MOORING_FIRMWARE_REBOOT_SECONDS": "90",  # how long a device that never comes back is awaited
    "MOORING_FIRMWARE_ANSWER_SECONDS": "120",
}
STEPS = ("--waves", "25,100", "--soak", "1s", "--pace", "0", "--gate-done", "1")
SECONDS = 240.0
SPARE = "a-spare-device"
FATES = {
    "sdk-0": "digest",
    "sdk-1": "no_space",
    "sdk-2": "health",
    "trap-0": "reverted",
}
MORE_FATES = {"sdk-3": "install", "sdk-4": "old", "sdk-5": "silent", "trap-1": "reverted"}
OUTCOMES = {"old": "install", "silent": "timed_out"}
"""What a fate is called by the platform, where it has another name."""


@dataclass
class Stand:
    """A platform with a key pair and a fleet that is switched off.

    Attributes:
        answers: of devices with the SDK, as if each had been added alone.
    """

    platform: Platform
    folder: Path
    public: str
    answers: list[dict[str, Any]] = field(default_factory=list)
    traps: list[Login] = field(default_factory=list)

    def cli(self, *words: str | Path, expect: int | None = 0) -> str:
        return self.platform.cli(*words, expect=expect).stdout

    def publish(self, version: str, size: int) -> None:
        """What a person types for a new release."""
        image = self.folder / "app.bin"
        image.write_bytes(secrets.token_bytes(size))
        reference = f"trap:{version}"
        self.cli("firmware", "add", image, "--product", "trap", "--version", version)
        self.cli("firmware", "sign", reference, "--key", self.folder / "key.pem")
        self.cli("firmware", "publish", reference)

    def rollout(self, number: int) -> dict[str, Any]:
        # It ends with another code than 0 where a device has failed.
        shown = self.platform.cli("rollout", "show", str(number), "--json", expect=None)
        found: dict[str, Any] = shown.json()
        return found

    def until(self, number: int, **wanted: Any) -> dict[str, Any]:
        """Waits until a rollout shows these values; counts are named as they are."""

        def found() -> dict[str, Any] | None:
            shown = self.rollout(number)
            flat = shown | shown["counts"]
            return shown if all(flat[name] == value for name, value in wanted.items()) else None

        try:
            return wait_until(found, f"rollout {number} to show {wanted}", timeout=SECONDS) or {}
        except TimeoutError as exc:
            rows = self.platform.rows(
                "SELECT device, version, state, code, words FROM firmware_updates"
                " WHERE finished_at IS NULL ORDER BY id"
            )
            raise AssertionError(
                f"{exc} {self.cli('rollout', 'show', str(number))} {rows}"
            ) from exc

    def states(self, number: int) -> dict[str, tuple[str, str]]:
        """Device → the state and code of its update in a rollout."""
        rows = self.platform.rows(
            "SELECT device, state, code FROM firmware_updates WHERE job_id = ?", number
        )
        found = {device: (state, code) for device, state, code in rows}
        assert len(found) == len(rows), "a device has two updates of one rollout"
        return found


def add_devices(stand: Stand, sdk: int, traps: int, canaries: set[str]) -> None:
    """By ``mooring device import``; the SDK's devices get the answer that one device alone has."""

    def imported(dialect: str, names: list[str]) -> list[dict[str, str]]:
        table, output = stand.folder / f"{dialect}.csv", stand.folder / f"{dialect}.out"
        rows = []
        for number, name in enumerate(names):
            group = "canaries" if name in canaries else "others"
            mac = f"AA:BB:CC:{len(dialect):02X}:{number // 256:02X}:{number % 256:02X}"
            rows.append(f"{name},{group},{mac}")
        table.write_text("\n".join(["name,groups,mac", *rows]) + "\n", encoding="utf-8")
        words = ("device", "import", table, "--dialect", dialect, "--output", output, "--yes")
        stand.platform.cli(*words, timeout=180)
        with output.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    first = stand.cli("device", "add", SPARE, "--dialect", "mooring", "--json")
    stand.cli("device", "remove", SPARE, "--yes")
    for row in imported("mooring", [f"sdk-{n}" for n in range(sdk)]):
        stand.answers.append(json.loads(first.replace(SPARE, row["device"])) | row)
    for row in imported("mousetrap", [f"trap-{n}" for n in range(traps)]):
        names = ("device", "tenant", "username", "password", "client_id")
        stand.traps.append(Login(**{name: row[name] for name in names}, topics={}))
    wait_until(lambda: not stand.platform.waiting(), "the broker to accept them", timeout=120)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with running_platform(tmp_path / "data", env=ENV) as platform:
        key = tmp_path / "key.pem"
        platform.cli("firmware", "key", "create", "release", "--out", key)
        private = load_pem_private_key(key.read_bytes(), None)
        yield Stand(platform, tmp_path, manifest.public_pem(private.public_key()))  # type: ignore[arg-type]


SIZES = [
    pytest.param(34, 6, FATES, id="40"),
    pytest.param(200, 20, FATES | MORE_FATES, id="220", marks=[pytest.mark.soak]),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("sdk", "traps", "fates"), SIZES)
def test_a_broken_release_stops_at_its_canaries_and_a_fixed_one_goes_on(
    stand: Stand, sdk: int, traps: int, fates: Mapping[str, str]
) -> None:
    total = sdk + traps
    canaries = set(fates) | {f"sdk-{n}" for n in range(sdk)}
    canaries = set(sorted(canaries, key=lambda name: (name not in fates, name))[: total // 4])
    add_devices(stand, sdk, traps, canaries)
    bad = {name: {"2.0": fate} for name, fate in fates.items()}
    with ExitStack() as stack:
        port = stand.platform.ports["mqtt_port"]
        boards = stack.enter_context(SdkFleet(stand.answers, stand.folder, [stand.public], bad))
        plain = stack.enter_context(Traps(stand.traps, port, bad))
        wait_until(
            lambda: (
                stand.platform.rows(
                    "SELECT count(*) FROM device_state WHERE connected AND firmware = '1.0'"
                )
                == [(total,)]
            ),
            "every device to report its version",
            timeout=SECONDS,
        )

        stand.publish("2.0", 60_000)
        started = stand.cli("rollout", "start", "trap:2.0", "--all", "--first", "canaries", *STEPS)
        assert "Rollout 1 (trap:2.0) is started." in started
        stand.until(1, state="stopped", handed_over=0)
        broken = check_the_broken_one(stand, fates, canaries, total)
        for name in fates:
            if fates[name] == "silent":
                boards[name].start()  # somebody has been there

        stand.publish("2.1", 60_000)
        stand.cli("rollout", "start", "trap:2.1", "--all", "--first", "canaries", *STEPS)
        stand.cli("rollout", "resume", "1", "--reason", "2.1 takes over")
        old = stand.until(1, state="done")
        # What waited is the newer rollout's; what was counted stays counted.
        assert old["counts"] == broken["counts"] | {
            "waiting": 0,
            "cancelled": total - len(canaries),
        }
        assert {
            "state": "cancelled",
            "cause": "superseded",
            "devices": total - len(canaries),
        } in old["reasons"]
        new = stand.until(2, state="done")
        counts = {name: number for name, number in new["counts"].items() if number}
        assert counts == {"total": total, "succeeded": total}
        assert set(stand.states(2).values()) == {("confirmed", "")}
        shown = stand.cli("rollout", "show", "2")
        assert "firmware trap:2.1" in shown
        assert f"{total} of {total}" in shown

        assert [fault for one in boards.all for fault in one.faults] == []
        assert {one.version for one in (*boards.all, *plain.all)} == {"2.1"}
        for one in (*boards.all, *plain.all):
            assert max(Counter(one.installed).values()) == 1, "nothing is installed twice"
        for board in boards.all:
            assert max(Counter(board.offers).values()) == 1, "nobody is asked twice"
        assert {one.large for one in plain.all} == {0}
    (changed,) = stand.platform.rows("SELECT count(DISTINCT device) FROM firmware_updates")
    assert changed == (total,)


def check_the_broken_one(
    stand: Stand, fates: Mapping[str, str], canaries: set[str], total: int
) -> dict[str, Any]:
    """The first rollout: it has reached its canaries only, and says why each of them failed."""
    shown = stand.rollout(1)
    counts = {name: number for name, number in shown["counts"].items() if number}
    assert counts == {
        "total": total,
        "waiting": total - len(canaries),
        "succeeded": len(canaries) - len(fates),
        "failed": len(fates),
    }
    expected = {name: OUTCOMES.get(fate, fate) for name, fate in fates.items()}
    found = stand.states(1)
    assert set(found) == canaries
    failed = {name: code or state for name, (state, code) in found.items() if state != "confirmed"}
    assert failed == expected
    text = stand.cli("rollout", "show", "1", expect=None)
    assert "stopped: " in text
    said = stand.cli("rollout", "failed", "1", expect=None)
    for name, cause in expected.items():
        line = next(one for one in said.splitlines() if one.split()[:1] == [name])
        assert cause.replace("_", " ") in line.replace("_", " ")
    return shown
