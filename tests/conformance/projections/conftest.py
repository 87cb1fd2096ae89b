"""Planner and sink with projections of the test's choice, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mooring.ingest.projection import Projection
from tests.support.projecting import Desk

OpenDesk = Callable[..., Desk]


@pytest.fixture
def open_desk(migrated_url: str) -> Iterator[OpenDesk]:
    """``open_desk(*projections)``: closed at the end."""
    with ExitStack() as stack:

        def opened(*projections: Projection) -> Desk:
            desk = Desk(migrated_url, projections)
            stack.callback(desk.close)
            return desk

        yield opened
