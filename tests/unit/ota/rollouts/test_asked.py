"""What a request may say of a rollout."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

from mooring.errors import Invalid
from mooring.jobs.what import read
from mooring.ota.rollouts.asked import FirmwareWhat, terms_of, written
from mooring.ota.rollouts.model import GateOn, Terms
from mooring.ota.rollouts.windows import Window


def asked(**more: Any) -> Terms:
    return terms_of(read({"release": "trap:1.4.0", **more}, FirmwareWhat))


def test_what_is_written_is_what_was_asked_for() -> None:
    terms = Terms(
        GateOn.INSTALLED,
        (Window(frozenset({0, 6}), time(22), time(4, 30)),),
        "Europe/Berlin",
        "battery > 30",
        "canaries",
        "app.bin",
        True,
        True,
    )
    what = written("7", terms, approval=True)
    assert what["windows"] == [{"days": ["mon", "sun"], "from": "22:00", "to": "04:30"}]
    found = read(what, FirmwareWhat)
    assert terms_of(found) == terms
    assert (found.release, found.approval) == ("7", True)
    assert read(found.document(), FirmwareWhat) == found


def test_the_least_that_can_be_said() -> None:
    assert asked() == Terms()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"zone": "Mars/Olympus"}, "invalid_rollout"),
        ({"zone": "../etc/passwd"}, "invalid_rollout"),
        ({"windows": [{"days": []}]}, "invalid_rollout"),
        ({"windows": [{"days": ["someday"]}]}, "invalid_rollout"),
        ({"windows": [{"from": "25:00"}]}, "invalid_rollout"),
        ({"windows": [{"from": "9:00"}]}, "invalid_rollout"),
        ({"windows": [{}] * 15}, "invalid_job"),
        ({"condition": "battery >"}, "invalid_search"),
        ({"gate_on": "hope"}, "invalid_job"),
        ({"colour": "red"}, "invalid_job"),
    ],
)
def test_what_is_not_valid(more: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        asked(**more)
    assert caught.value.slug == code
