"""``mooring device gaps``: missing sequence numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.device import app
from mooring.cli.frame import Session, command
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.sequences import documents
    from mooring.sequences import numbers as sequences
    from mooring.sequences import store as gap_store

if TYPE_CHECKING:
    from mooring.sequences.store import DeviceNumbers

__all__ = ["gaps"]

RANGES_SHOWN = 8


@command(app, "gaps")
def gaps(
    session: Session,
    reference: Annotated[
        str | None,
        typer.Argument(metavar="[DEVICE]", help="Device. Default: all devices with gaps."),
    ] = None,
    *,
    limit: Limit = 50,
) -> None:
    """List numbered readings that have not arrived."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference) if reference else None
        with platform.database.read() as connection:
            if device is None:
                found = gap_store.with_gaps(connection, session.actor, limit=limit)
            else:
                one = gap_store.numbers_of(connection, device.id)
                found = [one] if one is not None else []
    if session.out.as_json:
        session.out.document({"devices": [documents.numbers(one) for one in found]})
        return
    empty = "No gaps. All numbered readings have arrived."
    if device is not None:
        empty = f"{device.name} has not sent a numbered reading yet."
    session.out.table(
        ["Device", "Tenant", "Complete to", "Highest", "Missing", "Given up", "Since", "Asked"],
        [
            [
                one.name,
                one.tenant,
                one.numbers.upto,
                one.numbers.highest,
                _missing_text(one),
                one.numbers.lost,
                ago(one.gap_since) if one.gap_since else "",
                ago(one.asked_at) if one.asked_at and one.gap_since else "",
            ]
            for one in found
        ],
        right=["Complete to", "Highest", "Given up"],
        empty=empty,
    )


def _missing_text(one: DeviceNumbers) -> str:

    ranges = sequences.gaps(one.numbers)
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in ranges[:RANGES_SHOWN]]
    if len(ranges) > RANGES_SHOWN:
        shown.append(f"and {len(ranges) - RANGES_SHOWN} more ranges")
    return ", ".join(shown) or "nothing"
