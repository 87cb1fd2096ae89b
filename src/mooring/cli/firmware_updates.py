"""``mooring firmware offer``, ``updates`` and ``update``: releases on their way to devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.firmware import Reference, app, size_of
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.ota.updates import documents, model, service

if TYPE_CHECKING:
    from mooring.ota.updates.model import State, Update

__all__ = ["updates"]

updates = noun("One release on its way to one device.")
app.add_typer(updates, name="update")

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the update.")]


@command(app, "offer")
def offer(
    session: Session,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Name of the device.")],
    release: Reference,
    *,
    force_downgrade: Annotated[
        bool,
        typer.Option("--force-downgrade", help="Although the device runs a newer version."),
    ] = False,
    force_hardware: Annotated[
        bool,
        typer.Option("--force-hardware", help="Although the device's hardware is not known."),
    ] = False,
    artifact: Annotated[
        str, typer.Option("--file", help="Name of the file. Default: the first complete one.")
    ] = "",
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="DURATION", help="How long it may take to accept."),
    ] = None,
    reason: Reason = "",
) -> None:
    """Offer a release to one device."""
    options = model.Options(
        force_downgrade=force_downgrade,
        force_hardware=force_hardware,
        artifact=artifact,
        expires_ms=None if expires is None else int(seconds_of(expires) * 1000),
        reason=reason,
    )
    with session.open() as platform:
        made = platform.service(service.Updates).offer(session.actor, device, release, options)
    if session.out.as_json:
        session.out.document(documents.document(made))
        return
    session.out.say(f"Update {made.id}: {clean(made.device)} is offered {made.version}.")
    session.out.note(f"Next: mooring firmware update show {made.id}")


@command(app, "updates")
def list_(
    session: Session,
    *,
    device: Annotated[
        str | None, typer.Option("--device", help="Only updates of this device.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", help="Only updates to this release.")
    ] = None,
    job: Annotated[int | None, typer.Option("--job", help="Only updates of this job.")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only updates in this state. May be repeated."),
    ] = None,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Continue below the update with this number.")
    ] = None,
) -> None:
    """List updates of devices, the newest first."""
    with session.open() as platform:
        found = platform.service(service.Updates).listed(
            session.actor,
            device=device,
            release=release,
            job=job,
            states=[_state(one) for one in state or ()],
            limit=limit,
            before=before,
        )
    if session.out.as_json:
        session.out.document({"updates": [documents.document(one, log=False) for one in found]})
        return
    session.out.table(
        ["Number", "Device", "From", "To", "State", "Since", "Why"],
        [
            [
                one.id,
                one.device,
                one.from_version,
                one.version,
                _in_words(one),
                ago(one.state_at),
                _why(one),
            ]
            for one in found
        ],
        right=["Number"],
        empty="No updates.",
    )


@command(updates, "show")
def show(session: Session, number: Number) -> None:
    """Show an update: its states, the device's words and its log."""
    with session.open() as platform:
        found = platform.service(service.Updates).get(session.actor, number)
    _print(session, found)


@command(updates, "cancel")
def cancel(session: Session, number: Number, reason: Reason = "") -> None:
    """Cancel an update, or ask a device that downloads to stop."""
    with session.open() as platform:
        found = platform.service(service.Updates).stop(session.actor, number, reason=reason)
    if not found.over and not session.out.as_json:
        session.out.say(
            "The device is downloading. It is asked to stop, and has 10 minutes. See "
            f"`mooring firmware update show {number}`."
        )
        return
    _print(session, found)


def _print(session: Session, found: Update) -> None:
    if session.out.as_json:
        session.out.document(documents.document(found))
        return
    served = f"{size_of(found.served)} of {size_of(found.size)}"
    session.out.facts(
        [
            ("device", found.device),
            ("release", f"{found.version} ({found.kind}, release {found.release_id})"),
            ("before", found.from_version or "not known"),
            ("state", _in_words(found)),
            ("served", served),
            ("offers", found.offers),
            ("downloads", found.attempts),
            *([("deadline", iso(found.due_at))] if found.due_at is not None else []),
            *([("code", found.code)] if found.code else []),
            *([("words", found.words)] if found.words else []),
            ("by", f"{found.actor}{': ' if found.reason else ''}{found.reason}"),
            *([("job", found.job_id)] if found.job_id is not None else []),
        ]
    )
    session.out.say()
    session.out.table(
        ["Time", "State", "Event", "Detail"],
        [[iso(one.at), one.state, one.event, one.words] for one in found.history],
    )
    if found.log:
        session.out.say()
        for line in found.log.splitlines():
            session.out.say(clean(line))


def _in_words(found: Update) -> str:
    words = str(found.state).replace("_", " ")
    if found.percent is not None and found.state is model.State.DOWNLOADING:
        words += f" {found.percent} %"
    return words


def _why(found: Update) -> str:
    if not found.over:
        return ""
    return ": ".join(filter(None, (found.code, found.words.partition("\n")[0][:200])))


def _state(word: str) -> State:
    try:
        return model.State(word)
    except ValueError as exc:
        raise Invalid(
            f"{word!r} is not a state of updates.",
            hint=f"Use one of: {', '.join(model.State)}.",
            code="invalid_state",
        ) from exc
