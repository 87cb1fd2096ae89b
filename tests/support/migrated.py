"""A SQLite file with every table and no row. To copy it is quicker than to migrate."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from mooring.store.engine import open_database
from mooring.store.migrate import upgrade

__all__ = ["copy_migrated", "migrate", "migrated_file", "remove"]

NAME = "mooring.db"


def migrate(url: str) -> None:
    """Brings a database to the newest schema."""
    database = open_database(url)
    upgrade(database)
    database.close()


@cache
def migrated_file() -> Path:
    """Made once in this process; gone when it ends. ``remove`` is for one that is ended without
    Python's own end, as those of pytest-xdist are."""
    folder = Path(tempfile.mkdtemp(prefix="mooring-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / NAME
    migrate(f"sqlite:///{file}")
    file.chmod(0o600)  # as a process of the platform makes it
    return file


def remove() -> None:
    """Removes the file, if it was made."""
    if migrated_file.cache_info().currsize:
        shutil.rmtree(migrated_file().parent, ignore_errors=True)
        migrated_file.cache_clear()


def copy_migrated(data_dir: Path) -> None:
    """Puts a migrated database into a data directory that has none."""
    if not (data_dir / NAME).exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(migrated_file(), data_dir / NAME)
