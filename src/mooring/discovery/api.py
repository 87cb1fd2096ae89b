"""Routes of unknown devices and of rules about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from mooring.discovery import documents
from mooring.discovery.model import Action, NewRule, State
from mooring.discovery.service import Discovery
from mooring.web.auth import Who
from mooring.web.fields import Document, Line, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["discovery"])

DiscoveryNow = Annotated[Discovery, provided(Discovery)]

UnknownName = Annotated[
    str,
    Path(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$", description="Its name."),
]
OfDialect = Annotated[Word | None, Query(description="Its dialect, if several have such a device.")]
OfTenant = Annotated[Word | None, Query(description="Its tenant, if several have such a device.")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the rule in the list.")]


class UnknownOut(Document):
    """A device that was heard and is not known."""

    name: str
    dialect: str
    tenant: str = Field(description="`default` where topics of the dialect name no tenant.")
    state: Literal["pending", "accepted", "refused"]
    heard: Literal["registration", "message", "login"] = Field(
        description="It registered, published otherwise, or only tried to log in."
    )
    first_seen_at: Time
    last_seen_at: Time
    registered_at: Time | None
    messages: int
    last_topic: str
    about: dict[str, Any] = Field(description="What it says of itself. Nobody has checked it.")
    decided_at: Time | None
    until: Time | None = Field(description="End of the decision; then it is pending again.")
    actor: str = Field(description="Who decided.")
    reason: str


class AcceptIn(Document):
    """`owner` is the tenant that is to own the device, if its topics name none."""

    owner: Word | None = None
    label: Line = ""
    groups: tuple[Word, ...] = ()
    expires_in: Annotated[float, Field(ge=1, le=315_360_000, description="Seconds.")] | None = None
    reason: Reason = ""


class AcceptedOut(Document):
    """The device claims its credentials with `code`, which is shown only once."""

    device: str
    tenant: str
    dialect: str
    claim: int = Field(description="Number of the claim code.")
    code: str
    expires_at: Time


class RefuseIn(Document):
    reason: Reason = ""


class RuleIn(Document):
    """A rule about unknown devices of one dialect."""

    dialect: Word
    pattern: Annotated[
        Word, Field(description="Device name; `*` stands for any characters, at most three times.")
    ]
    action: Literal["accept", "refuse"]
    tenant: Word | None = None
    per_day: Annotated[
        int, Field(ge=0, le=100_000, description="Devices it accepts in one day (UTC).")
    ] = 0
    reason: Reason = ""


class RuleOut(Document):
    id: int
    tenant: str
    dialect: str
    pattern: str
    action: Literal["accept", "refuse"]
    per_day: int
    used_today: int
    used: int
    created_at: Time
    created_by: str


class NewRuleOut(RuleOut):
    code: str | None = Field(description="Fleet code of a rule that accepts, shown only once.")


@router.get("/discovery", response_model=PageOf[UnknownOut])
def list_unknown(
    *,
    discovery: DiscoveryNow,
    who: Who,
    paging: PagingDep,
    tenant: Word | None = None,
    dialect: Word | None = None,
    state: Literal["pending", "accepted", "refused"] | None = None,
) -> PageOf[dict[str, Any]]:
    """Lists unknown devices. The one that was heard last comes first."""
    key = paging.key(int, str, str, str)
    found = discovery.page(
        who,
        limit=paging.limit + 1,
        after=key,
        tenant=tenant,
        dialect=dialect,
        state=None if state is None else State(state),
    )
    shown = found[: paging.limit]
    last = shown[-1] if len(found) > paging.limit else None
    return paging.page(
        [documents.unknown(one) for one in shown],
        None if last is None else (last.last_seen_at, last.dialect, last.tenant, last.name),
    )


@router.get("/discovery/{unknown}", response_model=UnknownOut)
def show_unknown(
    discovery: DiscoveryNow,
    who: Who,
    unknown: UnknownName,
    dialect: OfDialect = None,
    tenant: OfTenant = None,
) -> dict[str, Any]:
    """Returns an unknown device."""
    return documents.unknown(discovery.get(who, unknown, dialect=dialect, tenant=tenant))


@router.post("/discovery/{unknown}/accept", status_code=201, response_model=AcceptedOut)
def accept_unknown(
    *,
    discovery: DiscoveryNow,
    who: Who,
    unknown: UnknownName,
    given: AcceptIn,
    dialect: OfDialect = None,
    tenant: OfTenant = None,
) -> dict[str, Any]:
    """Accepts an unknown device: creates a claim code for a device of its name."""
    made = discovery.accept(
        who,
        unknown,
        dialect=dialect,
        tenant=tenant,
        into=given.owner,
        label=given.label,
        groups=tuple(given.groups),
        seconds=given.expires_in,
        reason=given.reason,
    )
    return documents.accepted(made)


@router.post("/discovery/{unknown}/refuse", response_model=UnknownOut)
def refuse_unknown(
    *,
    discovery: DiscoveryNow,
    who: Who,
    unknown: UnknownName,
    given: RefuseIn,
    dialect: OfDialect = None,
    tenant: OfTenant = None,
) -> dict[str, Any]:
    """Refuses an unknown device for `discovery_refused_hours`."""
    return documents.unknown(
        discovery.refuse(who, unknown, dialect=dialect, tenant=tenant, reason=given.reason)
    )


@router.get("/discovery-rules", response_model=PageOf[RuleOut])
def list_discovery_rules(
    discovery: DiscoveryNow, who: Who, paging: PagingDep
) -> PageOf[dict[str, Any]]:
    """Lists rules about unknown devices, the oldest first."""
    (after,) = paging.key(int) or (0,)
    found = discovery.rules(who, limit=paging.limit + 1, after=int(after))
    return paging.cut([documents.rule(rule) for rule in found], lambda item: (item["id"],))


@router.post("/discovery-rules", status_code=201, response_model=NewRuleOut)
def add_discovery_rule(discovery: DiscoveryNow, who: Who, new: RuleIn) -> dict[str, Any]:
    """Adds a rule. The answer shows the fleet code of one that accepts only once."""
    made = discovery.add_rule(
        who,
        NewRule(
            new.dialect,
            new.pattern,
            Action(new.action),
            new.tenant or who.tenant or "default",
            new.per_day,
        ),
        reason=new.reason,
    )
    return {**documents.rule(made.rule), "code": made.code}


@router.delete("/discovery-rules/{number}", response_model=RuleOut)
def remove_discovery_rule(
    discovery: DiscoveryNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Removes a rule. Its fleet code ends; devices that it accepted keep their credentials."""
    return documents.rule(discovery.remove_rule(who, number, reason=reason))
