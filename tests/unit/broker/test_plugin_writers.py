"""Several processes write the accounts file: the last to write has read last."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.broker.file_lock import FileLock
from mooring.broker.plugin_file import AccountsFile
from mooring.broker.protocol import Current, DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers

SERVICE = Account("service:mooring", verifiers.make("x"), Rights(("#",), ("#",)))
LAMP = Account("lamp", verifiers.make("one"), Rights(("lamp/up",), ()))


class Database:
    """One account that others change, and who reads it while the file is locked."""

    def __init__(self) -> None:
        self.account: Account | None = LAMP
        self.order: list[str] = []

    def read(self, who: str, usernames: Sequence[str]) -> Current:
        self.order.append(f"{who} reads")
        account = self.account
        return Current([account] if account is not None and account.username in usernames else [])


def opened(path: Path) -> AccountsFile:
    return AccountsFile(path, SERVICE)


def locked(file: AccountsFile) -> bool | None:
    found = file.account("lamp")
    return None if found is None else bool(found[0].locked)


def overtaken(path: Path, begin: str) -> Database:
    """One process has read and not written yet, when the account changes and another begins."""
    database, first_has_read, go_on = Database(), threading.Event(), threading.Event()

    def slowly(usernames: Sequence[str]) -> Current:
        current = database.read("first", usernames)
        first_has_read.set()
        assert go_on.wait(20)
        return current

    def first() -> None:
        file = opened(path)
        if begin == "refresh":
            file.refresh(["lamp"], slowly)
        else:
            file.renew(lambda: slowly(["lamp"]).accounts)
        database.order.append("first has written")
        file.close()

    def second() -> None:
        file = opened(path)
        file.refresh(["lamp"], lambda names: database.read("second", names))
        file.close()

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert first_has_read.wait(20)
    database.account = replace(LAMP, locked=True)
    threads.append(threading.Thread(target=second))
    threads[1].start()
    threads[1].join(0.2)  # it must wait, however long
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join(20)
    return database


@pytest.mark.parametrize("begin", ["refresh", "renew", "renew a lost file"])
def test_what_was_read_earlier_is_not_written_later(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "accounts.db"
    file = opened(path)
    file.replace([LAMP])
    if begin == "renew a lost file":
        file.close()
        path.unlink()
    database = overtaken(path, begin.partition(" ")[0])
    assert database.order[-1] == "second reads"
    assert locked(file) is True
    file.close()


def test_one_transaction_brings_removes_and_kicks(tmp_path: Path) -> None:
    file = opened(tmp_path / "accounts.db")
    fan, pump = replace(LAMP, username="fan"), replace(LAMP, username="pump")
    file.replace([LAMP, fan, pump])
    before = file.number()
    current = Current([replace(LAMP, locked=True)], {"pump": "it has to wait"})
    number, read = file.refresh(["lamp", "fan", "pump"], lambda _names: current, ["pump"])
    assert (number - before, read.waiting) == (3, {"pump": "it has to wait"})
    assert locked(file) is True
    assert file.account("fan") is None
    found = file.account("pump")
    assert found is not None
    assert found[0].epoch > before
    file.close()


def test_only_what_differs_now_is_a_difference(tmp_path: Path) -> None:
    file = opened(tmp_path / "accounts.db")
    file.replace([LAMP, replace(LAMP, username="fan"), replace(LAMP, username="gone")])
    stale = file.compare([replace(LAMP, locked=True), replace(LAMP, username="new"), SERVICE])
    assert {(d.kind, d.username) for d in stale} == {
        (DifferenceKind.WRONG_RIGHTS, "lamp"),
        (DifferenceKind.MISSING, "new"),
        (DifferenceKind.EXTRA, "fan"),
        (DifferenceKind.EXTRA, "gone"),
    }
    now = Current([LAMP, replace(LAMP, username="fan")])
    found = file.differing([d.username for d in stale], lambda _names: now)
    assert [(d.kind, d.username) for d in found] == [(DifferenceKind.EXTRA, "gone")]
    file.close()


def test_a_client_id_moves_between_pages(tmp_path: Path) -> None:
    """The account that gives it up is in a later page than the one that gets it."""
    file = opened(tmp_path / "accounts.db")
    many = [replace(LAMP, username=f"a{n:04}", client_id=f"id{n}") for n in range(600)]
    file.replace(many)
    many[0], many[599] = (
        replace(many[0], client_id="id599"),
        replace(many[599], client_id="id0"),
    )
    file.replace(many)
    held, _ = file.held()
    assert (held["a0000"].client_id, held["a0599"].client_id) == ("id599", "id0")
    assert file.compare([*many, SERVICE]) == []
    # An account that is right already does not lose its client id to one that comes later.
    file.replace([*many, replace(LAMP, username="thief", client_id="id1")])
    held, _ = file.held()
    assert (held["a0001"].client_id, held["thief"].client_id) == ("id1", None)
    file.close()


def test_a_file_that_another_process_holds_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path, 1).held():
        with pytest.raises(BrokerUnavailable) as caught, FileLock(path, 0.01).held():
            raise AssertionError("two processes held it")
        assert caught.value.slug == "accounts_file_busy"
    with FileLock(path, 0.01).held():
        pass
