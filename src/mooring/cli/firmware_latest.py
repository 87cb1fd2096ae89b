"""``mooring firmware latest``: releases that are announced to every device of a dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.firmware import app
from mooring.cli.frame import Session, command
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.ota.latest import documents, service

if TYPE_CHECKING:
    from mooring.ota.latest.model import Reached

__all__: list[str] = []


@command(app, "latest")
def latest(
    session: Session,
    *,
    limit: Limit = 50,
    before: Annotated[
        int | None,
        typer.Option("--before", help="Continue below the announcement with this number."),
    ] = None,
) -> None:
    """List releases that were announced to every device, the newest first."""
    with session.open() as platform:
        found = platform.service(service.Announcements).listed(
            session.actor, limit=limit, before=before
        )
    if session.out.as_json:
        session.out.document({"announcements": [documents.document(one) for one in found]})
        return
    session.out.table(
        ["Number", "Topic", "Release", "State", "Since", "By update", "By topic", "Before"],
        [
            [
                one.id,
                one.topic,
                one.release,
                one.ended_why or "announced",
                ago(one.ended_at or one.at),
                *_counts(reached),
            ]
            for one, reached in found
        ],
        right=["Number", "By update", "By topic", "Before"],
        empty="Nothing is announced. `mooring rollout announce` does that after the last gate.",
    )


def _counts(reached: Reached | None) -> list[int | str]:
    """Devices that report the version; a dash where they are not counted."""
    return ["-"] * 3 if reached is None else list(reached)
