"""Plans as the planner makes them, without packets."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from mooring.dialects.model import Channel
from mooring.dialects.payload import Decoded, TimeSource
from mooring.ingest.plan import DeadLetter, MessageRow, Plan, Stranger
from mooring.ingest.routing import Route

NOW = 1_771_000_000_000
DAY = 86_400_000

_numbers = itertools.count(1)


def row(
    device: int = 1,
    channel: int = 1,
    ts: int = NOW,
    *,
    received_at: int = NOW,
    seq: int | None = None,
    source: int = 0,
    fingerprint: int | None = None,
    payload: str = '{"t":21.5}',
) -> MessageRow:
    """A message unlike all others, unless its fingerprint is given."""
    mark = next(_numbers) if fingerprint is None else fingerprint
    return (device, channel, ts, received_at, seq, source, mark, payload)


def plan(rows: Iterable[MessageRow] = (), *, packets: Sequence[tuple[int, int]] = ()) -> Plan:
    """A plan with these messages, each the newest of its device and channel where it is."""
    made = Plan(messages=list(rows), packets=list(packets))
    routes: dict[tuple[int, int], Route] = {}
    for one in made.messages:
        route = routes.setdefault((one[0], one[1]), a_route(one[0], one[1]))
        made.routes.append(route)
        before = made.newest.get(route)
        if before is None or one[2] >= before[0][2]:
            made.newest[route] = (one, Decoded(one[7], one[2], TimeSource.DEVICE, None, None))
    return made


def a_route(device: int, channel: int) -> Route:
    unused: Any = None
    return Route(
        device, "default", f"d{device}", channel, unused, unused, unused, f"own/{device}/{channel}"
    )


def dead(number: int, *, topic: str = "nobody/knows", tenant: str | None = None) -> DeadLetter:
    return DeadLetter(
        NOW + number, "not_json", f"No. {number}.", topic, tenant, None, 3, b"\0\xff{"
    )


def stranger(name: str, messages: int = 1, *, at: int = NOW) -> Stranger:
    return Stranger("smarthome", "home", name, at, messages, f"smarthome/home/{name}/telemetry")


def with_strangers(*strangers: Stranger) -> Plan:
    """Each of them with the dead letter that it brings."""
    made = Plan(dead=[dead(number) for number, _ in enumerate(strangers)])
    made.strangers = {(s.dialect, s.tenant, s.name): s for s in strangers}
    return made


__all__ = ["DAY", "NOW", "Channel", "dead", "plan", "row", "stranger", "with_strangers"]
