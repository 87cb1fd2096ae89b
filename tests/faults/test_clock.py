"""The machine's clock is stepped under a running platform: nothing is lost, nothing is dated
wrongly, and all is well once the clock is."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until
from tests.support.wrong_clock import WrongClock

HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400  # seconds
STAND_SECONDS = 3.0  # how long a step stands; the keeper takes its turn every second


class Fleet:
    """One device that counts its readings and sends no time."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.login: Login = platform.add("counter", "drivesafe")
        self.sent = 0

    def send(self, count: int = 10) -> None:
        client = self.platform.connect(self.login)
        for _ in range(count):
            self.sent += 1
            client.publish(self.login.topics["telemetry"], b'{"n":%d}' % self.sent, qos=1)
        client.disconnect()
        wait_until(lambda: self.platform.stored(self.login) >= self.sent, "the messages stored")

    def require_whole_and_sane(self) -> None:
        """Every message is there, dated now; so is what the platform says of the device."""
        now = time.time() * 1000
        dates = self.platform.rows("SELECT ts, received_at FROM messages")
        assert len(dates) == self.sent
        seen = self.platform.rows("SELECT last_seen_at FROM device_state")
        latest = self.platform.rows("SELECT ts, received_at FROM latest")
        for row in (*dates, *seen, *latest):
            assert all(abs(at - now) < HOUR * 1000 for at in row), row


def clock(platform: Platform, **options: Any) -> dict[str, Any]:
    said: dict[str, Any] = platform.cli("clock", "show", "--json", **options).json()
    return said


def noticed(platform: Platform) -> bool:
    return bool(platform.rows("SELECT 1 FROM clocks WHERE off <> 0"))


# What differs between the engines is in tests/integration/store/test_clock.py, on both.
@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def env(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    return {"MOORING_DATABASE_URL": request.getfixturevalue("database_url")}


@pytest.fixture(scope="module")
def one_clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrongClock]:
    with closing(WrongClock(tmp_path_factory.mktemp("clock"))) as wrong:
        yield wrong


@pytest.fixture
def wrong(one_clock: WrongClock) -> WrongClock:
    """The clock of the programs, which is right at the start of each test."""
    one_clock.step(0)
    return one_clock


def stand_through(platform: Platform, wrong: WrongClock, fleet: Fleet, seconds: int) -> None:
    """The clock is away for a while, and comes back."""
    wrong.step(seconds)
    wait_until(lambda: noticed(platform), f"the step by {seconds} s to be noticed")
    fleet.send()
    time.sleep(STAND_SECONDS)
    fleet.require_whole_and_sane()
    assert clock(platform, expect=1)["deletes_before"] is None
    wrong.step(0)
    wait_until(lambda: not noticed(platform), "the clock to be sane again")
    fleet.send()
    fleet.require_whole_and_sane()


def test_a_stepped_clock_loses_nothing_and_heals(
    tmp_path: Path, wrong: WrongClock, env: dict[str, str]
) -> None:
    with running_platform(tmp_path / "data", env=env | wrong.env) as platform:
        fleet = Fleet(platform)
        fleet.send(20)
        stand_through(platform, wrong, fleet, 10 * YEAR)
        stand_through(platform, wrong, fleet, -30 * YEAR)
        assert clock(platform)["problem"] == ""

        platform.stop()  # and it starts with a wrong clock
        wrong.step(10 * YEAR)
        platform.start()
        fleet.send()
        fleet.require_whole_and_sane()
        problems = platform.cli("status", "--json", expect=1).json()["problems"]
        assert any("mooring clock confirm" in problem for problem in problems)
        refused = platform.cli("retention", "run", "--json", expect=4)
        assert "clock_in_doubt" in refused.stderr + refused.stdout
        wrong.step(0)
        wait_until(lambda: not noticed(platform), "the clock to be sane again")
        fleet.require_whole_and_sane()
        assert platform.cli("retention", "run", "--json").json()["messages"] == 0


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_clock_that_steps_again_and_again(
    tmp_path: Path, wrong: WrongClock, env: dict[str, str]
) -> None:
    with running_platform(tmp_path / "data", env=env | wrong.env) as platform:
        fleet = Fleet(platform)
        fleet.send(20)
        for seconds in (2 * HOUR, -2 * HOUR, 40 * DAY, -40 * DAY, 400 * DAY, YEAR * 50, -YEAR * 56):
            stand_through(platform, wrong, fleet, seconds)


