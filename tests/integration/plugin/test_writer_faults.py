"""What goes wrong with the accounts file on the side that writes it, with brokers that read it:
nobody who was accepted is put out, nobody gets in wrongly, and the next attempt brings it in."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.broker.connection import Endpoint
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.plugin_control import UNUSABLE
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from tests.support.accounts_db import verifier
from tests.support.disk import on_small_disk
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient, Refused
from tests.support.source import ROOT
from tests.support.waiting import wait_until

StartBroker = Callable[..., Mosquitto]
SERVICE = Account("service:mooring", verifier("service"), Rights(("#",), ("#",)))


def lamp(name: str, password: str = "secret", **more: object) -> Account:  # noqa: S107
    rights = Rights((f"m/{name}/up",), (f"m/{name}/down",))
    account = Account(name, verifier(password), rights, client_id=name, values=(name,))
    return replace(account, **more)  # type: ignore[arg-type]


class Side:
    """One platform: what writes the file, and the broker that reads it."""

    def __init__(self, path: Path, start: StartBroker) -> None:
        self.path = path
        asyncio.run(self._first())
        self.broker = start(path)

    async def _first(self) -> None:
        authority = PluginAuthority(self.path, SERVICE, endpoint=None)
        if not self.path.exists():
            await authority.replace([])
        await authority.close()

    def run(self, body: Callable[[PluginAuthority], Awaitable[None]]) -> None:
        async def main() -> None:
            endpoint = Endpoint(
                port=self.broker.port, username=SERVICE.username, password="service"
            )
            authority = PluginAuthority(self.path, SERVICE, endpoint=endpoint)
            try:
                await body(authority)
            finally:
                await authority.close()

        asyncio.run(main())

    def client(self, name: str, password: str = "secret") -> MqttClient:  # noqa: S107
        client = MqttClient(self.broker.port, client_id=name, username=name, password=password)
        return client.connect()

    def accepts(self, name: str, password: str = "secret") -> bool:  # noqa: S107
        try:
            self.client(name, password).disconnect()
        except Refused:
            return False
        return True


@pytest.fixture
def side(tmp_path: Path, start_broker: StartBroker) -> Side:
    return Side(tmp_path / "accounts.db", start_broker)


def test_two_platforms_write_one_file(side: Side, start_broker: StartBroker) -> None:
    """Each with a broker of its own, turn about and at once: both know everything."""
    other = Side(side.path, start_broker)

    async def both(mine: PluginAuthority) -> None:
        endpoint = Endpoint(port=other.broker.port, username=SERVICE.username, password="service")
        theirs = PluginAuthority(side.path, SERVICE, endpoint=endpoint)
        for turn in range(10):
            await mine.put([lamp(f"a{turn}")])
            await theirs.put([lamp(f"b{turn}", rights=Rights((f"only/{turn}",), ()))])
        await asyncio.gather(
            *(
                one.put([lamp(f"{n}-{turn}")])
                for turn in range(10)
                for n, one in (("c", mine), ("d", theirs))
            )
        )
        every = await mine.usernames()
        assert every == await theirs.usernames()
        assert len(every) == 40
        await theirs.remove(["a0"])
        await mine.control.in_force(mine._file.number())  # type: ignore[union-attr]
        await theirs.close()

    side.run(both)
    for one in (side, other):
        assert one.accepts("a9")
        assert one.accepts("b0")
        assert one.accepts("d-9")
        assert not one.accepts("a0")


def test_a_database_restored_from_a_backup(side: Side) -> None:
    """What came after the backup is out, what was changed since is as it was, and numbers grow."""
    backup = [lamp("kept"), lamp("changed"), lamp("removed-since")]

    async def since(authority: PluginAuthority) -> None:
        await authority.replace(backup)
        await authority.put([lamp("changed", "new"), lamp("added-since")])
        await authority.remove(["removed-since"])

    side.run(since)
    clients = {"kept": side.client("kept"), "added-since": side.client("added-since")}
    clients["changed"] = side.client("changed", "new")
    number = []

    async def restored(authority: PluginAuthority) -> None:
        number.append(authority._file.number())
        await authority.replace(backup)
        number.append(authority._file.number())
        assert await authority.compare(backup) == []

    side.run(restored)
    assert number[1] > number[0]
    for name in ("added-since", "changed"):
        clients[name].wait_for_disconnect()
    assert clients["kept"].connected
    assert side.accepts("removed-since")
    assert side.accepts("changed")
    assert not side.accepts("changed", "new")
    assert not side.accepts("added-since")
    clients["kept"].disconnect()


def test_a_file_that_cannot_be_written(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only: the change is refused and said, what is in force stays, and later it goes on."""

    async def before(authority: PluginAuthority) -> None:
        await authority.put([lamp("one")])

    side.run(before)
    client = side.client("one")
    connect = sqlite3.connect

    def read_only(path: Path, **options: object) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, **options)  # type: ignore[call-overload]

    async def refused(authority: PluginAuthority) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("mooring.broker.plugin_file.sqlite3.connect", read_only)
            for change in (authority.put([lamp("two")]), authority.remove(["one"])):
                with pytest.raises(BrokerUnavailable) as caught:
                    await change
                assert caught.value.slug == "accounts_file_unusable"
        await authority.close()
        assert not side.accepts("two")
        await authority.put([lamp("two")])

    side.run(refused)
    assert client.connected
    assert side.accepts("two")
    client.disconnect()


