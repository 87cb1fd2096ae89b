"""``mooring rollout announce`` and ``retract``: a proven release for every device of a dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command
from mooring.cli.rollout import Number, app
from mooring.cli.words import Reason, Yes
from mooring.later import later

with later():
    from mooring.ota.latest import documents, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mooring.ota.latest.model import Shown

__all__: list[str] = []


@command(app, "announce")
def announce(
    session: Session,
    number: Number,
    *,
    force_hardware: Annotated[
        bool,
        typer.Option("--force-hardware", help="Also where devices of unknown hardware read it."),
    ] = False,
    yes: Yes = False,
    reason: Reason = "",
) -> int:
    """Announce a release to all devices of its dialects, after the last gate."""
    with session.open() as platform:
        announcements = platform.service(service.Announcements)
        rollout = announcements.rollouts.get(session.actor, number)
        words = (
            f"{rollout.release.reference} is announced to every device of every tenant that "
            "speaks the dialects of this rollout. Continue?"
        )
        if not session.confirm(words, yes=yes):
            session.out.note("Nothing was announced.")
            return 1
        made = announcements.announce(
            session.actor, number, force_hardware=force_hardware, reason=reason
        )
    _say(session, made, "is announced on")
    return 0


@command(app, "retract")
def retract(session: Session, number: Number, *, reason: Reason = "") -> None:
    """Take an announcement back. Its topic is cleared and its link ends."""
    with session.open() as platform:
        ended = platform.service(service.Announcements).retract(
            session.actor, number, reason=reason
        )
    _say(session, ended, "is not announced any more on")


def _say(session: Session, some: Sequence[Shown], words: str) -> None:
    if session.out.as_json:
        session.out.document({"announcements": [documents.document(one) for one in some]})
        return
    for one, _ in some:
        session.out.say(f"{one.release} {words} {one.topic}.")
