"""Nothing is lost: device and broker killed with -9, the network cut, at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_certificates import make
from device_servers import QUICK, Mosquitto, Platform, credentials, free_port, until
from mooring_device import Credentials, Device, Options, Tls
from mooring_device.store import Store

HERE = Path(__file__).parent


class Child:
    """A device process and what it has been told is on disk: number → reading."""

    def __init__(self, store: Path, port: int, count: int, prefix: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(HERE / "busy_device.py"),
                str(store),
                str(port),
                str(count),
                prefix,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.durable: dict[int, str] = {}
        self.done = False
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "done\n":
                self.done = True
            elif line.endswith("\n"):
                seq, text = line.split()
                self.durable[int(seq)] = text

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)


def test_kill_9_in_mid_write_loses_nothing_and_repeats_no_number(tmp_path: Path) -> None:
    draw = random.Random(1)
    told: dict[int, str] = {}
    highest = 0
    for round_ in range(6):
        child = Child(tmp_path, 0, 10**6, str(round_))
        until(lambda child=child: len(child.durable) > 50, "it writes")
        time.sleep(draw.random() * 0.3)
        child.kill()
        assert min(child.durable) > highest  # strictly rising over every death
        highest = max(child.durable)
        told.update(child.durable)
    store = Store(tmp_path / "queue.db")
    held = store.run(lambda t: t.read(1, 10**9, 10**7))
    store.close()
    found = {h.seq: json.loads("{" + h.rest)["values"]["n"] for h in held}
    assert {seq: found.get(seq) for seq in told} == told
    assert [h.seq for h in held] == sorted({h.seq for h in held})
    assert len(set(found.values())) == len(found)
    print(f"\n{len(told)} readings acknowledged over 6 kills, {len(held)} found, 0 missing")


def test_a_broker_killed_with_9_costs_nothing(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    draw = random.Random(2)
    with Device(credentials(broker.port), store=tmp_path, options=QUICK) as device:
        assert device.wait_connected(10)
        stop = threading.Event()
        published: list[int] = []

        def measure() -> None:
            while not stop.is_set():
                published.append(device.publish({"n": len(published)}) or 0)
                time.sleep(0.001)

        thread = threading.Thread(target=measure)
        thread.start()
        for _ in range(4):
            time.sleep(draw.random() * 0.2)
            until(lambda: device.connected and device.queued < 50, "there is room on the way")
            platform.leave()  # so that the broker has taken on what nobody has stored
            before = device.stats()["sent"]
            until(lambda before=before: device.stats()["sent"] > before + 50, "the broker has them")
            broker.kill()
            time.sleep(draw.random() * 0.2)
            broker.start()
            platform.come()
        stop.set()
        thread.join()
        assert device.wait_drained(60), device.stats()
        stats = device.stats()
    repeats = stats["sent"] + stats["resent"] - len(published)
    assert repeats > 4 * 50  # each kill took what the broker had acknowledged
    missing = set(published) - set(platform.stored)
    assert missing == set()
    assert [platform.stored[seq]["values"]["n"] for seq in sorted(published)] == list(
        range(len(published))
    )
    print(f"\n{len(published)} readings, broker killed 4 times, 0 missing, {repeats} repeats")


def test_both_killed_with_9_at_random(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    draw = random.Random(3)
    told: dict[int, str] = {}
    for round_ in range(4):
        child = Child(tmp_path, broker.port, 10**6, str(round_))
        until(lambda child=child: len(child.durable) > 30, "it writes")
        time.sleep(draw.random() * 0.4)
        if round_ % 2:
            broker.kill()
            time.sleep(draw.random() * 0.2)
            child.kill()
            broker.start()
        else:
            child.kill()
        told.update(child.durable)
    last = Child(tmp_path, broker.port, 20, "last")
    until(lambda: last.done, "everything has its receipt", 60)
    last.process.wait(30)
    told.update(last.durable)
    stored = {seq: body["values"]["n"] for seq, body in platform.stored.items()}
    assert {seq: stored.get(seq) for seq in told} == told
    assert len(set(stored.values())) == len(stored)
    print(f"\n{len(told)} readings acknowledged, device killed 4 and broker 2 times, 0 missing")


# ------------------------------------------------------------------ the network


class Proxy:
    """A TCP proxy that can cut, stall and half-close what goes through it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.refuse = False
        self.stalled = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.refuse:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select(0.2):
                    while self.stalled.is_set():
                        time.sleep(0.01)
                    try:
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            raise ConnectionResetError
                        key.data.sendall(data)
                    except OSError:
                        near.close()
                        far.close()
                        return

    def cut(self) -> None:
        for near, far in self._pairs:
            for sock in (near, far):
                with contextlib.suppress(OSError):  # that end may be gone already
                    sock.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def half_close(self) -> None:
        for near, _ in self._pairs:
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()
        self.cut()


