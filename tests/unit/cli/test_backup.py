"""Backup and restore where paths, folders and archives are not what one expects."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import threading
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from mooring import running
from mooring.backup import archive
from tests.unit.cli.conftest import Mooring


def names(backup: Path) -> set[str]:
    with tarfile.open(backup) as found:
        return set(found.getnames())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_backup_holds_no_earlier_one(mooring: Mooring) -> None:
    first, second = mooring.data_dir / "first.tar.gz", mooring.data_dir / "sub" / "second"
    mooring("backup", first)
    second.parent.mkdir()
    mooring("backup", second)
    old = mooring.data_dir / "of-0.1.0.tar.gz"  # made before backups carried a mark
    with tarfile.open(old, "w:gz") as made:
        made.add(mooring.data_dir / "mooring.db", "mooring.db")
    (mooring.data_dir / "artifact.tar.gz").write_bytes(b"\x1f\x8b not a backup")
    third = mooring.data_dir / "third.tar.gz"
    mooring("backup", third)
    assert names(third) == names(first) | {"artifact.tar.gz"}


def test_a_linked_dialects_folder_is_in_it(mooring: Mooring, tmp_path: Path) -> None:
    own = tmp_path / "own-dialects"
    own.mkdir()
    (own / "mine.toml").write_text("# mine\n")
    (mooring.data_dir / "dialects").symlink_to(own)
    (mooring.data_dir / "elsewhere").symlink_to(tmp_path)  # other links are not followed
    target = tmp_path / "b.tar.gz"
    mooring("backup", target)
    assert "dialects/mine.toml" in names(target)
    assert not any(name.startswith("elsewhere") for name in names(target))
    mooring("restore", target, "--yes")
    assert (mooring.data_dir / "dialects" / "mine.toml").read_text() == "# mine\n"
    assert (own / "mine.toml").exists()


@pytest.mark.parametrize("name", ["a?b", "50% off", "x#y", "%41", "sp ace", "q?mode=memory"])
def test_characters_with_a_meaning_in_urls(
    nothing: Mooring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = tmp_path / name
    monkeypatch.setenv("MOORING_DATA_DIR", str(data))
    nothing("db", "migrate")
    assert (data / "mooring.db").stat().st_size > 0
    nothing("device", "add", "cab-1", "--dialect", "drivesafe")
    target = tmp_path / "b.tar.gz"
    saved = nothing("backup", target, "--json").json()
    assert (saved["database"], saved["devices"], saved["messages"]) == (True, 1, 0)
    shutil.rmtree(data)
    nothing("restore", target, "--yes")
    nothing("device", "show", "cab-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "b.tar.gz"])


def test_a_database_elsewhere_is_backed_up_and_comes_back_there(
    nothing: Mooring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "db" / "fleet.sqlite"
    monkeypatch.setenv("MOORING_DATABASE_URL", f"sqlite:///{place}")
    nothing("db", "migrate")
    nothing("device", "add", "cab-1", "--dialect", "drivesafe")
    target = tmp_path / "b.tar.gz"
    assert nothing("backup", target, "--json").json()["devices"] == 1
    nothing("device", "add", "cab-2", "--dialect", "drivesafe")
    kept = Path(nothing("restore", target, "--yes", "--json").json()["kept"])
    nothing("device", "show", "cab-1")
    nothing("device", "show", "cab-2", code=3)
    assert (kept / "fleet.sqlite").exists()


def test_no_name_that_others_can_prepare(mooring: Mooring, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".b.tar.gz.part", ".b.tar.gz.tmp", ".b.tar.gz"):
        (shared / name).symlink_to(victim)
    mooring("backup", shared / "b.tar.gz")
    assert victim.read_text() == "mine"
    assert mode(shared / "b.tar.gz") == 0o600
    (shared / "c.tar.gz").symlink_to(tmp_path / "not-there")
    mooring("backup", shared / "c.tar.gz", code=4)
    assert not (tmp_path / "not-there").exists()
    assert {p.name for p in shared.iterdir() if not p.is_symlink()} == {"b.tar.gz"}


def test_a_busy_database_is_copied_to_its_end(mooring: Mooring, tmp_path: Path) -> None:
    stop = threading.Event()
    done = threading.Event()

    def busy() -> None:
        with closing(sqlite3.connect(mooring.data_dir / "mooring.db")) as database:
            while not stop.is_set():
                with database:
                    database.execute(
                        "INSERT INTO counters VALUES ('x', 1) ON CONFLICT DO UPDATE SET"
                        " value = value + 1"
                    )
                done.set()

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        assert done.wait(10)
        saved = mooring("backup", tmp_path / "b.tar.gz", "--json").json()
    finally:
        stop.set()
        writer.join()
    assert saved["database"] is True
    archive.inspect(tmp_path / "b.tar.gz", 1 << 30)


def hostile(target: Path, files: dict[str, bytes], *, file_mode: int = 0o4777) -> None:
    """An archive with these files, their sums in a manifest, and modes of its maker's choice."""
    sums = {name: sha256(content).hexdigest() for name, content in files.items()}
    with tarfile.open(target, "w:gz") as made:
        for name, content in {**files, "manifest.json": archive.manifest_bytes(sums)}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), file_mode
            made.addfile(member, io.BytesIO(content))


