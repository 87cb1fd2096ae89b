"""The benchmark of downloads, with two devices: that it measures at all."""

from __future__ import annotations

import pytest

from bench import downloads


@pytest.mark.timeout(300)
def test_two_devices_download_over_tls() -> None:
    found = downloads.measure(2, 100_000)
    assert found["mooring_mb_per_second"] > 0
    assert 0 < found["memory_before"] <= found["memory_most"]
    assert "ratio" not in found  # without nginx nothing is compared
