"""``mooring dead-letter``: messages that could not be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.telemetry import documents

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = noun("Messages that could not be stored, with the reason.")

PREVIEW_CHARACTERS = 60


@command(app, "list")
def list_(
    session: Session,
    *,
    device: Annotated[
        str | None, typer.Option("--device", help="Only this device, as name or tenant:name.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only this reason, such as not_json.")
    ] = None,
    limit: Limit = 50,
    before: Annotated[
        int | None,
        typer.Option("--before", help="Continue after the dead letter with this number."),
    ] = None,
) -> None:
    """List dead letters, newest first."""
    with session.open() as platform:
        whose = platform.devices.get(session.actor, device) if device else None
        page = platform.telemetry.dead_letters(
            session.actor,
            limit=limit,
            cursor=None if before is None else (before,),
            reason=reason,
            device=whose,
        )
    following = page.next[0] if page.next else None
    if session.out.as_json:
        session.out.document(
            {
                "dead_letters": [documents.dead_letter(letter) for letter in page.items],
                "next_before": following,
            }
        )
        return
    session.out.table(
        ["Number", "When", "Reason", "Device", "Topic", "Bytes", "Detail", "Payload"],
        [
            [
                letter.id,
                ago(letter.received_at),
                letter.reason,
                letter.device,
                letter.topic,
                letter.size,
                letter.detail,
                _preview(letter.payload),
            ]
            for letter in page.items
        ],
        right=["Number", "Bytes"],
        empty="No matching dead letters." if device or reason or before else "No dead letters.",
    )
    if following is not None:
        session.out.note(
            f"More are available. --before {following} shows the next ones, or raise --limit."
        )


def _preview(payload: bytes) -> str:
    text = payload.decode("utf-8", "backslashreplace")
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"
