"""``mooring cert rollover``: replacing the CA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.cert import KeyWord, app, info_document, settled
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import clean
from mooring.cli.words import Yes
from mooring.later import later

with later():
    from mooring.pki import model as pki_model

if TYPE_CHECKING:
    from mooring.pki.rollover import RolloverStatus

__all__ = ["rollover"]

NAMED = 20

rollover = noun("Replace the CA, with a period in which both are trusted.")
app.add_typer(rollover, name="rollover")


@command(rollover, "start")
def start(
    session: Session,
    *,
    key_type: Annotated[
        KeyWord | None, typer.Option("--key-type", help="Key type of the new CA.")
    ] = None,
) -> None:
    """Create a new CA. Both are trusted from then on."""
    with session.open() as platform:
        done = platform.certificates.rollover_start(
            session.actor, None if key_type is None else pki_model.KeyType(key_type)
        )
        settled(
            session, platform, done, "Both CAs are trusted now. Give the devices the new trust.crt."
        )


@command(rollover, "status")
def status(session: Session) -> None:
    """Count devices seen on the new CA, on the old CA, and on neither."""
    with session.open() as platform:
        found = platform.certificates.rollover(session.actor)
    if session.out.as_json:
        session.out.document(None if found is None else _document(found))
    elif found is None:
        session.out.say("No rollover is in progress. Start one with `mooring cert rollover start`.")
    else:
        _print(session, found)


@command(rollover, "finish")
def finish(
    session: Session,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Proceed even if some devices would lose access.")
    ] = False,
    yes: Yes = False,
) -> int | None:
    """Trust only the new CA, and destroy the key of the old one."""
    with session.open() as platform:
        question = "Permanently discard the old CA?"
        if not session.confirm(question, yes=yes):
            session.out.note("Both CAs are still trusted.")
            return 1
        done = platform.certificates.rollover_finish(session.actor, force=force)
        settled(session, platform, done, "Only the new CA is trusted now.")
    return None


def _print(session: Session, found: RolloverStatus) -> None:
    session.out.facts(
        [
            ("old CA", f"{found.old.subject}, ends {found.old.not_after:%Y-%m-%d}"),
            ("new CA", f"{found.new.subject}, ends {found.new.not_after:%Y-%m-%d}"),
            ("devices", found.fleet),
            ("seen on the new CA", found.on_new),
            ("seen on the old CA", found.on_old),
            ("not seen", found.unseen),
            ("with certificates of the old CA only", len(found.uncertified)),
        ]
    )
    if found.ready:
        session.out.say("\nNo device is pending. Finish with `mooring cert rollover finish`.")
        return
    names = ", ".join(clean(name) for name in found.waiting[:NAMED])
    more = f" and {len(found.waiting) - NAMED} more" if len(found.waiting) > NAMED else ""
    session.out.say(f"\nPending devices: {names}{more}")


def _document(found: RolloverStatus) -> dict[str, Any]:
    return {
        "old": info_document(found.old),
        "new": info_document(found.new),
        "fleet": found.fleet,
        "on_new": found.on_new,
        "on_old": found.on_old,
        "unseen": found.unseen,
        "uncertified": list(found.uncertified),
        "waiting": list(found.waiting),
        "ready": found.ready,
    }
