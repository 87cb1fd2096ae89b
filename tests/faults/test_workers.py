"""A fault in any part of the platform hurts that part alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from mooring.parts import PARTS
from tests.support.platform import Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

INJECT = Path(__file__).parent.parent / "support" / "inject"


def broker_pid(platform: Platform) -> int:
    return int((platform.data_dir / "broker" / "mosquitto.pid").read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_fault_in_each_worker_in_turn(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(INJECT), "TEST_INJECT_FAULTS": "1"}
    with running_platform(tmp_path / "data", "--demo", env=env) as platform:
        assert platform.up is not None
        up, broker = platform.up.pid, broker_pid(platform)

        def reported() -> dict[tuple[str, str], tuple[int, str]]:
            document = platform.cli("status", "--json", expect=None).json()
            return {
                (process["role"], worker["name"]): (worker["failures"], worker["phase"])
                for process in document["processes"]
                for worker in process["workers"]
            }

        expected = {(entry.role, entry.name) for part in PARTS for entry in part.workers}

        def all_well_again() -> bool:
            found = reported()
            return found.keys() == expected and all(
                failures >= 1 and phase in {"running", "done"} for failures, phase in found.values()
            )

        try:
            wait_until(all_well_again, "every worker to fail once and to run", timeout=60)
        except TimeoutError as exc:
            raise AssertionError(f"{exc}: {reported()}\n{expected - reported().keys()}") from exc
        assert {name: n for name, (n, _) in reported().items() if n != 1} == {}

        assert (platform.up.pid, broker_pid(platform)) == (up, broker)
        shown = httpx.get(f"http://127.0.0.1:{platform.ports['http_port']}/metrics").text
        for role, name in expected:
            for figure, value in (("up", 1.0), ("failures_total", 1.0)):
                line = rf'mooring_worker_{figure}{{.*role="{role}",worker="{name}"}} {value}'
                assert re.search(line, shown), (line, shown)
        login = platform.add("after-the-faults", "mooring")
        client = platform.connect(login)
        client.publish(login.topics["telemetry"], '{"values":{"t":1}}', qos=1)
        wait_until(lambda: platform.stored(login) == 1, "the message")
        worker_log = platform.data_dir / "logs" / "worker.log"
        assert "injected into rotations" in worker_log.read_text()
        assert platform.stop(signal.SIGINT) == 0


def test_a_hung_up_terminal_stops_everything_in_order(tmp_path: Path) -> None:
    with running_platform(tmp_path / "data") as platform:
        broker = broker_pid(platform)
        assert platform.stop(signal.SIGHUP) == 0
        assert not lives(broker)


@pytest.mark.soak
def test_under_nohup_a_hung_up_terminal_stops_nothing(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does; children inherit it
    try:
        platform.start()
        assert platform.up is not None
        os.kill(platform.up.pid, signal.SIGHUP)
        login = platform.add("lamp", "mooring")
        assert platform.connect(login)
        assert platform.up.running
    finally:
        signal.signal(signal.SIGHUP, before)
        platform.stop()


def test_a_broker_without_its_platform_ends_after_a_while(tmp_path: Path) -> None:
    env = {"MOORING_BROKER_ORPHAN_SECONDS": "2"}
    with running_platform(tmp_path / "data", env=env) as platform:
        assert platform.up is not None
        broker = broker_pid(platform)
        os.kill(platform.up.pid, signal.SIGKILL)
        wait_until(lambda: not lives(broker), "the end of the broker")
        guard = (platform.data_dir / "logs" / "guard.log").read_text()
        assert str(broker) in guard


@pytest.mark.soak
def test_a_platform_that_comes_back_keeps_its_broker(tmp_path: Path) -> None:
    env = {"MOORING_BROKER_ORPHAN_SECONDS": "4"}
    with running_platform(tmp_path / "data", env=env) as platform:
        assert platform.up is not None
        os.kill(platform.up.pid, signal.SIGKILL)
        platform.start()
        broker = broker_pid(platform)
        guards = wait_until(lambda: [p for p in guards_of(platform) if p], "a guard")
        wait_until(lambda: len(guards_of(platform)) == 1, "the end of the older guard")
        assert guards
        assert lives(broker)
        assert not (platform.data_dir / "logs" / "guard.log").read_text()


def guards_of(platform: Platform) -> list[int]:
    config = str((platform.data_dir / "broker" / "mosquitto.conf").absolute())
    found = subprocess.run(
        ["pgrep", "-f", f"guard.py.*{config}"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


# ---------------------------------------------------------------------- files


def test_a_state_file_that_was_cut_short_is_set_aside(tmp_path: Path) -> None:
    state = tmp_path / "data" / "broker" / "data" / "mosquitto.db"
    platform = Platform(tmp_path / "data")
    platform.start()
    login = platform.add("lamp", "mooring")
    client = platform.connect(login, clean=False)
    client.subscribe(login.topics["command"], qos=1)
    platform.stop()
    state.write_bytes(state.read_bytes()[:-7])
    try:
        platform.start()
        assert platform.up is not None
        (moved,) = state.parent.glob("mosquitto.db.damaged-*")
        assert moved.name in platform.up.log()
        again = platform.connect(login)
        again.publish(login.topics["telemetry"], '{"values":{"t":1}}', qos=1)
        wait_until(lambda: platform.stored(login) == 1, "a message after the start")
    finally:
        platform.stop()


def is_small(path: Path) -> bool:
    """``False`` also while the broker has not opened the new one."""
    return path.exists() and path.stat().st_size < 65536


def test_log_files_are_rotated(tmp_path: Path) -> None:
    env = {"MOORING_LOG_MAX_BYTES": "65536"}
    with running_platform(tmp_path / "data", env=env) as platform:
        logs = platform.data_dir / "logs"
        for name in ("ingest", "serve", "keeper", "worker", "mosquitto"):
            with (logs / f"{name}.log").open("a") as file:
                file.write("a line that is only there to fill the file\n" * 2000)
        for name in ("ingest", "serve", "keeper", "worker", "mosquitto"):
            wait_until(lambda n=name: (logs / f"{n}.log.1").exists(), f"{name}.log.1")
            wait_until(lambda n=name: is_small(logs / f"{n}.log"), f"a small {name}.log")
        before = broker_pid(platform)
        login = platform.add("lamp", "mooring")
        client = platform.connect(login)  # noticed in the new file
        wait_until(
            lambda: platform.rows("SELECT 1 FROM broker_events WHERE username = ?", login.username),
            "the connection in the broker's new log",
        )
        client.disconnect()
        os.kill(platform.pid("keeper"), signal.SIGKILL)  # its words go to the emptied file
        assert broker_pid(platform) == before


# ---------------------------------------------------------------------- a server that hangs


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One that is stopped, so not the one that other tests share."""
    with Postgres() as server:
        yield server


