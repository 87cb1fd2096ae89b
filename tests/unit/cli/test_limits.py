"""``mooring device limits``, ``mooring tenant limits``, ``set`` and ``show``."""

from __future__ import annotations

import pytest

from mooring.cli.limit_words import value_of
from mooring.errors import Invalid
from tests.unit.cli.conftest import Mooring


def test_limits_are_shown_and_changed(mooring: Mooring) -> None:
    mooring("device", "add", "lamp", "--dialect", "mooring", "--tenant", "acme")
    shown = mooring("device", "limits", "lamp", "--json").json()
    assert shown["own"] == {"connections": None, "messages": None, "bytes": None}
    mooring("device", "limits", "lamp", "--messages", "50", "--bytes", "none")
    changed = mooring("device", "limits", "lamp", "--connections", "2", "--json").json()
    assert changed["own"] == {"connections": 2, "messages": 50, "bytes": 0}
    assert changed["in_force"] == {"connections": 2, "messages": 50, "bytes": None}
    assert "50" in mooring("device", "limits", "lamp").out
    again = mooring("device", "limits", "lamp", "--messages", "default", "--json").json()
    assert again["own"]["messages"] is None
    tenant = mooring("tenant", "limits", "acme", "--connections", "9", "--json").json()
    assert (tenant["tenant"], tenant["own"]["connections"]) == ("acme", 9)
    assert mooring("tenant", "limits", "nobody", "--json", code=None).code == 3


def test_a_tenant_shows_its_limits_and_usage(mooring: Mooring) -> None:
    mooring("tenant", "add", "acme")
    said = mooring("tenant", "set", "acme", "--stored-bytes", "5000", "--reason", "small", "--json")
    assert said.json()["limits"]["own"] == {
        "connections": None,
        "messages_per_second": None,
        "bytes_per_second": None,
        "disconnect_seconds": None,
        "stored_bytes": 5000,
        "dead_letter_bytes": None,
    }
    # Limits on the broker and limits of what is stored are changed apart.
    mooring("tenant", "set", "acme", "--messages-per-second", "9")
    mooring("tenant", "limits", "acme", "--connections", "3")
    mooring("tenant", "set", "acme", "--dead-letter-bytes", "none")
    shown = mooring("tenant", "show", "acme", "--json").json()
    assert shown["limits"]["in_force"] == {
        "connections": 3,
        "messages_per_second": 9,
        "bytes_per_second": None,
        "disconnect_seconds": None,
        "stored_bytes": 5000,
        "dead_letter_bytes": None,
    }
    assert shown["stored"]["bytes"] == shown["devices"] == 0
    assert "0 (0 %)" in mooring("tenant", "show", "acme").out
    assert "stored_bytes=5000: small" in mooring("audit", "list", "--json").out
    assert mooring("tenant", "set", "acme", "--json", code=None).error()["code"] == "invalid_limit"
    assert mooring("tenant", "show", "nobody", "--json", code=None).code == 3


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1.5", "²"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        value_of(text)
