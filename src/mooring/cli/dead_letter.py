"""``mooring dead-letter``: messages that could not be stored, and resending them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.ingest.resend import model, service
    from mooring.telemetry import documents

if TYPE_CHECKING:
    from mooring.ingest.resend.model import Tried

__all__ = ["app"]

app = noun("Messages that could not be stored, with the reason.")

PREVIEW_CHARACTERS = 60
OUTCOMES = {"not_found": "not found", "duplicate": "stored already"}


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


@command(app, "resend")
def resend(
    session: Session,
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="[NUMBER]...", help="Numbers of dead letters.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All dead letters that match.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", help="With --all: only this device.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="With --all: only this reason, such as not_json.")
    ] = None,
) -> None:
    """Read dead letters again, and store the messages that can be stored now."""
    if bool(numbers) is every or ((device or reason) and not every):
        raise Invalid(
            "Name dead letters by number, or those that match.",
            hint="Use `mooring dead-letter resend NUMBER...` or `--all`, which takes --device and "
            "--reason.",
            code="nothing_to_resend",
        )
    tried: list[Tried] = []
    with session.open() as platform:
        resending = platform.service(service.Resending)
        if numbers:
            tried += resending.ids(session.actor, numbers).tried
        else:
            # One that the database rejects is a dead letter again, with a larger number.
            newest = platform.telemetry.dead_letters(session.actor, limit=1).items
            last = newest[0].id if newest else 0
            after: int | None = 0
            while after is not None and after < last:
                found = resending.matching(session.actor, reason=reason, device=device, after=after)
                tried += found.tried
                after = found.next_after
    stored = sum(one.outcome is model.Outcome.STORED for one in tried)
    rejected = sum(one.outcome is model.Outcome.REJECTED for one in tried)
    if session.out.as_json:
        results = [one._asdict() for one in tried]
        session.out.document({"results": results, "stored": stored, "rejected": rejected})
        return
    session.out.table(
        ["Number", "Outcome", "Topic", "Reason", "Detail"],
        [
            [one.id, OUTCOMES.get(one.outcome, str(one.outcome)), one.topic, one.reason, one.detail]
            for one in tried
        ],
        right=["Number"],
        empty="No matching dead letters.",
    )
    session.out.note(f"{stored} stored, {rejected} rejected again.")


def _preview(payload: bytes) -> str:
    text = payload.decode("utf-8", "backslashreplace")
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"