FULL = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from mooring.errors import BrokerUnavailable
from tests.integration.plugin.test_writer_faults import SERVICE, lamp
from mooring.broker.plugin_authority import PluginAuthority
from tests.support.disk import clear, fill

async def main(folder):
    authority = PluginAuthority(folder / "accounts.db", SERVICE, endpoint=None)
    first = [lamp(f"n{{n}}") for n in range(200)]
    await authority.replace(first[:-1])
    await authority.put(first)
    fill(folder)
    try:
        await authority.put([lamp(f"m{{n}}") for n in range(3000)])
    except BrokerUnavailable as exc:
        assert exc.slug == "accounts_file_unusable", exc.slug
    else:
        raise SystemExit("the disk was not full")
    assert await authority.compare(first) == []  # as it was, and readable
    clear(folder)
    await authority.put([lamp("later")])
    assert "later" in await authority.usernames()
    # A whole file that finds no room leaves the one that is there.
    await authority.close()
    (folder / "accounts.db").write_bytes(b"torn")
    fill(folder)
    try:
        await authority.replace(first)
    except BrokerUnavailable as exc:
        assert "cannot be written" in exc.message or "full" in exc.message, exc.message
    else:
        raise SystemExit("the disk was not full")
    clear(folder)
    await authority.replace(first)
    assert await authority.compare(first) == []
    assert not [p.name for p in folder.iterdir() if ".new" in p.name]
    await authority.close()

