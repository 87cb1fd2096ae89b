"""The size of batches."""

from __future__ import annotations

from mooring.device_settings.pace import TENANTS_MAX, Sizes


def test_a_slow_tenant_gets_small_batches_and_no_other() -> None:
    sizes = Sizes(50)
    for _ in range(10):
        sizes.took("slow", 1.0)
    assert (sizes.of("slow"), sizes.of("other")) == (1, 50)
    sizes.took("slow", 0.15)
    assert sizes.of("slow") == 1
    for _ in range(10):
        sizes.took("slow", 0.01)
    assert sizes.of("slow") == 50


def test_it_remembers_a_bounded_number() -> None:
    sizes = Sizes(50)
    for number in range(3 * TENANTS_MAX):
        sizes.took(str(number), 1.0)
    assert len(sizes._sizes) <= TENANTS_MAX
