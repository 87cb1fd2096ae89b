"""The table of a release's states, and the page that shows it."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from mooring.errors import Conflict
from mooring.ota.releases.model import State
from mooring.ota.releases.states import TABLE, Step, after

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "firmware.md"


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_every_pair(state: State, step: Step) -> None:
    if (state, step) in TABLE:
        assert after(state, step) == TABLE[state, step]
        return
    with pytest.raises(Conflict) as caught:
        after(state, step)
    assert caught.value.slug == "release_state"


def test_the_page_shows_the_table() -> None:
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| (`\w+`|removed) \|$", re.MULTILINE)
    part = PAGE.read_text(encoding="utf-8").partition("\n## What an image says")[0]
    shown = row.findall(part)
    assert shown == [
        (str(state), str(step), "removed" if then is None else f"`{then}`")
        for (state, step), then in TABLE.items()
    ]


def test_nothing_follows_on_withdrawn() -> None:
    assert not [pair for pair in TABLE if pair[0] is State.WITHDRAWN]
