"""The fixtures themselves: each real server starts, does what tests rely on, and ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from mooring import __version__
from tests.support.cli import Cli
from tests.support.forking import Forking
from tests.support.mosquitto import Mosquitto, listening
from tests.support.mqtt import MqttClient, Refused
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.processes import Child
from tests.support.programs import MissingProgram, find_program
from tests.support.waiting import wait_until

StartMosquitto = Callable[..., Mosquitto]
ConnectClient = Callable[..., MqttClient]


class TestPrograms:
    def test_a_missing_program_is_an_error_that_says_how_to_install_it(self) -> None:
        with pytest.raises(MissingProgram) as caught:
            find_program("no-such-server", package="no-such-package")
        assert "no-such-server is not on this machine" in str(caught.value)
        assert "sudo apt-get install no-such-package" in str(caught.value)
        assert "brew install no-such-package" in str(caught.value)
        assert "scripts/setup.sh --for test" in str(caught.value)

    def test_the_newest_version_in_the_usual_places_wins(self, tmp_path: Path) -> None:
        for version in ("9", "16", "15"):
            place = tmp_path / version / "bin"
            place.mkdir(parents=True)
            (place / "some-server").touch()
        found = find_program("some-server", package="x", places=(f"{tmp_path}/*/bin",))
        assert found == tmp_path / "16" / "bin" / "some-server"


class TestPorts:
    def test_ports_differ_and_can_be_bound(self) -> None:
        ports = [free_port() for _ in range(20)]
        assert len(set(ports)) == 20
        with socket.create_server(("127.0.0.1", ports[0])):
            assert listening(ports[0])
        assert not listening(ports[1])

    def test_a_port_in_use_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", free_port())) as taken:
            port = taken.getsockname()[1]
            free = free_port()
            monkeypatch.setattr("tests.support.ports._candidates", iter([port, free]))
            assert free_port() == free


class TestWaiting:
    def test_it_returns_what_became_true(self) -> None:
        answers = iter(["", "", "yes"])
        assert wait_until(lambda: next(answers), "yes") == "yes"

    def test_it_names_what_did_not_happen(self) -> None:
        with pytest.raises(TimeoutError, match=r"Waited 0\.1 s for rain\."):
            wait_until(lambda: False, "rain", timeout=0.1)


class TestChild:
    def test_output_and_exit_code(self, tmp_path: Path) -> None:
        child = Child([sys.executable, "-c", "print('hello'); exit(3)"], tmp_path / "log")
        assert "hello" in child.wait_for_log("hello")
        assert child.end() in {3, -15}  # it may have ended by itself already
        assert not child.running

    def test_a_process_that_ends_too_early_shows_its_log(self, tmp_path: Path) -> None:
        child = Child([sys.executable, "-c", "print('cannot')"], tmp_path / "log")
        with pytest.raises(AssertionError, match="ended with 0 before it printed 'ready':\ncannot"):
            child.wait_for_log("ready")

    def test_one_that_will_not_end_is_killed_and_reported(self, tmp_path: Path) -> None:
        deaf = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            " print('up', flush=True); time.sleep(600)"
        )
        child = Child([sys.executable, "-c", deaf], tmp_path / "log")
        child.wait_for_log("up")
        with pytest.raises(AssertionError, match=r"did not end within 0\.2 s of SIGTERM"):
            child.end(timeout=0.2)
        assert not child.running

    def test_what_it_started_ends_with_it(self, tmp_path: Path) -> None:
        port = free_port()
        server = (
            f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
        )
        parent = (
            "import subprocess, sys, time;"
            f" subprocess.Popen([sys.executable, '-c', {server!r}]); time.sleep(600)"
        )
        child = Child([sys.executable, "-c", parent], tmp_path / "log")
        wait_until(lambda: listening(port), "the grandchild to listen")
        child.end()
        wait_until(lambda: not listening(port), "the grandchild to end")


class TestMosquitto:
    def test_a_broker_starts_carries_a_message_and_ends(
        self, tmp_path: Path, mosquitto_binary: Path
    ) -> None:
        with Mosquitto(tmp_path / "broker", binary=mosquitto_binary) as broker:
            assert listening(broker.port)
            with MqttClient(broker.port) as reader, MqttClient(broker.port) as writer:
                reader.subscribe("home/+")
                writer.publish("home/a", b"1")
                writer.publish("home/b", "2", qos=0)
                assert [(m.topic, m.payload) for m in reader.collect(2)] == [
                    ("home/a", b"1"),
                    ("home/b", b"2"),
                ]
                assert reader.waiting() == []
            assert "Received PUBLISH from" in broker.log()
        assert not broker.running
        assert not listening(broker.port)

    def test_it_ends_when_the_test_fails(self, tmp_path: Path) -> None:
        broker = Mosquitto(tmp_path / "broker")
        with pytest.raises(ZeroDivisionError), broker:
            assert broker.running
            raise ZeroDivisionError
        assert not broker.running

    def test_the_lines_given_are_in_force(
        self, tmp_path: Path, start_mosquitto: StartMosquitto
    ) -> None:
        passwords = tmp_path / "passwords"
        passwords.touch(mode=0o600)
        broker = start_mosquitto(f"password_file {passwords}")
        with pytest.raises(Refused) as caught:
            MqttClient(broker.port, username="nobody", password="x").connect()
        assert caught.value.reason == "Not authorized"

    def test_a_line_it_does_not_know_is_shown(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="no_such_option"):
            Mosquitto(tmp_path / "broker", "no_such_option 1").start()

    def test_a_port_taken_at_the_last_moment_is_replaced(self, tmp_path: Path) -> None:
        broker = Mosquitto(tmp_path / "broker")
        with socket.create_server(("127.0.0.1", broker.port)) as thief, broker:
            assert broker.port != thief.getsockname()[1]
            assert listening(broker.port)

    def test_reload_restart_and_kill(self, broker: Mosquitto) -> None:
        broker.reload()
        broker.wait_for_log("Reloading config")
        port, pid = broker.port, broker.pid
        broker.restart()
        assert (broker.port, broker.running) == (port, True)
        assert broker.pid != pid
        broker.kill()
        assert not broker.running

    def test_a_whole_configuration_file(
        self, tmp_path: Path, start_mosquitto: StartMosquitto
    ) -> None:
        port = free_port()
        config = tmp_path / "own.conf"
        config.write_text(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        assert start_mosquitto(config=config, port=port).port == port
        assert listening(port)


class TestMqttClient:
    def test_messages_that_do_not_come_are_an_error(
        self, broker: Mosquitto, mqtt_client: ConnectClient
    ) -> None:
        client = mqtt_client(broker.port)
        client.subscribe("a")
        client.publish("a", b"only one")
        with pytest.raises(AssertionError, match=r"1 of 2 messages came .*only one"):
            client.collect(2, timeout=0.3)

    def test_a_dropped_connection_leaves_its_last_will(
        self, broker: Mosquitto, mqtt_client: ConnectClient
    ) -> None:
        watcher = mqtt_client(broker.port)
        watcher.subscribe("dev/status")
        device = mqtt_client(broker.port, will=("dev/status", b"gone", 1, False))
        device.drop()
        assert watcher.collect()[0].payload == b"gone"

    def test_a_session_that_is_kept(self, broker: Mosquitto, mqtt_client: ConnectClient) -> None:
        first = mqtt_client(broker.port, client_id="keeper", clean=False)
        assert not first.session_present
        first.subscribe("a")
        first.disconnect()
        mqtt_client(broker.port).publish("a", b"while away")
        second = mqtt_client(broker.port, client_id="keeper", clean=False)
        assert second.session_present
        assert second.collect()[0].payload == b"while away"

    def test_a_broker_that_dies_ends_the_wait(
        self, broker: Mosquitto, mqtt_client: ConnectClient
    ) -> None:
        client = mqtt_client(broker.port)
        broker.kill()
        client.wait_for_disconnect()
        with pytest.raises(AssertionError):
            client.publish("a", b"1")

    def test_nobody_listens(self) -> None:
        with pytest.raises(ConnectionRefusedError):
            MqttClient(free_port()).connect()


class TestPostgres:
    def test_databases_are_new_and_apart(
        self, postgres_server: Postgres, database_url: str
    ) -> None:
        other = postgres_server.create_database()
        with psycopg.connect(database_url) as here, psycopg.connect(other) as there:
            here.execute("CREATE TABLE things (id int)")
            here.commit()
            assert there.execute("SELECT to_regclass('things')").fetchone() == (None,)
            assert here.execute("SHOW fsync").fetchone() == ("off",)
            postgres_server.drop_database(other)  # although somebody is connected
            with pytest.raises(psycopg.OperationalError):
                there.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(other)

    def test_the_password_is_asked_for(self, postgres_url: str) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres_url, password="wrong")

    def test_nothing_is_left_of_a_server(self) -> None:
        with Postgres() as server:
            directory = server._directory
            assert directory is not None
            assert directory.exists()
            with psycopg.connect(server.url) as connection:
                assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert not server.running
        assert not directory.exists()

    def test_both_engines(self, any_database_url: str) -> None:
        assert any_database_url.startswith(("sqlite:///", "postgresql://"))


class TestCli:
    def test_the_real_program_answers(self, run_cli: Cli) -> None:
        assert __version__ in run_cli("--version").stdout

    def test_an_unexpected_exit_code_shows_all_it_said(self, run_cli: Cli) -> None:
        with pytest.raises(AssertionError, match="mooring no-such-command ended with"):
            run_cli("no-such-command")
        assert run_cli("no-such-command", expect=None).rc != 0

    def test_settings_of_the_machine_do_not_reach_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOORING_HTTP_PORT", "1")
        monkeypatch.setenv("MQTT_PASSWORD", "secret")
        cli = Cli(tmp_path / "data", {"MOORING_LOG_LEVEL": "debug"})
        assert "MOORING_HTTP_PORT" not in cli.env
        assert "MQTT_PASSWORD" not in cli.env
        assert cli.env["MOORING_LOG_LEVEL"] == "debug"
        assert cli.env["MOORING_DATA_DIR"] == str(tmp_path / "data")

    def test_a_forked_command_is_the_command_started(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        forked = Cli(tmp_path / "data")
        started = Cli(tmp_path / "data", {"TERM": "of-a-terminal-that-nobody-has"})
        for words in (["--version"], ["device", "list"], ["no-such-command"], ["--help"]):
            one, other = (cli(*words, expect=None) for cli in (forked, started))
            assert (one.rc, one.stdout, one.stderr) == (other.rc, other.stdout, other.stderr)

    def test_a_shell_s_command_is_forked_and_ends_as_the_program_does(self, tmp_path: Path) -> None:
        env = Cli(tmp_path / "data").env
        forking = Forking.for_environment(env)
        assert forking is not None
        channel = forking.for_shells(tmp_path)
        script = "mooring --version | cat; mooring no-such-command || echo $?; mooring --version"
        done = subprocess.run(
            ["bash", "-c", script],
            env=env | {"PATH": f"{tmp_path}{os.pathsep}{env['PATH']}"},
            pass_fds=[channel],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == f"mooring {__version__}\n2\nmooring {__version__}\n"
        assert "no-such-command" in done.stderr

    def test_commands_in_parallel_get_their_own_answers(self, tmp_path: Path) -> None:
        names = [f"nobody-{number}" for number in range(8)]

        def refused(name: str) -> str:
            return Cli(tmp_path)(name, expect=2).stderr

        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(refused, names))
        assert all(name in answer for name, answer in zip(names, answers, strict=True))

    def test_a_command_that_does_not_end_is_killed(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
            cli = Cli(tmp_path / "data", {"MOORING_DATABASE_URL": url})
            with pytest.raises(subprocess.TimeoutExpired):
                cli("device", "list", timeout=0.3)
