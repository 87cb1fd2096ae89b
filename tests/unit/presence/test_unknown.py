"""Which device an unknown username may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.dialects import load_all
from mooring.presence.unknown import unknown_device

CATALOGUE = load_all(Path("/nonexistent"))


@pytest.mark.parametrize(
    ("username", "device"),
    [
        ("device:acme:pump-1", ("pulse", "acme", "pump-1")),
        ("AA:BB:CC:DD:EE:FF", ("mousetrap", "default", "AA:BB:CC:DD:EE:FF")),
        ("acme/lamp", ("mooring", "acme", "lamp")),
        ("lamp", None),  # of several dialects
        ("", None),
        ("device:acme:", None),
        ("a/b/c", None),
        ("acme/\x00", None),
    ],
)
def test_the_only_dialect_that_makes_such_a_username(
    username: str, device: tuple[str, str, str] | None
) -> None:
    assert unknown_device(CATALOGUE, username) == device
