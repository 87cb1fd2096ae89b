"""``mooring device limits`` and ``mooring tenant limits``."""

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


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1.5", "²"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        value_of(text)