def test_a_first_start_in_1970_and_a_clock_that_is_confirmed(
    tmp_path: Path, wrong: WrongClock
) -> None:
    """A board without a battery gets its time from the network after Mooring has started."""
    wrong.step(60 - int(time.time()))
    with running_platform(tmp_path / "data", env=wrong.env, migrated=False) as platform:
        fleet = Fleet(platform)
        fleet.send()
        assert "Set the clock" in clock(platform, expect=1)["problem"]
        made = x509.load_pem_x509_certificate((platform.data_dir / "pki/ca.crt").read_bytes())
        assert made.not_valid_before_utc.year >= 2025
        wrong.step(0)
        wait_until(lambda: not noticed(platform), "the clock to be followed")
        told = clock(platform, expect=None)
        assert told["off_seconds"] == 0
        assert told["deletes_before"] < "2026-02", "what came in 1970 is not too old by itself"
        fleet.send()
        assert len(platform.rows("SELECT 1 FROM messages")) == fleet.sent
        server = platform.data_dir / "pki/server.crt"

        def in_force() -> bool:
            found = x509.load_pem_x509_certificate(server.read_bytes())
            return found.not_valid_before_utc <= datetime.now(UTC) <= found.not_valid_after_utc

        wait_until(in_force, "a server certificate that is valid now", timeout=90)
        assert platform.cli("retention", "run", "--json").json()["messages"] == 0
        platform.cli("clock", "confirm", "--yes")
        assert clock(platform)["problem"] == ""

        wrong.step(40 * DAY)
        wait_until(lambda: noticed(platform), "the step")
        platform.cli("clock", "confirm", "--yes")
        later = (time.time() + 39 * DAY) * 1000

        def dated() -> bool:
            fleet.send(1)
            return bool(platform.rows("SELECT 1 FROM messages WHERE received_at > ?", later))

        wait_until(dated, "messages dated by the confirmed clock")
        said = platform.rows("SELECT action FROM audit WHERE action = 'clock.confirm'")
        assert len(said) == 2


def test_a_first_start_with_a_clock_ahead(tmp_path: Path, wrong: WrongClock) -> None:
    """What was dated then gets its dates right by itself, and the CA stays the same one."""
    wrong.step(10 * YEAR)
    with running_platform(tmp_path / "data", env=wrong.env, migrated=False) as platform:
        ca = platform.data_dir / "pki/ca.crt"

        def begins() -> datetime:
            return x509.load_pem_x509_certificate(ca.read_bytes()).not_valid_before_utc

        held = x509.load_pem_x509_certificate(ca.read_bytes())
        assert begins() > datetime.now(UTC)
        login = platform.add("lamp", "mooring")
        wrong.step(0)
        wait_until(lambda: noticed(platform), "the step back to be noticed")
        platform.cli("clock", "confirm", "--yes")
        wait_until(lambda: begins() <= datetime.now(UTC), "the CA's dates to be right", timeout=90)
        now = x509.load_pem_x509_certificate(ca.read_bytes())
        assert (now.subject, now.public_key()) == (held.subject, held.public_key())

        def accepted() -> bool:
            """By its own name and dates, as a device checks them."""
            tls = ssl.create_default_context(cafile=ca)
            port = platform.ports["mqtt_tls_port"]
            words = (login.client_id, login.username, login.password)
            names = ("client_id", "username", "password")
            client = MqttClient(
                port, host="localhost", tls=tls, **dict(zip(names, words, strict=True))
            )
            try:
                client.connect().disconnect()
            except ssl.SSLError:
                return False
            return True

        wait_until(accepted, "the broker to show the certificate of now", timeout=90)
        rows = platform.rows("SELECT created_at FROM credentials")
        assert all(at <= time.time() * 1000 + HOUR * 1000 for (at,) in rows)
