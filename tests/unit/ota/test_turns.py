"""How many checks run at the same time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from mooring.errors import TooMany
from mooring.ota.releases.turns import CHECKS_MAX, FileTurns


def test_checks_of_all_tenants() -> None:
    turns = FileTurns()
    for _ in range(2):  # what has ended counts no longer
        with ExitStack() as running:
            for number in range(CHECKS_MAX):
                running.enter_context(turns.check(f"t{number}"))
            for tenant in ("t0", "another"):
                with pytest.raises(TooMany) as caught, turns.check(tenant):
                    raise AssertionError
                assert caught.value.slug == "firmware_busy"


def test_a_check_that_fails_has_ended() -> None:
    turns = FileTurns()
    for _ in range(2):
        with pytest.raises(OSError, match="gone"), turns.check("home"):
            raise OSError("gone")
