"""What `mooring up` tells a person to type works as it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mooring.run.panel import Speaker
from mooring.settings import Settings


def said(capsys: pytest.CaptureFixture[str], *, demo: bool = False, **settings: Any) -> str:
    app = SimpleNamespace(settings=Settings(**settings), database=SimpleNamespace(is_sqlite=True))
    Speaker(quiet=False).ready(cast(Any, app), None, demo=demo)
    return capsys.readouterr().out


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "mooring"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "up"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return path


def test_a_program_outside_the_path_is_told_with_its_place(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"\n    {program} status\n" in said(capsys)


def test_a_program_in_the_path_is_told_by_its_name(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert "\n    mooring status\n" in said(capsys)


def test_another_program_of_that_name_in_the_path_is_not_meant(
    program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    other = tmp_path / "other" / "mooring"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert f"\n    {program} status\n" in said(capsys)


def test_a_data_directory_is_part_of_the_command(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, demo=True, data_dir=Path("my data"))
    assert f"{program} --data-dir 'my data' telemetry latest --all\n" in text


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:9001"),
        ("::1", "ws://[::1]:9001"),
        ("0.0.0.0", "wss://0.0.0.0:9001"),  # noqa: S104 - anything but loopback is TLS
    ],
)
def test_the_websocket_address_says_whether_it_is_tls(
    program: Path, capsys: pytest.CaptureFixture[str], host: str, url: str
) -> None:
    assert url in said(capsys, mqtt_ws_host=host)
