"""The accounts file missing, damaged, locked, replaced: nobody who was accepted is put out, nobody
new gets in wrongly, and it is told."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.support.accounts_db import SERVICE, AccountsDb, Watch, facts
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient, Refused
from tests.support.waiting import wait_until

Connect = Callable[..., MqttClient]


def refused(connect: Connect, *words: str, **options: object) -> None:
    with pytest.raises(Refused):
        connect(*words, **options)


def until(watch: Watch, state: str) -> dict[str, object]:
    """Pokes until the file is in this state."""
    answer: dict[str, object] = {}

    def there() -> bool:
        answer.update(watch.poke())
        return answer["file"] == state

    wait_until(there, f"the file to be {state}")
    return answer


def remove(accounts: AccountsDb) -> None:
    _replace(accounts, b"")
    accounts.path.unlink()


def tear(accounts: AccountsDb) -> None:
    accounts.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    half = accounts.path.read_bytes()[:6000]
    _replace(accounts, half)


def empty(accounts: AccountsDb) -> None:
    _replace(accounts, b"")


def scribble(accounts: AccountsDb) -> None:
    _replace(accounts, b"no database at all, " * 1000)


def newer(accounts: AccountsDb) -> None:
    accounts.db.execute("PRAGMA user_version = 2")
    accounts.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _replace(accounts, accounts.path.read_bytes())


def folder(accounts: AccountsDb) -> None:
    remove(accounts)
    accounts.path.mkdir()


def _replace(accounts: AccountsDb, content: bytes) -> None:
    other = accounts.path.with_suffix(".other")
    other.write_bytes(content)
    accounts.close()
    for log in ("-wal", "-shm"):
        Path(f"{accounts.path}{log}").unlink(missing_ok=True)
    other.replace(accounts.path)


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (remove, "missing"),
        (tear, "corrupt"),
        (empty, "format"),
        (scribble, "corrupt"),
        (newer, "format"),
        (folder, "unreadable"),
    ],
)
def test_a_spoilt_file_puts_nobody_out_and_lets_nobody_in(
    accounts: AccountsDb,
    connect: Connect,
    watch: Watch,
    spoil: Callable[[AccountsDb], None],
    state: str,
) -> None:
    accounts.put(*(facts(f"more-{n}", publish=("y" * n,)) for n in range(200)))
    watch.apply(accounts.put(facts("pump", publish=("x",)), facts("fan")))
    pump = connect("pump", client_id="p", protocol=MQTTProtocolVersion.MQTTv5)
    spoil(accounts)
    until(watch, state)
    assert watch.event("trouble", why=state)["detail"]
    pump.publish("x", b"")  # goes on
    with pytest.raises(Refused):
        pump.publish("z", b"")
    pump.disconnect()
    connect("pump", client_id="p").disconnect()  # known by its password, on its client id
    refused(connect, "pump", "wrong", client_id="p")
    assert watch.event("refused", user="pump")["why"] == "wrong_password"
    refused(connect, "pump", client_id="another")  # may belong to somebody by now
    refused(connect, "fan")
    assert watch.event("refused", user="fan")["why"] == "accounts_unreadable"

    if accounts.path.is_dir():
        accounts.path.rmdir()
    fresh = AccountsDb(accounts.path.with_suffix(".fresh"))
    fresh.put(facts("fan"))
    fresh.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fresh.close()
    fresh.path.replace(accounts.path)
    until(watch, "ok")
    watch.event("trouble", why="recovered")
    connect("fan", client_id="f")
    refused(connect, "pump", client_id="p")
    assert watch.event("refused", why="unknown_username")["user"] == "pump"


def test_a_broker_starts_without_its_file_and_finds_it_later(
    tmp_path: Path, start_broker: Callable[..., Mosquitto]
) -> None:
    path = tmp_path / "later.db"
    port = start_broker(path).port
    with pytest.raises(Refused), MqttClient(port, username=SERVICE, password="service"):
        pass
    db = AccountsDb(path)

    def accepted() -> bool:
        try:
            with MqttClient(port, username=SERVICE, password="service", client_id="mooring-w"):
                return True
        except Refused:
            return False

    wait_until(accepted, "the broker to find its accounts")
    db.close()


def test_a_locked_file_refuses_new_logins_and_waits_for_no_one(
    tmp_path: Path, start_broker: Callable[..., Mosquitto], connect: Connect
) -> None:
    accounts = AccountsDb(tmp_path / "locked.db", journal="DELETE")  # in it a writer locks readers
    accounts.put(facts("pump", publish=("x",)), facts("fan"))
    port = start_broker(accounts.path).port
    watch = Watch(connect(SERVICE, "service", port=port, client_id="mooring-w"))
    pump = connect("pump", port=port, client_id="p")
    accounts.db.execute("BEGIN EXCLUSIVE")
    until(watch, "busy")
    pump.publish("x", b"")
    connect("pump", port=port, client_id="p")
    refused(connect, "fan", port=port)
    assert watch.event("refused", user="fan")["why"] == "accounts_unreadable"
    accounts.db.execute("COMMIT")
    until(watch, "ok")
    connect("fan", port=port, client_id="f")
    accounts.close()


def test_a_writer_in_the_middle_keeps_nobody_waiting(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump")))
    accounts.db.execute("BEGIN IMMEDIATE")
    accounts.db.execute("UPDATE account SET locked = 1 WHERE username = 'pump'")
    assert watch.poke()["file"] == "ok"
    connect("pump")  # what is not committed does not count
    accounts.db.execute("ROLLBACK")


def test_an_older_file_in_its_place_is_noticed(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    """A backup was restored: the change numbers go back, and nothing held counts."""
    accounts.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = accounts.path.with_suffix(".backup")
    with sqlite3.connect(backup) as copy:
        accounts.db.backup(copy)
    watch.apply(accounts.put(facts("pump"), facts("fan")))
    pump = connect("pump", client_id="p")
    with sqlite3.connect(backup) as copy:
        copy.backup(accounts.db)
    pump.wait_for_disconnect()
    assert watch.event("gone", user="pump")["why"] == "removed"
    refused(connect, "fan")
    accounts.put(facts("fan"))
    watch.apply()
    connect("fan")


def test_rows_that_were_dropped_before_they_were_seen_count_as_everything(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump")))
    pump = connect("pump", client_id="p")
    statements = [
        ("DELETE FROM account WHERE username = 'pump'", ()),
        ("INSERT INTO change(username) VALUES('pump')", ()),
        ("DELETE FROM change", ()),
    ]
    watch.apply(accounts.run(statements, ["somebody"]))
    pump.wait_for_disconnect()


def test_two_brokers_read_one_file(
    accounts: AccountsDb, start_broker: Callable[..., Mosquitto], connect: Connect
) -> None:
    watches = []
    for number in range(2):
        port = start_broker(accounts.path).port
        client = connect(SERVICE, "service", port=port, client_id=f"mooring-{number}")
        watches.append((port, Watch(client)))
    seq = accounts.put(facts("pump"))
    for port, watch in watches:
        watch.apply(seq)
        connect("pump", port=port, client_id="p")
    seq = accounts.remove("pump")
    for _, watch in watches:
        watch.apply(seq)
        assert watch.event("gone", user="pump")["why"] == "removed"
    assert watches[0][1].seen[0]["boot"] != watches[1][1].seen[0]["boot"]


def test_the_folder_may_be_read_only(
    accounts: AccountsDb, connect: Connect, watch: Watch, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    accounts.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(accounts.path, copy)
    copy.chmod(0o400)
    copy.replace(accounts.path)
    assert until(watch, "ok")["seq"] == 1
