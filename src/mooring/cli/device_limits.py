"""``mooring device limits``: broker limits of one device."""

from __future__ import annotations

from mooring.cli import device as device_commands
from mooring.cli.frame import Session, command
from mooring.cli.limit_words import Bytes, Connections, Messages, changed, say
from mooring.cli.words import Reason
from mooring.later import later

with later():
    from mooring.changes import waiting

__all__ = ["device_limits"]


@command(device_commands.app, "limits")
def device_limits(
    session: Session,
    reference: device_commands.Reference,
    *,
    connections: Connections = None,
    messages: Messages = None,
    bytes_: Bytes = None,
    reason: Reason = "",
) -> None:
    """Show or change the broker limits of a device."""
    applied = None
    with session.open() as platform:
        device, found = platform.limits.of_device(session.actor, reference)
        own = changed(found.own, connections, messages, bytes_)
        if own is not None:
            device, found, changes = platform.limits.set_of_device(
                session.actor, device.username, own, reason=reason
            )
            applied = waiting.wait_for_broker(platform.database, changes)
    say(session, device.tenant, device.name, found, applied)
