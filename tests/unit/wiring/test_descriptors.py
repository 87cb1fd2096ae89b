"""How many connections fit into the descriptors the system allows."""

from __future__ import annotations

import resource

import pytest

from mooring.settings import Settings
from mooring.wiring.descriptors import RESERVE, available, device_ports, per_listener


def allow(monkeypatch: pytest.MonkeyPatch, hard: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (256, hard))


@pytest.mark.parametrize(
    ("most", "hard", "each"),
    [
        (1000, 1 << 20, 1000),
        (1000, resource.RLIM_INFINITY, 1000),
        (1000, 1024, (1024 - RESERVE) // 2),  # fewer than set: the reserve comes first
        (100_000, 1 << 20, 100_000),
        (-1, 4096, (4096 - RESERVE) // 2),
    ],
)
def test_connections_of_each_listener(
    monkeypatch: pytest.MonkeyPatch, most: int, hard: int, each: int
) -> None:
    allow(monkeypatch, hard)
    settings = Settings(max_connections=most)
    assert per_listener(settings) == each
    assert each * len(device_ports(settings)) + RESERVE <= available(settings)


def test_a_third_listener_shares_them(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 1024)
    assert per_listener(Settings(mqtt_mtls_port=8885)) == (1024 - RESERVE) // 3
