"""``mooring command`` and ``mooring device command``: commands to devices."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import device as device_commands
from mooring.cli import many
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.commands import documents, model, rules, service
    from mooring.publish import broadcast as broadcast_service
    from mooring.publish import service as publish

if TYPE_CHECKING:
    from mooring.commands.model import Command, NewCommand

__all__ = ["app"]

app = noun("Commands to devices.")

WAIT_SECONDS = 0.1  # between two looks
NOT_DONE = 1

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the command.")]
Parameters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Parameters; a value is JSON or a text."),
]
Body = Annotated[
    str | None, typer.Option("--params", metavar="JSON", help="All parameters, as JSON.")
]
OnChannel = Annotated[
    str | None, typer.Option("--channel", help="Channel of the dialect. Default: its first.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="DURATION", help="How long it may wait to be sent."),
]


@command(device_commands.app, "command")
def device_command(
    session: Session,
    reference: device_commands.Reference,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the command.")],
    parameters: Parameters = None,
    *,
    body: Body = None,
    channel: OnChannel = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Only to a connected device, and within 30 seconds."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the outcome. Exit code 0 if it is done.")
    ] = False,
    expires: Expires = None,
    reply_timeout: Annotated[
        str | None,
        typer.Option(
            "--reply-timeout", metavar="DURATION", help="How long the device may take to answer."
        ),
    ] = None,
    reason: Reason = "",
) -> int:
    """Send a command to a device."""
    new = model.NewCommand(
        name=name,
        parameters=_parameters(parameters or [], body),
        channel=channel,
        now=now,
        expires_ms=_ms(expires),
        reply_timeout_ms=_ms(reply_timeout),
        reason=reason,
    )
    with session.open() as platform:
        commands = platform.service(service.Commands)
        found = commands.send(session.actor, reference, new)
        while wait and not found.over:
            time.sleep(WAIT_SECONDS)
            found = commands.get(session.actor, found.id)
    if session.out.as_json:
        session.out.document(documents.document(found))
    else:
        session.out.say(_sentence(found, waited=wait))
    return NOT_DONE if wait and found.state not in _GOOD() else 0


@command(app, "send")
def send(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the command.")],
    parameters: Parameters = None,
    *,
    names: many.Named = None,
    everyone: many.AllDevices = False,
    where: many.Where = None,
    group: many.Group = None,
    tenant: many.OfTenant = "default",
    body: Body = None,
    channel: OnChannel = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Only to connected devices, and within 30 seconds."),
    ] = False,
    expires: Expires = None,
    pace: many.Pace = "100/s",
    at_once: many.AtOnce = None,
    stop_after: many.StopAfter = None,
    stop_share: many.StopShare = None,
    wait: many.Wait = False,
    broadcast: Annotated[
        bool,
        typer.Option(
            "--broadcast", help="One message on the topic of the group, which nobody answers."
        ),
    ] = False,
    reason: Reason = "",
) -> int:
    """Send a command to many devices: a job that is tracked at each of them."""
    if broadcast:
        return _broadcast(
            session,
            tenant,
            group if (names, everyone, where) == (None, False, None) else None,
            model.NewCommand(
                name, parameters=_parameters(parameters or [], body), channel=channel, reason=reason
            ),
        )
    what = {
        "name": name,
        "parameters": _parameters(parameters or [], body),
        "channel": channel,
        "now": now,
        "expires_seconds": None if expires is None else seconds_of(expires),
    }
    plan = many.plan_of(pace, at_once=at_once, stop_after=stop_after, stop_share=stop_share)
    chosen = many.selector_of(tenant, names=names, everyone=everyone, where=where, group=group)
    return many.start(session, many.new_job("command", what, chosen, plan, reason), wait=wait)


def _broadcast(session: Session, tenant: str, group: str | None, new: NewCommand) -> int:
    if group is None:
        raise Invalid(
            "A broadcast goes to one group.", hint="Use --group GROUP.", code="which_devices"
        )
    with session.open() as platform:
        broadcasts = platform.service(broadcast_service.Broadcasts)
        written = broadcasts.write(session.actor, tenant, group, new)
        broadcasts.wait(session.actor, written, publish.SENT_SECONDS)
    if session.out.as_json:
        session.out.document(
            {
                "command_id": written.number,
                "group": group,
                "topics": list(written.topics),
                "left_out": written.left_out,
            }
        )
        return 0
    session.out.say(
        f"The broker has taken {written.number} on {', '.join(map(clean, written.topics))}. No "
        f"device answers it, so what becomes of it is not known."
    )
    if written.left_out:
        session.out.note(
            f"{written.left_out} devices of the group have a dialect without such a topic. They do "
            f"not receive it."
        )
    return 0


@command(app, "list")
def list_(
    session: Session,
    *,
    reference: Annotated[
        str | None, typer.Option("--device", help="Only commands of this device.")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only commands in this state.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List commands, the newest first."""
    with session.open() as platform:
        found = platform.service(service.Commands).listed(
            session.actor,
            device=reference,
            states=[_state(one) for one in state or ()],
            limit=limit,
        )
    if session.out.as_json:
        session.out.document({"commands": [documents.document(one) for one in found]})
        return
    session.out.table(
        ["Number", "Device", "Command", "State", "Created", "Sent", "By", "Evidence"],
        [
            [
                one.id,
                one.device,
                one.name,
                one.state + (", late" if one.late else ""),
                ago(one.created_at),
                ago(one.sent_at) if one.sent_at else "",
                one.actor,
                one.evidence[-1].detail,
            ]
            for one in found
        ],
        right=["Number"],
        empty="No commands.",
    )


