"""A real Mosquitto on a free port for each test, once per authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.authority.stand import DynsecStand, PasswordFileStand, PluginStand, Stand


@pytest.fixture(
    params=[DynsecStand, PasswordFileStand, PluginStand],
    ids=["dynsec", "password_file", "plugin"],
)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    made: Stand = request.param(tmp_path)
    return made


@pytest.fixture
def dynsec(tmp_path: Path) -> DynsecStand:
    return DynsecStand(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> PasswordFileStand:
    return PasswordFileStand(tmp_path)
