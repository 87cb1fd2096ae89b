"""What a rehearsal finds where a broker grants less, or other things, than its accounts need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.broker.rehearsal import _Trials
from mooring.identity.account import Rights
from tests.conformance.authority.stand import Stand

UP = ("m/t/dev/up",)
WANTED = Rights(UP, ("m/t/dev/command/#",))


@pytest.mark.parametrize(
    ("granted", "proved"),
    [
        (("m/t/dev/command/#",), True),
        (("m/t/dev/#",), True),  # and what belongs to nobody else
        (("m/t/dev/command/+",), False),
        (("m/t/dev/command/rehearsal",), False),
    ],
)
def test_a_broker_that_rejects_a_prefix_is_found_out(
    stand: Stand, granted: tuple[str, ...], proved: bool
) -> None:
    """Rejected by one authority, by another one accepted without a message: a migration would
    make the fleet deaf."""

    async def body() -> None:
        [held] = await stand.put(stand.account("dev", publish=UP, subscribe=granted))
        wanted = replace(held, rights=WANTED)
        trials = _Trials(stand.endpoint, stand.secrets["dev"], [wanted], lambda _: None)
        await trials.run()
        assert (trials.problems == {}) is proved, trials.problems

    stand.run(body)