@contextmanager
def hanging(server: Postgres) -> Iterator[None]:
    """No process of the server does anything; its sockets stay open."""
    found = subprocess.run(
        ["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=True
    )
    pids = [server.pid, *map(int, found.stdout.split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            if lives(pid):
                os.kill(pid, signal.SIGCONT)


def test_a_database_password_with_any_character(server: Postgres, tmp_path: Path) -> None:
    """It works, and it is in no log, no document, no environment and no status."""
    password = "a b'c\"d\\e@f:g/h?i#j%20k"
    url = sa.make_url(server.create_database())
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE odd LOGIN SUPERUSER")
        connection.execute(sql.SQL("ALTER ROLE odd PASSWORD {}").format(sql.Literal(password)))
    odd = url.set(username="odd", password=password).render_as_string(hide_password=False)
    with running_platform(tmp_path / "data", env={"MOORING_DATABASE_URL": odd}) as platform:
        login = platform.add("lamp", "mooring")
        client = platform.connect(login)
        client.publish(login.topics["telemetry"], '{"values":{"t":1}}', qos=1)

        def stored() -> bool:
            with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
                found = connection.execute("SELECT count(*) FROM messages").fetchone()
            return found is not None and found[0] == 1

        wait_until(stored, "the message")
        shown = [platform.cli("config", "show", "--json").stdout, platform.cli("status").stdout]
        with hanging(server):
            shown.append(platform.cli("status", expect=None, timeout=120).stderr)
        assert platform.up is not None
        platform.stop()
        shown += [platform.up.log(), (platform.data_dir / "running.json").name]
        shown += [path.read_text() for path in (platform.data_dir / "logs").iterdir()]
        for part in (password, "b'c", "e@f", "h?i", odd.partition("odd:")[2].partition("@")[0]):
            assert not any(part in text for text in shown), part


def test_ctrl_c_ends_a_platform_whose_database_hangs(server: Postgres, tmp_path: Path) -> None:
    env = {"MOORING_DATABASE_URL": server.create_database()}
    with running_platform(tmp_path / "data", env=env) as platform:
        broker = broker_pid(platform)
        roles = ("ingest", "serve", "keeper", "worker")
        pids = [platform.pid(role) for role in roles]
        with hanging(server):
            assert platform.up is not None
            platform.up.process.send_signal(signal.SIGINT)
            assert platform.up.process.wait(60) == 0
            assert not any(lives(pid) for pid in [broker, *pids])


def test_ctrl_c_ends_a_start_that_waits_for_a_database(server: Postgres, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", env={"MOORING_DATABASE_URL": server.create_database()})
    with hanging(server):
        up = platform.cli.start("up")
        up.wait_for_log("starting database", timeout=60)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(60) == 0


def test_a_broker_that_dies_comes_back_while_the_database_hangs(
    server: Postgres, tmp_path: Path
) -> None:
    env = {"MOORING_DATABASE_URL": server.create_database()}
    with running_platform(tmp_path / "data", env=env) as platform:
        login = platform.add("lamp", "drivesafe")
        with hanging(server):
            os.kill(broker_pid(platform), signal.SIGKILL)

            def accepted() -> bool:
                try:
                    platform.connect(login)
                except (AssertionError, OSError):
                    return False
                return True

            wait_until(accepted, "the device to be accepted", timeout=60)
        wait_until(
            lambda: platform.cli("status", expect=None).rc == 0, "all well again", timeout=60
        )


def test_a_server_that_is_read_only_for_seconds_stops_nothing(
    server: Postgres, tmp_path: Path
) -> None:
    url = server.create_database()
    with running_platform(tmp_path / "data", env={"MOORING_DATABASE_URL": url}) as platform:
        assert platform.up is not None
        login = platform.add("lamp", "drivesafe")
        client, broker = platform.connect(login), broker_pid(platform)
        server.read_only(url, on=True)
        client.publish(login.topics["telemetry"], json.dumps({"n": 1}), qos=1)
        ran = platform.cli("device", "add", "late", "--dialect", "drivesafe", expect=7)
        assert "read-only" in ran.stderr
        server.read_only(url, on=False)
        wait_until(lambda: platform.stored(login) == 1, "the message", timeout=60)
        assert (platform.up.running, broker_pid(platform)) == (True, broker)
