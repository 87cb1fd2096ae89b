"""One database of each engine for all these tests, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.rollups.stand import Stand


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    if request.param == "sqlite":
        stand = Stand(f"sqlite:///{tmp_path_factory.mktemp('stand') / 'mooring.db'}")
    else:
        stand = Stand(request.getfixturevalue("postgres_server").create_database())
    yield stand
    stand.close()


@pytest.fixture
def stand(migrated: Stand) -> Stand:
    migrated.clear()
    return migrated
