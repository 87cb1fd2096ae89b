"""``mooring clock``: the machine's clock and the time that Mooring counts."""

from __future__ import annotations

from typing import Any

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import clean, iso
from mooring.cli.words import Yes
from mooring.clock import Anchor, Reading, Trust, deletion_ms, now_of
from mooring.later import later

with later():
    from mooring import clock
    from mooring.audit import log as audit_log
    from mooring.store import clock as stored

__all__ = ["app", "document", "problem_of"]

LAG_NOTED_MS = 7 * 86_400_000  # deletion may be late by a week of downtime without a word

app = noun("The machine's clock and the time that Mooring counts.")


def problem_of(anchor: Anchor, reading: Reading) -> str:
    """Problems with the clock as sentences; empty if none exist. Pure."""
    counted = now_of(anchor, reading)
    away = reading.wall - counted
    if anchor.trust is Trust.UNSET and (anchor.off or away):
        return (
            f"This machine's clock was never set: it says {_time(reading.wall)}. Messages are "
            f"dated from {_time(counted)} on, and nothing is deleted. Set the clock."
        )
    if away:
        return (
            f"This machine's clock may be wrong: it says {_time(reading.wall)}, and by the time "
            f"that has passed it is {_time(counted)}. Messages are dated by the latter, and "
            "nothing is deleted. Set the clock; if it is right, run: mooring clock confirm"
        )
    if anchor.lag >= LAG_NOTED_MS and deletion_ms(anchor, reading) != reading.wall:
        return (
            f"This machine's clock went forward by {_days(anchor.lag)} days while Mooring could "
            "not count. Old data is deleted that much later until this is confirmed. "
            "If the clock is right, run: mooring clock confirm"
        )
    return ""


def document(anchor: Anchor, reading: Reading) -> dict[str, Any]:
    """The same facts as a JSON document. Pure."""
    counted = now_of(anchor, reading)
    return {
        "machine": iso(reading.wall),
        "counted": iso(counted),
        "off_seconds": round((reading.wall - counted) / 1000),
        "trust": str(anchor.trust),
        "deletes_before": iso(deletion_ms(anchor, reading)),
        "problem": problem_of(anchor, reading),
    }


@command(app)
def show(session: Session) -> int:
    """Show both times. Exit code 0 only if they agree."""
    with session.open() as platform, platform.database.read() as connection:
        reading = clock.read()
        found = document(stored.known(connection, reading), reading)
    if session.out.as_json:
        session.out.document(found)
    else:
        session.out.facts(
            [
                ("machine's clock", found["machine"]),
                ("time counted", found["counted"]),
                ("retention counts from", found["deletes_before"] or "nothing is deleted"),
            ]
        )
        session.out.say()
        session.out.say(clean(found["problem"] or "All is well."))
    return 1 if found["problem"] else 0


@command(app)
def confirm(session: Session, *, yes: Yes = False) -> int:
    """Accept the machine's clock as correct. Data past its retention period by that clock is
    deleted."""
    said = _time(clock.read().wall)
    if not session.confirm(f"This machine's clock says {said}. Is that correct?", yes=yes):
        return 1
    with session.open() as platform, platform.database.write() as connection:
        anchor = stored.confirm(connection)
        audit_log.record(connection, session.actor, "clock.confirm", _time(anchor.wall))
    if session.out.as_json:
        session.out.document({"counted": iso(anchor.wall)})
    else:
        session.out.say(f"Mooring counts from {_time(anchor.wall)} on.")
    return 0


def _time(time_ms: int) -> str:
    return (iso(time_ms) or "").replace("T", " ")[:19] + " UTC"


def _days(time_ms: int) -> int:
    return round(time_ms / 86_400_000)
