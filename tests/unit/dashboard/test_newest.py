"""The newest messages are found by their numbers, without looking at the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from mooring.dashboard.data import first_signs, traffic
from mooring.dashboard.live.ask import Ask
from mooring.dashboard.live.newest import newest
from mooring.errors import Invalid
from mooring.identity.actor import SYSTEM


class Asked:
    """A connection to PostgreSQL that answers nothing."""

    dialect = SimpleNamespace(name="postgresql")

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, statement: Any) -> Any:
        self.statements.append(str(statement.compile(dialect=postgresql.dialect())))
        return FakeRows()


class FakeRows(list[Any]):
    def scalar(self) -> int:
        return 10_000_000


@pytest.mark.parametrize(
    "read",
    [
        lambda connection: list(first_signs._messages(connection, SYSTEM, 0, None)),
        lambda connection: traffic.newest(connection, SYSTEM),
        lambda connection: traffic.traffic(connection, SYSTEM),
    ],
)
def test_postgresql_is_not_asked_for_the_greatest_number(read: Any) -> None:
    """Its index of numbers (BRIN) finds a range, not an end: that would read the whole table."""
    connection = Asked()
    read(connection)
    assert "messages_id_seq" in connection.statements[0]
    for statement in connection.statements:
        assert "max(messages.id)" not in statement


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ('{"a": 1, "b": "x"}', "a 1, b x"),
        ('{"values": {"temperature": 21.5}, "meta": {"firmware": "1.4.0"}}', None),
        ('{"a": [1]}', "no plain values"),
        ('{"device_id": "x", "ts": 5, "seq": 3, "values": {"a": 1}}', "a 1"),
        ('{"a":1,"b":2,"c":3,"d":4,"e":5}', "a 1, b 2, c 3, d 4, and 1 more"),
    ],
)
def test_the_first_values_in_words(payload: str, words: str | None) -> None:
    expected = words or "temperature 21.5, firmware 1.4.0"
    assert first_signs.payload_words(payload) == expected


def test_a_list_with_too_many_filters_is_no_fault() -> None:
    app: Any = None
    with pytest.raises(Invalid):
        newest(Ask(app, SYSTEM, f"devices?{'a=1&' * 200}", {}, 0))
