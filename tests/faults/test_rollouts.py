"""Processes and the broker killed with SIGKILL while a rollout goes through many traps: none is
forgotten, none is offered it twice at once, and the counts add up."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.test_commands import kill
from tests.faults.test_jobs import ROLES, started, state
from tests.support.platform import Login, Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.updating import Traps
from tests.support.waiting import wait_until

ENV = {
    "MOORING_AUTH_MODE": "plugin",
    "MOORING_FIRMWARE_SIGNATURES": "optional",
    "MOORING_FIRMWARE_PROOF_SECONDS": "1",
    # What a killed broker or server has lost is repeated soon.
    "MOORING_FIRMWARE_ANSWER_SECONDS": "8",
    "MOORING_FIRMWARE_STALL_SECONDS": "8",
}
TWICE = (
    "SELECT device_id, count(*) FROM downlinks WHERE origin = 'firmware'"
    " AND state IN ('waiting', 'queued', 'sending', 'held') GROUP BY device_id HAVING count(*) > 1"
)
COUNTS = "SELECT waiting, handed_over, succeeded, failed, skipped, cancelled FROM jobs WHERE id = 1"
SIZES = [
    pytest.param(16, ROLES, id="16", marks=[pytest.mark.soak]),
    pytest.param(120, ROLES * 3, id="120", marks=[pytest.mark.soak]),
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.soak])])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with ExitStack() as stack:
        env = dict(ENV)
        if request.param == "postgresql":
            env["MOORING_DATABASE_URL"] = stack.enter_context(Postgres()).create_database()
        yield stack.enter_context(running_platform(tmp_path / "data", env=env))


def fleet(platform: Platform, count: int, folder: Path) -> list[Login]:
    """Traps, by ``mooring device import``."""
    table, output = folder / "traps.csv", folder / "traps.out"
    rows = [f"trap-{n},AA:BB:CC:00:00:{n:02X}" for n in range(count)]
    table.write_text("\n".join(["name,mac", *rows]) + "\n", encoding="utf-8")
    words = ("device", "import", table, "--dialect", "mousetrap", "--output", output, "--yes")
    platform.cli(*words, timeout=120)
    names = ("device", "tenant", "username", "password", "client_id")
    with output.open(encoding="utf-8", newline="") as file:
        found = [
            Login(**{name: row[name] for name in names}, topics={}) for row in csv.DictReader(file)
        ]
    wait_until(lambda: not platform.waiting(), "the broker to accept them", timeout=120)
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("devices", "roles"), SIZES)
def test_every_process_killed_during_a_rollout(
    platform: Platform, tmp_path: Path, devices: int, roles: tuple[str, ...]
) -> None:
    logins = fleet(platform, devices, tmp_path)
    image = tmp_path / "app.bin"
    image.write_bytes(bytes(range(256)) * 200)
    platform.cli("firmware", "add", image, "--product", "trap", "--version", "2.0")
    platform.cli("firmware", "publish", "trap:2.0", "--unsigned")
    with Traps(logins, platform.ports["mqtt_port"], {}) as traps:
        sql = "SELECT count(*) FROM device_state WHERE connected AND firmware = '1.0'"
        wait_until(lambda: platform.rows(sql) == [(devices,)], "every trap", timeout=120)
        pace = devices / (2 * len(roles))  # it lasts longer than the kills
        platform.cli(
            *("rollout", "start", "trap:2.0", "--all", "--waves", "100", "--soak", "1s"),
            *("--pace", f"{pace}/s", "--at-once", str(devices)),
        )
        for turn, role in enumerate(roles):
            at_least = devices * turn // (len(roles) + 1) + 1
            wait_until(lambda n=at_least: started(platform) >= n, "devices", timeout=120)
            time.sleep(0.01 * (turn % 7))  # anywhere in a turn
            kill(platform, role)
            check_offers(platform)
        wait_until(
            lambda: check_offers(platform) or state(platform, 1) == "done", "the end", timeout=300
        )
        assert {one.version for one in traps.all} == {"2.0"}
        print(f"installs {Counter(len(one.installed) for one in traps.all)}")
        assert {one.large for one in traps.all} == {0}
    check_counts(platform, devices)


def check_offers(platform: Platform) -> bool:
    """Fails where two offers of a device wait at once; ``False``, for ``wait_until``."""
    assert platform.rows(TWICE) == []
    return False


def check_counts(platform: Platform, devices: int) -> None:
    """Every trap has one update, which is confirmed, and is counted as that."""
    (counts,) = platform.rows(COUNTS)
    updates = Counter(
        row[0] for row in platform.rows("SELECT state FROM firmware_updates WHERE job_id = 1")
    )
    offers = platform.rows("SELECT max(offers), max(attempts) FROM firmware_updates")
    print(f"counts {counts}, updates {dict(updates)}, offers and downloads {offers}")
    assert counts == (0, 0, devices, 0, 0, 0)
    assert updates == {"confirmed": devices}
    assert platform.rows("SELECT count(DISTINCT device_id) FROM firmware_updates") == [(devices,)]
    assert platform.rows("SELECT min(attempts), max(attempts) FROM job_targets") == [(1, 1)]
