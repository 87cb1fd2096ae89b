"""Plans as the planner makes them, without packets."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from mooring.devices.reference import DeviceRef
from mooring.dialects.model import Channel, Identity
from mooring.dialects.payload import Decoded, TimeSource
from mooring.ingest.plan import DeadLetter, Plan, UnknownDevice
from mooring.ingest.routing import Route
from mooring.ingest.rows import MessageRow

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
    name = f"d{device}"
    known = DeviceRef(device, "default", name, unused, Identity("default", name))
    return Route(known, device, channel, unused, unused, unused, f"own/{device}/{channel}")


def dead(number: int, *, topic: str = "nobody/knows", tenant: str | None = None) -> DeadLetter:
    return DeadLetter(
        NOW + number, "not_json", f"No. {number}.", topic, tenant, None, 3, b"\0\xff{"
    )


def unknown_device(name: str, messages: int = 1, *, at: int = NOW) -> UnknownDevice:
    return UnknownDevice(
        "smarthome", "home", name, at, messages, f"smarthome/home/{name}/telemetry"
    )


def with_unknown(*devices: UnknownDevice) -> Plan:
    """Each of them with the dead letter that it brings."""
    made = Plan(dead=[dead(number) for number, _ in enumerate(devices)])
    made.unknown = {(one.dialect, one.tenant, one.name): one for one in devices}
    return made


__all__ = ["DAY", "NOW", "Channel", "dead", "plan", "row", "unknown_device", "with_unknown"]
