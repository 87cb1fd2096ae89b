"""Routes of commands."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Header, Path, Query

from mooring.commands.documents import CommandIn, CommandOut, States, document
from mooring.commands.model import NewCommand
from mooring.commands.rules import State
from mooring.commands.service import Commands
from mooring.identity.actor import Actor
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Reason
from mooring.web.paging import PageOf, Paging, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["commands"])

CommandsNow = Annotated[Commands, provided(Commands)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
OfStates = Annotated[list[States] | None, Query(alias="state", description="Only these states.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A request with the same key writes no second command.",
    ),
]


@router.post("/devices/{device}/commands", status_code=202, response_model=CommandOut)
def send_command(
    *,
    commands: CommandsNow,
    who: Who,
    device: DeviceReference,
    given: CommandIn,
    key: Key = None,
) -> dict[str, Any]:
    """Sends a command. It is handed over when the device is connected and subscribed."""
    uid = given.id
    if uid is None and key is not None:
        uid = _uid(who, key)
    new = NewCommand(
        name=given.name,
        parameters=given.parameters,
        channel=given.channel,
        now=given.now,
        expires_ms=_ms(given.expires_seconds),
        reply_timeout_ms=_ms(given.reply_timeout_seconds),
        uid=uid,
        reason=given.reason,
    )
    return document(commands.send(who, device, new))


@router.get("/devices/{device}/commands", response_model=PageOf[CommandOut])
def list_commands_of_device(
    commands: CommandsNow,
    who: Who,
    device: DeviceReference,
    paging: PagingDep,
    states: OfStates = None,
) -> PageOf[dict[str, Any]]:
    """Lists a device's commands, the newest first."""
    return _page(commands, who, paging, states, device)


@router.get("/commands", response_model=PageOf[CommandOut])
def list_commands(
    commands: CommandsNow, who: Who, paging: PagingDep, states: OfStates = None
) -> PageOf[dict[str, Any]]:
    """Lists commands of all devices, the newest first."""
    return _page(commands, who, paging, states, None)


@router.get("/commands/{number}", response_model=CommandOut)
def show_command(commands: CommandsNow, who: Who, number: Number) -> dict[str, Any]:
    """Returns a command with the evidence for its state."""
    return document(commands.get(who, number))


@router.post("/commands/{number}/cancel", response_model=CommandOut)
def cancel_command(
    commands: CommandsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Cancels a command that was not handed over yet. Of one that was, the device is asked to
    cancel it, where its dialect can (`cancel_asked`); otherwise `already_sent`."""
    return document(commands.cancel(who, number, reason=reason))


def _page(
    commands: Commands,
    who: Actor,
    paging: Paging,
    states: list[States] | None,
    device: str | None,
) -> PageOf[dict[str, Any]]:
    key = paging.key(int)
    rows = commands.listed(
        who,
        device=device,
        states=[State(one) for one in states or ()],
        limit=paging.limit + 1,
        before=None if key is None else int(key[0]),
    )
    return paging.cut([document(one) for one in rows], lambda item: (item["number"],))


def _uid(who: Actor, key: str) -> str:
    """The same for the same key of the same person, and no id that could be guessed from it."""
    digest = hashlib.sha256(f"{who.name}\0{who.tenant or ''}\0{key}".encode()).hexdigest()
    return f"c-{digest[:24]}"


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
