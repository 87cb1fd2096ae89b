from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform
from tests.support.ports import free_port


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for every test of this folder: each adds devices of its own."""
    directory: Path = tmp_path_factory.mktemp("platform") / "data"
    port = free_port()
    with running_platform(directory, env={"MOORING_MQTT_MTLS_PORT": str(port)}) as running:
        running.ports["mqtt_mtls_port"] = port
        yield running
