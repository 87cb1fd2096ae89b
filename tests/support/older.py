"""A data directory that an older version left behind, and what it had told people and devices.

``tests/data/v0_1_0`` holds one of 0.1.0; its README says how it was made.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import psycopg

from tests.support.platform import Login

__all__ = ["Older"]

FOLDER = Path(__file__).parents[1] / "data" / "v0_1_0"


class Older:
    """A copy to run today's version on.

    Args:
        data_dir: where the copy is made.
        database_url: an empty PostgreSQL database that gets the rows; ``None``: SQLite.
    """

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        self.expected: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
        self.data_dir = data_dir
        shutil.copytree(FOLDER / "data", data_dir)
        data_dir.chmod(0o700)
        for path in data_dir.rglob("*"):  # a version control system keeps no such modes
            path.chmod(0o700 if path.is_dir() else 0o600)
        if database_url is None:
            with sqlite3.connect(data_dir / "mooring.db") as database:
                database.executescript((FOLDER / "sqlite.sql").read_text())
            database.close()
        else:
            with psycopg.connect(database_url) as connection:
                connection.execute((FOLDER / "postgresql.sql").read_bytes())

    def login(self, device: str) -> Login:
        """The credentials that the device was given."""
        return Login.of(self.expected["devices"][device])

    def certificate(self, device: str) -> Path:
        """The folder with ``device.crt``, ``device.key`` and ``ca.crt``."""
        return FOLDER / device
