"""Limits of downloads, their pace, and how far they are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mooring.errors import DatabaseUnavailable, MooringError
from mooring.ota.links import sending
from mooring.ota.links.downloads import DOWNLOADS_MAX_PER_DEVICE, Downloads, Pace
from mooring.ota.links.model import File
from mooring.ota.links.ranges import Part
from mooring.ota.links.sending import FileAnswer, disposition
from mooring.ota.updates.protocol import Served
from mooring.settings import Settings
from mooring.store.tally import Tally


class Writer:
    """A database that may be away."""

    def __init__(self) -> None:
        self.away = False

    def write(self) -> Any:
        if self.away:
            raise DatabaseUnavailable("It is away.")
        from contextlib import nullcontext

        return nullcontext(None)


class Follower:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def is_over(self, connection: Any, number: int) -> bool:
        return False

    def served(self, connection: Any, sent: Any, at: int) -> None:
        self.calls += [(update, *one) for update, one in sent.items()]

    def link_expired(self, connection: Any, number: int, at: int) -> None:
        raise AssertionError("no link is asked with")


def downloads(tmp_path: Path, **settings: Any) -> Downloads:
    made = Settings(data_dir=tmp_path, **settings)
    return Downloads(Writer(), made, Tally(), Follower())  # type: ignore[arg-type]


def refusal(one: Downloads, tenant: str, device: int) -> MooringError:
    with pytest.raises(MooringError) as raised, one.turn(tenant, device):
        pass
    assert raised.value.context["retry_after"] > 0
    return raised.value


def test_each_limit_of_downloads(tmp_path: Path) -> None:
    one = downloads(tmp_path, firmware_downloads_max=8, firmware_downloads_max_per_tenant=6)
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(DOWNLOADS_MAX_PER_DEVICE):
            stack.enter_context(one.turn("a", 1))
        assert refusal(one, "a", 1).slug == "downloads_busy"
        stack.enter_context(one.turn("a", 2))
        stack.enter_context(one.turn("a", 3))
        assert refusal(one, "a", 4).slug == "downloads_busy"
        stack.enter_context(one.turn("b", 5))
        stack.enter_context(one.turn("b", 6))
        full = refusal(one, "b", 7)
        assert (full.slug, full.status) == ("downloads_full", 503)
        assert len(one) == 8
    assert len(one) == 0
    with one.turn("a", 1):  # everything is given back
        assert len(one) == 1


def test_progress_is_put_together_and_survives_an_outage(tmp_path: Path) -> None:
    one = downloads(tmp_path)
    database, follower = one._database, one._follower
    assert isinstance(database, Writer)
    assert isinstance(follower, Follower)
    for place in (100, 300, 200):
        one.served(7, Served(1, place, whole=False))
    one.served(8, Served(2, 50, whole=True))
    database.away = True
    with pytest.raises(DatabaseUnavailable):
        one.note()
    one.served(7, Served(1, 400, whole=False))
    database.away = False
    assert one.note() == 2
    assert follower.calls == [(7, 1, 400, False), (8, 2, 50, True)]
    assert one.note() == 0


def test_a_fresh_file_of_an_update_begins_again(tmp_path: Path) -> None:
    one = downloads(tmp_path)
    one.served(7, Served(1, 300, whole=True))
    one.served(7, Served(2, 100, whole=False))
    one.note()
    assert isinstance(one._follower, Follower)
    assert one._follower.calls == [(7, 2, 100, False)]


def test_the_pace_is_that_of_all_together() -> None:
    pace = Pace(1000)
    waits = [pace.wait(500, 10.0) for _ in range(4)]
    assert waits == [0.0, 0.5, 1.0, 1.5]
    assert pace.wait(500, 20.0) == 0.0
    assert Pace(0).wait(10**9, 0.0) == 0.0


@pytest.mark.parametrize("name", ['a"b.bin', "ä.bin", "a%2F.bin", "plain.bin"])
def test_a_name_in_a_header(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.count('"') == 2
    assert header.startswith('attachment; filename="')


def test_a_client_that_has_gone_ends_its_download(tmp_path: Path) -> None:
    """Nothing more is read, and the place is free."""
    size = 40 * sending.PIECE_BYTES
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    one = downloads(tmp_path)
    sent: list[Any] = []

    async def run() -> None:
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:
                gone.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        answer = FileAnswer(
            downloads=one,
            path=path,
            size=size,
            part=Part(0, size, partial=False),
            headers={},
            file=File(1, "app.bin", size, "0" * 64, "a", 1, 4, 7),
        )
        await answer({"type": "http", "path": "/f/x"}, receive, send)

    asyncio.run(run())
    assert len(one) == 0
    bodies = [len(m["body"]) for m in sent if m["type"] == "http.response.body"]
    assert set(bodies) == {sending.PIECE_BYTES}
    assert len(bodies) < 10
    one.note()
    assert isinstance(one._follower, Follower)
    assert one._follower.calls == [(7, 1, sum(bodies), False)]
