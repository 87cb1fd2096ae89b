"""Fixtures: a broker, a platform and a web server, each of them real and a test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Run with the platform's tests, this folder is not on the path by itself.
sys.path.insert(0, str(Path(__file__).parent))

from device_servers import Mosquitto, Platform, Web

settings.register_profile("device", deadline=None, max_examples=150)
settings.load_profile("device")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    server = Mosquitto(folder)
    yield server
    server.stop()


@pytest.fixture
def platform(broker: Mosquitto) -> Iterator[Platform]:
    one = Platform(broker.port)
    yield one
    one.close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()
