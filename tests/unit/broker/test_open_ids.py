"""What is said about client ids that another login could use."""

from __future__ import annotations

import pytest

from mooring.broker.open_ids import foreign_id, open_client_ids
from mooring.identity.account import Account, Rights

BOUND = Account("bound", None, Rights(), client_id="id")
FREE = [Account(name, None, Rights()) for name in ("one", "two")]


@pytest.mark.parametrize(
    ("authority", "accounts", "managed", "by_name", "words"),
    [
        ("plugin", FREE, True, False, ""),
        ("dynamic_security", [BOUND], True, False, ""),
        ("dynamic_security", [BOUND, FREE[0]], True, False, "1 logins choose"),
        ("dynamic_security", [BOUND, *FREE], True, False, "client_ids to auto"),
        ("dynamic_security", FREE, False, False, "use_username_as_clientid"),
        ("dynamic_security", FREE, True, True, ""),
        ("password_file", [BOUND], True, True, ""),
        ("password_file", [BOUND], True, False, "client_ids to auto"),
        ("password_file", [BOUND], False, False, "use_username_as_clientid"),
    ],
)
def test_what_remains_open(
    authority: str, accounts: list[Account], managed: bool, by_name: bool, words: str
) -> None:
    said = open_client_ids(authority, accounts, managed=managed, username_is_client_id=by_name)
    assert words in said
    assert bool(said) is bool(words)


@pytest.mark.parametrize(
    ("client_id", "username", "foreign"),
    [
        ("mooring-ingest", "car-1", True),
        ("mooring-abc", "service:mooring", False),
        ("mooring-twin-3", "AA:BB", False),
        ("car-1", "car-1", False),
        (None, "car-1", False),
    ],
)
def test_a_foreign_login_on_an_id_of_the_platform(
    client_id: str | None, username: str, foreign: bool
) -> None:
    assert foreign_id(client_id, username, {"service:mooring"}) is foreign