def test_modes_of_the_archive_are_not_taken_over(mooring: Mooring, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    secrets = (mooring.data_dir / "secrets.json").read_bytes()
    hostile(target, {"secrets.json": secrets, "broker/data/x": b"x", "ota/run": b"#!/bin/sh\n"})
    mooring("restore", target, "--yes")
    for name in ("secrets.json", "broker/data/x", "ota/run"):
        assert mode(mooring.data_dir / name) == 0o600
    for name in ("broker", "broker/data", "ota"):
        assert mode(mooring.data_dir / name) == 0o700


@pytest.mark.parametrize("how", ["large", "many"])
def test_a_bomb_is_refused_before_anything_is_unpacked(
    mooring: Mooring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    target = tmp_path / "b.tar.gz"
    if how == "large":
        hostile(target, {f"f{n}": bytes(4 << 20) for n in range(4)})
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=10 << 20))
    else:
        monkeypatch.setattr(archive, "FILES_MAX", 50)
        hostile(target, {f"f{n}": b"" for n in range(60)})
    unpacked: list[Path] = []
    monkeypatch.setattr(archive, "extract", lambda _source, stage: unpacked.append(stage))
    before = sorted(mooring.data_dir.iterdir())
    said = mooring("restore", target, "--yes", "--json", code=2).error()
    assert said["code"] == "bad_backup"
    assert not unpacked
    assert [p for p in sorted(mooring.data_dir.iterdir()) if p.name != "up.lock"] == [
        p for p in before if p.name != "up.lock"
    ]


def test_a_file_that_the_manifest_does_not_name_is_refused(
    mooring: Mooring, tmp_path: Path
) -> None:
    target = tmp_path / "b.tar.gz"
    with tarfile.open(target, "w:gz") as made:
        for name, content in (("extra", b"x"), ("manifest.json", archive.manifest_bytes({}))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    assert mooring("restore", target, "--yes", "--json", code=2).error()["code"] == "bad_backup"
    assert not (mooring.data_dir / "extra").exists()


@pytest.mark.parametrize("text", ['{"format": 99, "version": "9", "made_at": "", "files": {}}'])
def test_a_newer_form_is_refused(mooring: Mooring, tmp_path: Path, text: str) -> None:
    target = tmp_path / "b.tar.gz"
    with tarfile.open(target, "w:gz") as made:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(text)
        made.addfile(member, io.BytesIO(text.encode()))
    said = mooring("restore", target, "--yes", "--json", code=4).error()
    assert said["code"] == "backup_too_new"
    assert json.loads(text)["format"] > archive.FORMAT


# ------------------------------------------------------------------------- the data directory


def test_a_data_directory_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    with running.exclusive(data):
        assert mode(data) == 0o700


def test_the_first_command_closes_it_too(nothing: Mooring) -> None:
    nothing.data_dir.mkdir(mode=0o755)
    nothing("db", "migrate")
    assert mode(nothing.data_dir) == 0o700


def test_what_the_platform_writes_is_for_its_owner(mooring: Mooring) -> None:
    previous = os.umask(0o022)
    try:
        from mooring.run.process import prepare
        from mooring.settings import load

        prepare(load()[0])
        (mooring.data_dir / "fresh").touch()
        assert mode(mooring.data_dir / "fresh") == 0o600
    finally:
        os.umask(previous)
