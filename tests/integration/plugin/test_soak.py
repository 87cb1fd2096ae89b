"""Long runs of the plugin: under valgrind, with sanitizers, and with many accounts at once."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.accounts_db import SERVICE, AccountsDb, Watch, facts
from tests.support.mosquitto import Mosquitto, find_mosquitto
from tests.support.mqtt import MqttClient, Refused
from tests.support.programs import find_program
from tests.support.source import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak

CHANGES = 100_000
VALGRIND = """#!/bin/sh
exec {valgrind} --leak-check=full --show-leak-kinds=definite,indirect --keep-debuginfo=yes \
  --log-file={log} {mosquitto} "$@"
"""


def test_no_leak_over_many_changes(
    tmp_path: Path,
    accounts: AccountsDb,
    start_broker: Callable[..., Mosquitto],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    valgrind = find_program("valgrind", package="valgrind")
    log = tmp_path / "valgrind.log"
    wrapper = tmp_path / "mosquitto"
    mosquitto = os.environ.get("MOORING_TEST_MOSQUITTO") or find_mosquitto()
    wrapper.write_text(VALGRIND.format(valgrind=valgrind, log=log, mosquitto=mosquitto))
    wrapper.chmod(0o755)
    monkeypatch.setenv("MOORING_TEST_MOSQUITTO", str(wrapper))
    broker = start_broker(accounts.path)
    names = [f"pump-{n}" for n in range(50)]
    with MqttClient(
        broker.port, username=SERVICE, password="service", client_id="mooring-w"
    ) as service:
        watch = Watch(service)
        done = turn = 0
        clients: list[MqttClient] = []
        while done < CHANGES:
            turn += 1
            rights = {"publish": (f"t/{turn}",), "subscribe": ("d/#",), "tenant": f"t{turn % 3}"}
            held = [facts(name, max_connections=5, **rights) for name in names]
            seq = accounts.put(*held, epoch=turn // 10)
            if turn % 7 == 0:
                seq = accounts.run([], [None])
            if turn % 20 == 1:
                watch.apply(seq)
            if turn % 200 == 1:  # each client of paho keeps files open, and select takes 1,024
                for client in clients:
                    client.drop()
                some = names[:20]
                clients = [MqttClient(broker.port, username=n, password="secret") for n in some]
                for client in clients:
                    client.connect()
                    client.subscribe("d/#")
                with pytest.raises(Refused):
                    MqttClient(broker.port, username=names[0], password="no").connect()
            accounts.db.execute("DELETE FROM change WHERE seq < ?", (seq - 10_000,))
            done += len(names)
        answer = watch.apply(seq)
        assert answer["changes"] >= CHANGES * 0.9
        for client in clients:
            client.drop()
    broker.stop()
    said = log.read_text()
    assert re.search(r"definitely lost: 0 bytes|All heap blocks were freed", said), said
    assert "ERROR SUMMARY: 0 errors" in said, said


def test_the_sanitizers_find_nothing_in_a_short_time(tmp_path: Path) -> None:
    find_program("clang", package="clang")
    command = [sys.executable, str(ROOT / "scripts/fuzz_plugin.py"), "20"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]


def test_a_hundred_thousand_are_replaced_while_clients_log_in(
    accounts: AccountsDb, broker: Mosquitto, connect: Callable[..., MqttClient], watch: Watch
) -> None:
    names = [f"pump-{n:06d}" for n in range(100_000)]
    accounts.put(*(facts(name, client_id=name) for name in names))
    watch.apply(accounts.run([], [None]))
    chance = random.Random(29)
    clients = [connect(name, client_id=name) for name in names[:300]]
    for turn in range(3):
        with accounts.db:
            accounts.db.execute("BEGIN IMMEDIATE")
            accounts.db.execute("DELETE FROM account WHERE service = 0")
            accounts.db.execute("INSERT INTO change(username) VALUES(NULL)")
            for name in names:
                accounts._write(facts(name, client_id=name), 0, {})
        seq = accounts.db.execute("SELECT max(seq) FROM change").fetchone()[0]
        for name in chance.sample(names[300:], 200):
            with MqttClient(broker.port, username=name, password="secret", client_id=name):
                pass
        watch.apply(seq)
        assert all(client.connected for client in clients), turn
    watch.apply(accounts.run([("UPDATE account SET locked=1 WHERE service=0", ())], [None]))
    wait_until(lambda: not any(c.connected for c in clients), "every client to be disconnected")