asyncio.run(main(Path(sys.argv[1])))
print("well")
"""


def test_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    words = on_small_disk(2, folder)
    done = subprocess.run(
        [*words, sys.executable, "-c", FULL.format(root=str(ROOT)), folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stdout.strip() == "well", done.stderr


def test_a_file_that_only_the_broker_finds_damaged(side: Side) -> None:
    """Another file with the log of the one before: here SQLite may read it, there not."""
    fleet = [lamp(f"n{n}") for n in range(40)]

    async def spoilt(authority: PluginAuthority) -> None:
        for one in fleet:
            await authority.put([one])
        client = await asyncio.to_thread(side.client, "n1")
        log = side.path.with_name(f"{side.path.name}-wal").read_bytes()
        assert log
        other = side.path.with_name("other")
        other.write_bytes(b"no database, " * 1000)
        other.replace(side.path)
        new = lamp("new")
        if (await authority.put([new])).needs_replace:
            await authority.replace([*fleet, new])
        assert client.connected
        assert await asyncio.to_thread(side.accepts, "new")
        assert await asyncio.to_thread(side.accepts, "n39")
        assert await authority.compare([*fleet, new]) == []
        client.disconnect()

    side.run(spoilt)


class Answers:
    """A plugin that finds its file damaged until it is made again."""

    def __init__(self, path: Path) -> None:
        self.path, self.damaged = path, path.stat().st_ino

    async def in_force(self, _number: int) -> None:
        if self.path.stat().st_ino == self.damaged:
            raise BrokerUnavailable("corrupt", code=UNUSABLE)

    async def ask(self, **_more: object) -> dict[str, object]:
        return {"file": "corrupt" if self.path.stat().st_ino == self.damaged else "ok"}

    async def close(self) -> None: ...


def test_what_the_broker_finds_damaged_is_made_again(tmp_path: Path) -> None:
    """Though nothing differs here: by a change, by a comparison, and with all accounts."""

    async def body() -> None:
        path, fleet = tmp_path / "accounts.db", [lamp("one"), lamp("two")]
        authority = PluginAuthority(path, SERVICE, endpoint=None)
        await authority.replace(fleet)
        for attempt in range(3):
            authority.control = Answers(path)  # type: ignore[assignment]
            match attempt:
                case 0:
                    assert (await authority.put([lamp("two", "new")])).needs_replace == ("two",)
                case 1:
                    found = await authority.compare(fleet)
                    assert {d.username for d in found} == {"one", "two"}
            await authority.replace(fleet)
            assert path.stat().st_ino != authority.control.damaged  # type: ignore[union-attr]
            assert await authority.compare(fleet) == []
        await authority.close()

    asyncio.run(body())


def test_a_client_is_ended_while_its_packets_are_handled(side: Side) -> None:
    """It publishes as fast as it can meanwhile; the broker goes on, and so does its neighbour."""

    async def kicked(authority: PluginAuthority) -> None:
        await authority.put([lamp("busy"), lamp("other")])
        other = await asyncio.to_thread(side.client, "other")
        for turn in range(8):
            client = await asyncio.to_thread(side.client, "busy")
            over = threading.Event()

            def flood(client: MqttClient = client, over: threading.Event = over) -> None:
                while not over.is_set():
                    client._client.publish("m/busy/up", b"x" * 500, qos=1)

            thread = threading.Thread(target=flood)
            thread.start()
            await (
                authority.kick(["busy"]) if turn % 2 else authority.put([lamp("busy", locked=True)])
            )
            await asyncio.to_thread(client.wait_for_disconnect)
            over.set()
            thread.join()
            if not turn % 2:
                assert not await asyncio.to_thread(side.accepts, "busy")
                await authority.put([lamp("busy")])
        assert other.connected
        assert (await authority.figures())["kicked"] >= 8
        other.disconnect()

    side.run(kicked)


@pytest.mark.parametrize(
    ("accounts", "logins"),
    [(3_000, 60), pytest.param(100_000, 2_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
)
def test_everything_is_replaced_while_devices_log_in(
    side: Side, accounts: int, logins: int
) -> None:
    """By the platform's own writer: the file changed as it is, and made again after it was lost."""
    names = [f"n{n:06d}" for n in range(accounts)]
    fleet = [lamp(name) for name in names]
    refused: list[str] = []

    def log_in() -> None:
        for name in names[:: accounts // logins]:
            if not side.accepts(name):
                refused.append(name)  # noqa: PERF401 - kept if one raises

    async def replaced(authority: PluginAuthority) -> None:
        await authority.replace(fleet)
        stays = await asyncio.to_thread(side.client, names[1])
        for turn in range(2):
            devices = asyncio.create_task(asyncio.to_thread(log_in))
            if turn == 0:  # every row differs
                again = [replace(one, rights=Rights((f"m/{one.username}/other",))) for one in fleet]
                await authority.replace(again)
            else:
                await authority.close()
                side.path.unlink()
                await authority.replace(fleet)
            await devices
        assert stays.connected
        stays.disconnect()

    side.run(replaced)
    assert refused == []
    wait_until(lambda: side.accepts(names[-1]), "the last one")
