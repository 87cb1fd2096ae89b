"""Sessions of absent clients whose accounts are removed, at a real broker with a password file.

Mosquitto 2.0 puts such a session into its list of expiring ones a second time. When the client id
is used again, the list keeps a pointer to freed memory, which the broker reads later: at the latest
when it stops.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from mooring.broker.config import BrokerConfig, Listener, PasswordFile, render
from mooring.broker.versions import expires_sessions_once, installed
from mooring.secrets import verifiers
from tests.support.mosquitto import Mosquitto, find_mosquitto
from tests.support.mqtt import MqttClient
from tests.support.ports import free_port

ROUNDS = 10
SECRET = "secret"
NAMES = ("a", "b", "c")
RELOAD_SECONDS = 0.15


def test_the_session_of_a_removed_account_costs_the_broker_nothing(tmp_path: Path) -> None:
    port = free_port()
    verifier = verifiers.make(SECRET)

    def write(*names: str) -> None:
        passwords = tmp_path / "passwd"
        passwords.write_text("".join(f"{name}:{verifier}\n" for name in ("admin", *names)))
        passwords.chmod(0o600)

    def client(name: str, username: str, *, clean: bool) -> MqttClient:
        return MqttClient(port, client_id=name, username=username, password=SECRET, clean=clean)

    write(*NAMES)
    access_list = tmp_path / "acl"
    access_list.write_text("topic readwrite #\n")
    access_list.chmod(0o600)
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        render(
            BrokerConfig(
                listeners=(Listener(port),),
                access=PasswordFile(tmp_path / "passwd", access_list),
                persistence=tmp_path,
                log=tmp_path / "log",
                run_as_root=os.geteuid() == 0,
                sessions_expire=expires_sessions_once(installed(find_mosquitto())),
            )
        )
    )
    with Mosquitto(tmp_path, port=port, config=config) as broker:
        for _ in range(ROUNDS):
            write(*NAMES)
            broker.reload()
            time.sleep(RELOAD_SECONDS)
            for name in NAMES:
                with client(name, name, clean=False) as one:
                    one.subscribe("t/#")
            write("c")
            broker.reload()
            time.sleep(RELOAD_SECONDS)
            for name in ("a", "b"):  # what is left of it is cleared
                with client(name, "admin", clean=True):
                    pass
        assert broker.stop() == 0
