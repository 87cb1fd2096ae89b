"""One database for all the examples of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.rollups.stand import Stand


@pytest.fixture
def stand(any_database_url: str) -> Iterator[Stand]:
    stand = Stand(any_database_url)
    yield stand
    stand.close()
