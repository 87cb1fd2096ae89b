"""The command line in this process, on a data directory of its own."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mooring.cli.main import app


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def error(self) -> dict[str, Any]:
        """The error document of ``--json``."""
        found = json.loads(self.err)["error"]
        assert isinstance(found, dict)
        return found


class Mooring:
    """Call it with the words of a command."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def __call__(self, *words: str | Path, input: str = "", code: int | None = 0) -> Said:
        result = CliRunner().invoke(app, [str(word) for word in words], input=input)
        said = Said(result.exit_code, result.stdout, result.stderr)
        if code is not None:
            assert said.code == code, f"{words}: {said}"
        return said


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mooring:
    """Mooring on a data directory that is not there yet."""
    for name in os.environ:
        if name.startswith(("MOORING_", "MQTT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MOORING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return Mooring(tmp_path / "data")


@pytest.fixture(scope="session")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory to copy: migrating takes longer than most tests here."""
    directory = tmp_path_factory.mktemp("set-up") / "data"
    Mooring(directory)("db", "migrate", "--data-dir", directory)
    return directory


@pytest.fixture
def mooring(nothing: Mooring, set_up_once: Path) -> Mooring:
    """Mooring that was set up and does not run."""
    shutil.copytree(set_up_once, nothing.data_dir)
    return nothing
