"""Connections are listed when one may have come or gone, and otherwise now and then."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from mooring.broker import sockets
from mooring.broker.sockets import Peer
from mooring.settings import Settings
from mooring.wiring import connection_watch
from mooring.wiring.connection_watch import ANYWAY_SECONDS, ConnectionWatch

LAMP, OTHER = Peer(1883, "127.0.0.1", 4001, 11), Peer(1883, "127.0.0.1", 4002, 12)


class Machine:
    """The system that the watch looks at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.peers: list[Peer] = []
        self.descriptors = 20
        self.listed = 0
        self.pid = 4711
        self.now = 1000.0
        monkeypatch.setattr(sockets, "connections", self._list)
        monkeypatch.setattr(sockets, "count", lambda _pid: self.descriptors)
        monkeypatch.setattr(connection_watch, "time", SimpleNamespace(monotonic=lambda: self.now))
        broker: Any = SimpleNamespace(pid=self.pid)
        app: Any = SimpleNamespace(settings=Settings(), database=None)
        self.watch = ConnectionWatch(app, broker, SimpleNamespace())  # type: ignore[arg-type]
        self.broker = broker

    def _list(self, _ports: object) -> list[Peer]:
        self.listed += 1
        return list(self.peers)

    def look(self, *logged_in: Peer) -> int:
        """How often connections were listed."""
        before = self.listed
        names = {(one.address, one.peer_port) for one in logged_in}
        self.watch._look(names, self.now)
        return self.listed - before


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_nothing_is_listed_while_nothing_comes_or_goes(machine: Machine) -> None:
    machine.peers = [LAMP]
    assert machine.look() == 1
    assert machine.look() == 1, "one that has not logged in is watched"
    assert machine.look(LAMP) == 1
    assert machine.look(LAMP) == 0
    machine.now += ANYWAY_SECONDS - 1
    assert machine.look(LAMP) == 0
    machine.now += 1
    assert machine.look(LAMP) == 1


def test_a_new_descriptor_and_a_new_broker_are_reasons_to_look(machine: Machine) -> None:
    assert [machine.look(), machine.look()] == [1, 0]
    machine.peers, machine.descriptors = [LAMP], 21
    assert [machine.look(), machine.look(LAMP), machine.look(LAMP)] == [1, 1, 0]
    machine.broker.pid += 1
    assert machine.look(LAMP) == 1
    machine.peers, machine.descriptors = [LAMP, OTHER], 22
    assert [machine.look(LAMP), machine.look(LAMP)] == [1, 1]


def test_descriptors_are_counted() -> None:
    before = sockets.count(os.getpid())
    some = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    assert sockets.count(os.getpid()) >= before + 2  # listing them takes one where it must be done
    for one in some:
        os.close(one)