@command(app, "show")
def show(session: Session, number: Number) -> None:
    """Show a command with the evidence for its state."""
    with session.open() as platform:
        found = platform.service(service.Commands).get(session.actor, number)
    _print(session, found)


@command(app, "cancel")
def cancel(session: Session, number: Number, reason: Reason = "") -> None:
    """Cancel a command, or ask the device to."""
    with session.open() as platform:
        found = platform.service(service.Commands).cancel(session.actor, number, reason=reason)
    if not found.over and not session.out.as_json:
        session.out.say(
            "The command was sent. The device is asked to cancel it. See "
            f"`mooring command show {number}`."
        )
        return
    _print(session, found)


def _print(session: Session, found: Command) -> None:
    if session.out.as_json:
        session.out.document(documents.document(found))
        return
    session.out.facts(
        [
            ("command", f"{found.name} ({found.uid})"),
            ("device", found.device),
            ("state", found.state + (", late" if found.late else "")),
            ("topic", found.topic),
            ("parameters", json.dumps(dict(found.parameters), ensure_ascii=False)),
            ("delivery", found.delivery.replace("_", " ")),
            ("attempts", found.attempts),
            ("by", f"{found.actor}{': ' if found.reason else ''}{found.reason}"),
            *([("answer", json.dumps(found.result, ensure_ascii=False))] if found.result else []),
        ]
    )
    session.out.say()
    session.out.table(
        ["Time", "State", "Evidence", "Detail"],
        [[iso(one.at), one.state, one.kind, one.detail] for one in found.evidence],
    )


def _GOOD() -> frozenset[Any]:  # noqa: N802 - a constant of a module that is imported later
    return frozenset({rules.State.DONE, rules.State.UNCONFIRMED})


def _sentence(found: Command, *, waited: bool) -> str:
    what = f"Command {found.id} ({found.name}) to {found.device}"
    if found.state is rules.State.UNCONFIRMED:
        return f"{what} was sent. Its dialect has no answer, so nothing more is known."
    if not waited or not found.over:
        return f"{what} is {found.state}. See `mooring command show {found.id}`."
    last = found.evidence[-1].detail
    return f"{what} is {str(found.state).replace('_', ' ')}{': ' if last else '.'}{last}"


def _parameters(pairs: list[str], body: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if body is not None:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise Invalid(
                f"The parameters are not valid JSON: {exc}.", code="invalid_payload"
            ) from exc
        if not isinstance(found, dict):
            raise Invalid("The parameters must be a JSON object.", code="invalid_payload")
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise Invalid(
                f"{pair!r} is not a parameter.",
                hint="Write it as KEY=VALUE.",
                code="invalid_parameter",
            )
        try:
            found[key] = json.loads(value)
        except (ValueError, RecursionError):
            found[key] = value
    return found


def _ms(duration: str | None) -> int | None:
    return None if duration is None else int(seconds_of(duration) * 1000)


def _state(word: str) -> Any:
    try:
        return rules.State(word)
    except ValueError as exc:
        raise Invalid(
            f"{word!r} is not a state of commands.",
            hint=f"Use one of: {', '.join(rules.State)}.",
            code="invalid_state",
        ) from exc
