"""``mooring discovery``: unknown devices, and rules about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.discovery import documents, model, service
    from mooring.store import engine

if TYPE_CHECKING:
    from mooring.discovery.model import Unknown

__all__ = ["app"]

app = noun("Unknown devices: accept them, or refuse them.")
rules = noun("Rules that accept or refuse unknown devices.")
app.add_typer(rules, name="rule")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the unknown device.")]
OfDialect = Annotated[
    str | None, typer.Option("--dialect", "-d", help="Its dialect, if several have one.")
]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Its tenant, if several have one.")]
STATES = ("pending", "accepted", "refused")


@command(app, "list")
def list_(
    session: Session,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="Only devices in this state.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", "-d", help="Only devices of this dialect.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Only devices of this tenant.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List unknown devices. The device that was heard last comes first."""
    if state is not None and state not in STATES:
        raise Invalid(
            f"{state!r} is not a state of unknown devices.",
            hint=f"Use one of: {', '.join(STATES)}.",
            code="invalid_state",
        )
    with session.open() as platform:
        found = platform.service(service.Discovery).page(
            session.actor,
            limit=limit + 1,
            tenant=tenant,
            dialect=dialect,
            state=None if state is None else model.State(state),
        )
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document({"unknown": [documents.unknown(one) for one in shown], "more": more})
        return
    session.out.table(
        ["Device", "Tenant", "Dialect", "State", "Heard by", "Last seen"],
        [
            [one.name, one.tenant, one.dialect, one.state, one.heard, ago(one.last_seen_at)]
            for one in shown
        ],
        empty="No unknown devices.",
    )
    if more:
        session.out.note("More are available. Raise --limit.")


@command(app, "show")
def show(session: Session, name: Name, dialect: OfDialect = None, tenant: OfTenant = None) -> None:
    """Show an unknown device, and what it says of itself."""
    with session.open() as platform:
        found = platform.service(service.Discovery).get(
            session.actor, name, dialect=dialect, tenant=tenant
        )
    _print(session, found)


@command(app, "accept")
def accept(
    session: Session,
    name: Name,
    *,
    dialect: OfDialect = None,
    tenant: OfTenant = None,
    owner: Annotated[
        str | None,
        typer.Option(
            "--owner", help="Tenant that is to own the device, if its topics name no tenant."
        ),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="Label for people, such as Kitchen.")] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Group of the device. May be repeated.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Validity of the code, such as 7d.")
    ] = None,
    reason: Reason = "",
) -> None:
    """Accept an unknown device: create a claim code with which it gets its credentials."""
    with session.open() as platform:
        made = platform.service(service.Discovery).accept(
            session.actor,
            name,
            dialect=dialect,
            tenant=tenant,
            into=owner,
            label=label,
            groups=tuple(group or ()),
            seconds=seconds_of(expires) if expires else None,
            reason=reason,
        )
    if session.out.as_json:
        session.out.document(documents.accepted(made))
        return
    until = iso(made.issued.claim.expires_at)
    session.out.say(
        f"{clean(made.name)} is accepted. Claim code: {made.issued.code}\n"
        f"Valid until {until}. It is shown only once. The device sends it to "
        "POST /api/v1/claims with its hardware ID and gets its credentials."
    )


@command(app, "refuse")
def refuse(
    session: Session,
    name: Name,
    *,
    dialect: OfDialect = None,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Refuse an unknown device. It is not listed as pending for discovery_refused_hours."""
    with session.open() as platform:
        found = platform.service(service.Discovery).refuse(
            session.actor, name, dialect=dialect, tenant=tenant, reason=reason
        )
    if session.out.as_json:
        session.out.document(documents.unknown(found))
    else:
        session.out.say(f"{clean(found.name)} is refused until {iso(found.until)}.")


@command(rules, "add")
def rule_add(
    session: Session,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="accept or refuse.")],
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="Device name, in which * stands for any characters."
        ),
    ],
    *,
    dialect: Annotated[str, typer.Option("--dialect", "-d", help="Dialect the devices speak.")],
    tenant: Annotated[
        str, typer.Option("--tenant", help="Tenant that owns the devices.")
    ] = "default",
    per_day: Annotated[
        int,
        typer.Option("--per-day", min=0, help="Devices that the rule accepts in one day (UTC)."),
    ] = 0,
    reason: Reason = "",
) -> None:
    """Add a rule. A rule that accepts has a fleet code, which is shown only once."""
    if action not in ("accept", "refuse"):
        raise Invalid(
            f"{action!r} is not an action of rules.",
            hint="Use accept or refuse.",
            code="invalid_action",
        )
    new = model.NewRule(dialect, pattern, model.Action(action), tenant, per_day)
    with session.open() as platform:
        made = platform.service(service.Discovery).add_rule(session.actor, new, reason=reason)
    if session.out.as_json:
        session.out.document({**documents.rule(made.rule), "code": made.code})
        return
    session.out.say(f"Rule {made.rule.id} is added.")
    if made.code is not None:
        session.out.say(
            f"Fleet code: {made.code}\n"
            "It is shown only once. Devices send it to POST /api/v1/claims with their name as "
            "hardware ID. Every program that has the code can claim any name that the rule accepts."
        )


@command(rules, "list")
def rule_list(session: Session, *, limit: Limit = 100) -> None:
    """List rules."""
    with session.open() as platform:
        found = platform.service(service.Discovery).rules(session.actor, limit=limit)
    if session.out.as_json:
        session.out.document({"rules": [documents.rule(rule) for rule in found]})
        return
    now = engine.now_ms()
    session.out.table(
        ["Number", "Action", "Tenant", "Dialect", "Pattern", "Per day", "Today", "Total"],
        [
            [
                rule.id,
                rule.action,
                rule.tenant,
                rule.dialect,
                rule.pattern,
                rule.per_day or "",
                rule.today(now),
                rule.used,
            ]
            for rule in found
        ],
        right=["Number", "Per day", "Today", "Total"],
        empty="No rules. Unknown devices stay pending until a person decides.",
    )


@command(rules, "remove")
def rule_remove(
    session: Session,
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", help="Number from `mooring discovery rule list`.")
    ],
    *,
    reason: Reason = "",
) -> None:
    """Remove a rule and its fleet code. Devices that it accepted keep their credentials."""
    with session.open() as platform:
        removed = platform.service(service.Discovery).remove_rule(
            session.actor, number, reason=reason
        )
    if session.out.as_json:
        session.out.document({"removed": documents.rule(removed)})
    else:
        session.out.say(f"Rule {removed.id} is removed.")


def _print(session: Session, found: Unknown) -> None:
    if session.out.as_json:
        session.out.document(documents.unknown(found))
        return
    session.out.facts(
        [
            ("device", found.name),
            ("tenant", found.tenant),
            ("dialect", found.dialect),
            ("state", found.state),
            ("heard by", found.heard),
            ("first seen", iso(found.first_seen_at)),
            ("last seen", iso(found.last_seen_at)),
            ("messages", found.messages),
            *([("last topic", found.last_topic)] if found.last_topic else []),
            *(
                [("says of itself", json.dumps(found.about, ensure_ascii=False))]
                * bool(found.about)
            ),
            *(
                [
                    ("decided by", f"{found.actor}{': ' if found.reason else ''}{found.reason}"),
                    ("until", iso(found.until)),
                ]
                if found.decided_at
                else []
            ),
        ]
    )
