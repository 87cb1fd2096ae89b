"""``mooring device downlinks``: messages to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import device as device_commands
from mooring.cli.frame import Session, command
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason

if TYPE_CHECKING:
    from mooring.downlink.model import Downlink

__all__ = ["device_downlinks"]


@command(device_commands.app, "downlinks")
def device_downlinks(
    session: Session,
    reference: device_commands.Reference,
    *,
    limit: Limit = 50,
    cancel: Annotated[
        int | None, typer.Option("--cancel", min=1, help="Number of the downlink to cancel.")
    ] = None,
    reason: Reason = "",
) -> None:
    """List the messages to a device: waiting, sent and expired."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        if cancel is not None:
            found = [platform.downlinks.cancel(session.actor, device, cancel, reason=reason)]
        else:
            found = platform.downlinks.of_device(session.actor, device, limit=limit)
    if session.out.as_json:
        session.out.document({"device": device.name, "downlinks": [_document(d) for d in found]})
        return
    session.out.table(
        ["Number", "State", "Topic", "Written", "Sent", "Attempts", "Expires", "From", "Reason"],
        [
            [
                one.id,
                one.state,
                one.topic,
                ago(one.created_at),
                ago(one.sent_at) if one.sent_at else "",
                one.attempts,
                "" if one.over else iso(one.expires_at),
                one.origin,
                one.error or one.reason,
            ]
            for one in found
        ],
        right=["Number", "Attempts"],
        empty=f"Nothing was sent to {device.name} lately.",
    )


def _document(one: Downlink) -> dict[str, Any]:
    return {
        "id": one.id,
        "topic": one.topic,
        "qos": one.qos,
        "state": str(one.state),
        "over": one.over,
        "attempts": one.attempts,
        "until": str(one.until),
        "origin": one.origin,
        "reason": one.reason,
        "error": one.error,
        "created_at": iso(one.created_at),
        "next_at": iso(one.next_at),
        "expires_at": iso(one.expires_at),
        "sent_at": iso(one.sent_at),
        "finished_at": iso(one.finished_at),
    }