@pytest.fixture
def proxy(broker: Mosquitto) -> Iterator[Proxy]:
    one = Proxy(broker.port)
    yield one
    one.close()


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[tuple[Mosquitto, int, Tls]]:
    """A broker with a TLS listener, and a plain one (the number) for the platform."""
    folder = tmp_path / "tls-broker"
    folder.mkdir()
    ca = make("The test CA", ca=True)
    cert, key = make("127.0.0.1", ca).write(folder, "server")
    plain = free_port()
    server = Mosquitto(
        folder,
        f"certfile {cert}",
        f"keyfile {key}",
        "allow_anonymous true",
        f"listener {plain} 127.0.0.1",
    )
    yield server, plain, Tls(ca_pem=ca.pem)
    server.stop()


def test_the_network_is_cut_twenty_times(proxy: Proxy, platform: Platform, tmp_path: Path) -> None:
    cut_twenty_times(credentials(proxy.port), proxy, platform, tmp_path / "store")


def test_the_network_is_cut_twenty_times_under_tls(
    tls_broker: tuple[Mosquitto, int, Tls], tmp_path: Path
) -> None:
    broker, plain, tls = tls_broker
    proxy, platform = Proxy(broker.port), Platform(plain)
    try:
        where = credentials(proxy.port, tls=tls)
        cut_twenty_times(where, proxy, platform, tmp_path / "store")
    finally:
        platform.close()
        proxy.close()


def cut_twenty_times(where: Credentials, proxy: Proxy, platform: Platform, store: Path) -> None:
    draw = random.Random(4)
    device = Device(where, store=store, options=QUICK)
    for i in range(3_000):  # a backlog from before
        device.publish({"n": i}, wait=False)
    device.flush()
    number = 3_000
    with device:
        for cut in range(20):
            until(lambda cut=cut: device.stats()["sessions"] > cut, "connected again")
            for _ in range(20):
                device.publish({"n": number}, wait=False)
                number += 1
            time.sleep(draw.random() * 0.08)
            proxy.refuse = draw.random() < 0.5
            (proxy.half_close if cut % 5 == 0 else proxy.cut)()
            time.sleep(draw.random() * 0.05)
            proxy.refuse = False
        assert device.wait_drained(60), device.stats()
        stats = device.stats()
    assert sorted(platform.stored) == list(range(1, number + 1))
    assert [platform.stored[i]["values"]["n"] for i in range(1, number + 1)] == list(range(number))
    assert stats["sessions"] >= 20
    print(f"\n{number} readings, 20 cuts, {stats['sessions']} sessions, 0 missing")


def test_a_connection_that_is_dead_without_a_word_is_given_up(
    proxy: Proxy, platform: Platform, tmp_path: Path
) -> None:
    options = Options(**{**QUICK.__dict__, "keepalive": 1, "connect_timeout": 1.0})
    with Device(credentials(proxy.port), store=tmp_path, options=options) as device:
        assert device.wait_connected(10)
        proxy.stalled.set()
        device.publish({"n": 1})
        until(lambda: not device.connected, "keepalive sees it")
        proxy.cut()
        proxy.stalled.clear()
        assert device.wait_drained(20), device.stats()
    assert list(platform.stored) == [1]


# ------------------------------------------------------------------ settings and commands


def guarded(store: Path, port: int, step: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "guarded_device.py"), str(store), str(port), str(step)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )


# Of about ten steps each; the long form tries all of them.
EVERY = [pytest.param(n, marks=() if n in (4, 7) else pytest.mark.soak) for n in range(1, 13)]


@pytest.mark.parametrize("step", EVERY)
def test_a_device_killed_at_a_step_of_guarded_settings_ends_with_them(
    broker: Mosquitto, platform: Platform, tmp_path: Path, step: int
) -> None:
    platform.say("config", {"version": 2, "config": {"n": 2}, "guard_s": 300}, retain=True)
    first = guarded(tmp_path, broker.port, step)
    until(
        lambda: first.poll() is not None or platform.of("config/reported"),
        "its death or its report",
    )
    first.kill()
    out, _ = first.communicate(timeout=10)
    again = guarded(tmp_path, broker.port, 0)
    try:
        until(lambda: platform.of("config/reported"), "the report")
    finally:
        again.kill()
        later, _ = again.communicate(timeout=10)
    assert {(one["version"], one["ok"]) for one in platform.of("config/reported")} == {(2, True)}
    assert set((out + later).split("\n")) == {"config 2", ""}


@pytest.mark.parametrize("step", [pytest.param(n, id=str(n)) for n in (1, 2, 3)])
def test_a_device_killed_at_a_step_of_a_command_runs_it_at_most_once_and_answers(
    broker: Mosquitto, platform: Platform, tmp_path: Path, step: int
) -> None:
    """Killed before its handler, after it, and before the reply is on disk."""
    first = guarded(tmp_path, broker.port, step)
    until(lambda: platform.of("status"), "it is there")
    platform.say("command/open", {"id": "c", "args": {"n": 1}})
    until(lambda: first.poll() is not None, "its death")
    out, _ = first.communicate(timeout=10)
    again = guarded(tmp_path, broker.port, 0)
    try:
        (reply,) = until(lambda: platform.of("reply"), "the reply")
    finally:
        again.kill()
        later, _ = again.communicate(timeout=10)
    # It had begun: what it did is not known, so it is not done a second time.
    assert (reply["id"], reply["ok"]) == ("c", False)
    assert "restarted" in reply["error"]
    assert (out + later).count("open 1") <= 1
