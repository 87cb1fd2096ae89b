"""``mooring device presence``: whether a device is there, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.cli import device as device_commands
from mooring.cli.frame import Session, command
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.presence.states import api, service

__all__ = ["device_presence"]

TIMES = {"at", "since", "changes"}


@command(device_commands.app, "presence")
def device_presence(
    session: Session, reference: device_commands.Reference, *, limit: Limit = 20
) -> None:
    """Show whether a device is there, the evidence, and the latest changes."""
    with session.open() as platform:
        device, found = platform.service(service.DevicePresence).of(
            session.actor, reference, limit=limit
        )
    document = _with_times(api.document(device.name, device.tenant, found))
    if session.out.as_json:
        session.out.document(document)
        return
    said, record = found.evidence, found.record
    session.out.facts(
        [
            ("device", device.reference),
            ("state", str(found.state).replace("_", " ")),
            *([("since", ago(found.since))] if found.since else []),
            *([("reason", record.reason)] if record.reason else []),
            ("broker", _connected(said.connected, said.connected_at, said.address)),
            *([("reports", _reported(said.online, said.online_at))] if said.online_at else []),
            ("last message", ago(said.last_seen_at)),
            ("expected every", _interval(found)),
            *(
                [("announced an absence", ago(record.announced_at))]
                if record.announced_at is not None
                else []
            ),
        ]
    )
    session.out.say()
    session.out.table(
        ["Changed", "State", "Reason"],
        [[ago(one.at), str(one.state).replace("_", " "), one.reason] for one in found.history],
        empty="No changes yet.",
    )


def _connected(connected: bool | None, at: int | None, address: str | None) -> str:
    if connected is None:
        return "no session known"
    place = f" from {address}" if connected and address else ""
    return f"{'connected' if connected else 'not connected'}{place}, {ago(at)}"


def _reported(online: bool | None, at: int | None) -> str:
    return f"{'online' if online else 'offline'}, {ago(at)}"


def _interval(found: service.Presence) -> str:
    if found.interval_ms is None:
        return "not known"
    origin = "declared by its dialect" if found.declared else "learned"
    return f"{found.interval_ms / 1000:g} s ({origin})"


def _with_times(value: Any, key: str = "") -> Any:
    """Times as text, as REST has them."""
    if isinstance(value, Mapping):
        return {name: _with_times(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_times(one, key) for one in value]
    is_time = key in TIMES or key.endswith(("_at", "_until"))
    return iso(value) if is_time and isinstance(value, int) else value
