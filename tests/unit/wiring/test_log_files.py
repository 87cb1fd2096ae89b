"""Log files are rotated: whole, one by one, the broker's under the lock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.errors import BrokerUnavailable
from mooring.wiring.log_files import LogFiles, copy_and_empty


def test_a_file_that_somebody_appends_to_is_copied_and_emptied(tmp_path: Path) -> None:
    path = tmp_path / "ingest.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"first\n")
        copy_and_empty(path)
        writer.write(b"second\n")
        copy_and_empty(path)
        writer.write(b"third\n")
    assert path.read_bytes() == b"third\n"
    assert (tmp_path / "ingest.log.1").read_bytes() == b"second\n"
    assert (tmp_path / "ingest.log.1").stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ingest.log", "ingest.log.1"]


def test_nothing_is_emptied_that_was_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ingest.log"
    path.write_text("words\n")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="space"):
        copy_and_empty(path)
    assert path.read_text() == "words\n"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("reopens", [True, False])
def test_the_brokers_is_moved_under_the_lock(tmp_path: Path, reopens: bool) -> None:
    async def run() -> None:
        turn = asyncio.Lock()
        broker, other, small = (tmp_path / f"{name}.log" for name in ("mosquitto", "serve", "up"))
        broker.write_text("x" * 100)
        other.write_text("y" * 100)
        small.write_text("z")
        locked: list[bool] = []

        async def reopen() -> None:
            locked.append(turn.locked())
            if not reopens:
                raise BrokerUnavailable("Mosquitto does not run.")
            await asyncio.to_thread(broker.write_text, "new")

        files = LogFiles(tmp_path, 50, broker, reopen, turn)
        await turn.acquire()  # somebody starts the broker: a SIGHUP would end it
        looking = asyncio.create_task(files.look())
        for _ in range(5):
            await asyncio.sleep(0)
        assert locked == []
        turn.release()
        await looking
        assert locked == [True]
        assert (tmp_path / "mosquitto.log.1").stat().st_size == 100
        assert (tmp_path / "serve.log.1").stat().st_size == 100
        assert other.stat().st_size == 0
        assert small.stat().st_size == 1

    asyncio.run(run())
