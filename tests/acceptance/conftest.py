from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for every test of this folder: each adds devices of its own."""
    directory: Path = tmp_path_factory.mktemp("platform") / "data"
    with running_platform(directory) as running:
        yield running
