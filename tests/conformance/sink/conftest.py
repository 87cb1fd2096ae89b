"""A sink on each engine, on a database with every table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mooring.ingest.sink import Sink
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink

OpenSink = Callable[..., Sink]


@pytest.fixture
def open_sink(migrated_url: str) -> Iterator[OpenSink]:
    """``open_sink(dead_letters_max=…, strangers_max=…)``: sinks of one database."""
    with ExitStack() as stack:

        def opened(**limits: Any) -> Sink:
            sink: Sink
            if migrated_url.startswith("sqlite"):
                sink = SqliteSink(Path(migrated_url.removeprefix("sqlite:///")), **limits)
            else:
                sink = PostgresSink(migrated_url, **limits)
            stack.callback(sink.close)
            return sink

        yield opened


@pytest.fixture
def sink(open_sink: OpenSink) -> Sink:
    return open_sink()
