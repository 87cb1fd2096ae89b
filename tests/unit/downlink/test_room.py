"""The room of a tenant: within its limit, and not counted for each message."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.downlink.room import COUNT_EACH, RECOUNT_SECONDS, TenantRoom

MOST = 2 * COUNT_EACH


class Tenant:
    """Its open downlinks, and how often they were counted."""

    def __init__(self, count: int) -> None:
        self.open, self.counted, self.now = count, 0, 0.0
        self.room = TenantRoom(lambda: self.now)

    def count(self) -> int:
        self.counted += 1
        return self.open

    def put(self, most: int = MOST) -> bool:
        taken = self.room.take("acme", most, self.count)
        self.open += taken
        return bool(taken)


def test_many_are_counted_once() -> None:
    tenant = Tenant(COUNT_EACH)
    assert all(tenant.put() for _ in range(MOST - COUNT_EACH))
    assert (tenant.open, tenant.counted) == (MOST, 1)


def test_a_full_tenant_is_rejected_without_a_count_and_heals() -> None:
    tenant = Tenant(MOST)
    assert not any(tenant.put() for _ in range(100))
    assert tenant.counted == 1
    tenant.open -= 10
    tenant.now += RECOUNT_SECONDS
    assert sum(tenant.put() for _ in range(100)) == 10
    assert tenant.counted == 2


def test_tenants_have_rooms_of_their_own() -> None:
    room = TenantRoom(lambda: 0.0)
    assert not room.take("full", MOST, lambda: MOST)
    assert room.take("empty", MOST, lambda: 0)


def test_several_are_taken_together_as_far_as_there_is_room() -> None:
    for most in (5, MOST):
        room = TenantRoom(lambda: 0.0)
        assert room.take("acme", most, lambda most=most: most - 4, 3) == 3  # type: ignore[misc]
        assert room.take("acme", most, lambda most=most: most - 1, 3) == 1  # type: ignore[misc]
        assert room.take("acme", most, lambda most=most: most, 3) == 0  # type: ignore[misc]


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100)), max_size=200),
)
def test_one_process_never_exceeds_the_limit(spare: int, steps: list[tuple[int, float]]) -> None:
    for most in (spare, MOST):
        tenant = Tenant(most - spare)
        for finished, pause in steps:
            tenant.open = max(0, tenant.open - finished)
            tenant.now += pause
            tenant.put(most)
            assert tenant.open <= most
