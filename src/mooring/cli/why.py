"""``mooring device why``: why a device cannot connect, or why no data arrives from it."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.device import app
from mooring.cli.frame import Session, command
from mooring.cli.output import ago, clean
from mooring.later import later

with later():
    from mooring.doctor import documents

__all__ = ["why"]


@command(app, "why")
def why(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE",
            help="Name, tenant:name, username or MAC address of the device, or the username of a "
            "removed device.",
        ),
    ],
) -> int:
    """Diagnose why a device cannot connect, or why no data arrives from it, with the evidence.
    Exit code 0 only if the device has no problem.
    """
    with session.open() as platform:
        found = platform.diagnosis.why(session.actor, reference)
    verdict = found.verdict
    if session.out.as_json:
        session.out.document(documents.diagnosis(found))
    else:
        session.out.say(clean(verdict.summary))
        if verdict.next_step:
            session.out.say(clean(verdict.next_step))
        if verdict.evidence:
            session.out.say()
            session.out.table(
                ["When", "Evidence"],
                [[ago(one.at) if one.at else "", clean(one.text)] for one in verdict.evidence],
            )
    return 0 if verdict.well else 1
