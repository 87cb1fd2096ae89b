"""``mooring device key``: public keys with which a device signs tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mooring.cli import device as device_commands
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean
from mooring.cli.words import Reason
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.changes import waiting
    from mooring.devices.keys import documents, service, tokens

__all__ = ["app"]

app = noun("Public keys with which a device signs tokens.")
device_commands.app.add_typer(app, name="key")


@command(app, "add")
def add(
    session: Session,
    reference: device_commands.Reference,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Public key in PEM.")],
    *,
    label: Annotated[str, typer.Option("--label", help="Label of the key.")] = "",
    reason: Reason = "",
) -> None:
    """Add a public key to a device. It exchanges tokens that it signs for short-lived passwords."""
    pem = _read(file)
    with session.open() as platform:
        keys = platform.service(service.DeviceKeys)
        device, key = keys.add(session.actor, reference, pem, label=label, reason=reason)
        audience = keys.audience
    if session.out.as_json:
        session.out.document({**documents.key(key), "audience": audience})
        return
    session.out.say(
        f"The device {clean(device.name)} has the key {key.id} ({key.algorithm}).\n"
        f"Its tokens need: sub = {clean(device.username)}, aud = {clean(audience)}"
    )


@command(app, "list")
def list_(session: Session, reference: device_commands.Reference) -> None:
    """List the public keys of a device."""
    with session.open() as platform:
        keys = platform.service(service.DeviceKeys)
        _, found = keys.listed(session.actor, reference)
        audience = keys.audience
    if session.out.as_json:
        session.out.document({"keys": [documents.key(one) for one in found], "audience": audience})
        return
    session.out.table(
        ["Key", "Algorithm", "Label", "Added", "Newest token"],
        [
            [
                one.id,
                one.algorithm,
                one.label,
                ago(one.created_at),
                "never" if one.issued_at is None else ago(one.issued_at),
            ]
            for one in found
        ],
        empty="No keys yet. Add one with `mooring device key add DEVICE FILE`.",
    )
    session.out.note(f"Audience of tokens: {audience}")


@command(app, "remove")
def remove(
    session: Session,
    reference: device_commands.Reference,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key.")],
    *,
    reason: Reason = "",
) -> None:
    """Remove a key of a device. The password that it got for a token ends, too."""
    with session.open() as platform:
        device, changes = platform.service(service.DeviceKeys).remove(
            session.actor, reference, key, reason=reason
        )
        waiting.wait_for_broker(platform.database, changes)
    if session.out.as_json:
        session.out.document({"removed": key})
    else:
        session.out.say(f"The key {clean(key)} of {clean(device.name)} is removed.")


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(tokens.PEM_MAX + 1)
    except (OSError, UnicodeError) as exc:
        raise Invalid(
            f"The file {file} cannot be read: {type(exc).__name__}.",
            hint="Give a file with a public key in PEM.",
            code="invalid_device_key",
        ) from exc
