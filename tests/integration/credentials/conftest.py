"""A platform on a database of its own, on both engines; no broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.app import App, open_app
from mooring.settings import Settings
from tests.support.ports import free_port


@pytest.fixture
def settings(tmp_path: Path, migrated_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        claim_attempts_per_minute=3,
        claim_attempts_all_per_minute=5,
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings, upgrade=True) as app:
        yield app
