"""``mooring rule``: conditions over readings that raise alerts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.schedule import schedule_document
from mooring.cli.words import Limit, Reason, Yes
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.alerts import documents
    from mooring.alerts.rules import service, trying, words

if TYPE_CHECKING:
    from mooring.alerts.rules.model import Rule

__all__ = ["app"]

app = noun("Rules that raise alerts.")

Name = Annotated[str, typer.Argument(metavar="RULE", help="Name or number of the rule.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the rule.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Tenant of the rule.")]
When = Annotated[
    list[str] | None,
    typer.Option(
        "--when",
        metavar="TERM",
        help="'temperature > 30', 'temperature > 30 clear 28' or 'no data 90s'.",
    ),
]
AnyOf = Annotated[bool, typer.Option("--any", help="One true term is enough. Default: all terms.")]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="DURATION", help="How long it must hold to raise an alert."),
]
ClearFor = Annotated[
    str | None,
    typer.Option(
        "--clear-for", metavar="DURATION", help="How long it must not hold to clear the alert."
    ),
]
SeverityOption = Annotated[
    str | None,
    typer.Option("--severity", help="info, warning, error or critical. Default: warning."),
]
StepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--step", metavar="SEVERITY=VALUE", help="Severity from this value of the first term on."
    ),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="TIMES",
        help="When it raises alerts, for example 'mon-fri 08:00-18:00 Europe/Berlin'.",
    ),
]
OfDialect = Annotated[str | None, typer.Option("--dialect", help="Only devices of this dialect.")]
OfDevice = Annotated[str | None, typer.Option("--device", help="Only this device.")]
OfGroup = Annotated[str | None, typer.Option("--group", help="Only devices of this group.")]
OfQuery = Annotated[
    str | None, typer.Option("--where", metavar="QUERY", help="Only devices that a query finds.")
]
Text = Annotated[str | None, typer.Option("--text", help="Text shown with the alert.")]
File = Annotated[
    Path | None,
    typer.Option("--file", help="File with the rule as JSON instead of options; - reads stdin."),
]
Days = Annotated[
    str, typer.Option("--last", metavar="DURATION", help="How far back readings are evaluated.")
]


@command(app, "add")
def add(
    session: Session,
    name: NewName,
    *,
    when: When = None,
    any_of: AnyOf = False,
    hold: For = None,
    clear_for: ClearFor = None,
    severity: SeverityOption = None,
    step: StepOption = None,
    schedule: Schedule = None,
    dialect: OfDialect = None,
    device: OfDevice = None,
    group: OfGroup = None,
    where: OfQuery = None,
    text: Text = None,
    file: File = None,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Add a rule."""
    document = _document(
        {},
        file,
        when=when,
        any_of=any_of,
        hold=hold,
        clear_for=clear_for,
        severity=severity,
        steps=step,
        schedule=schedule,
        scope={"dialect": dialect, "device": device, "group": group, "where": where},
        text=text,
    )
    with session.open() as platform:
        rules = platform.service(service.Rules)
        found = rules.add(session.actor, name, document, tenant=tenant, reason=reason)
    _print(session, found)


@command(app, "list")
def list_(session: Session, *, tenant: OfTenant = None, limit: Limit = 200) -> None:
    """List rules."""
    with session.open() as platform:
        found = platform.service(service.Rules).listed(session.actor, tenant=tenant, limit=limit)
    if session.out.as_json:
        session.out.document({"rules": [_json(one) for one in found]})
        return
    session.out.table(
        ["Number", "Tenant", "Rule", "Condition", "Severity", "State", "Changed"],
        [
            [
                one.id,
                one.tenant,
                one.name,
                words.condition(one.definition),
                one.definition.severity.word,
                "on" if one.enabled else "off",
                ago(one.updated_at),
            ]
            for one in found
        ],
        right=["Number"],
        empty="No rules.",
    )


@command(app, "show")
def show(session: Session, name: Name, *, tenant: OfTenant = None) -> None:
    """Show a rule."""
    with session.open() as platform:
        found = platform.service(service.Rules).get(session.actor, name, tenant=tenant)
    _print(session, found)


@command(app, "set")
def set_(
    session: Session,
    name: Name,
    *,
    when: When = None,
    any_of: Annotated[
        bool | None, typer.Option("--any/--all", help="One true term is enough, or all terms.")
    ] = None,
    hold: For = None,
    clear_for: ClearFor = None,
    severity: SeverityOption = None,
    step: StepOption = None,
    schedule: Schedule = None,
    dialect: OfDialect = None,
    device: OfDevice = None,
    group: OfGroup = None,
    where: OfQuery = None,
    text: Text = None,
    file: File = None,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Switch the rule on or off.")
    ] = None,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Change a rule. Its open alerts are cleared; what still holds raises new ones."""
    with session.open() as platform:
        rules = platform.service(service.Rules)
        before = rules.get(session.actor, name, tenant=tenant)
        document = _document(
            dict(before.document),
            file,
            when=when,
            any_of=any_of,
            hold=hold,
            clear_for=clear_for,
            severity=severity,
            steps=step,
            schedule=schedule,
            scope={"dialect": dialect, "device": device, "group": group, "where": where},
            text=text,
        )
        found = rules.change(
            session.actor,
            str(before.id),
            document=None if document == before.document else document,
            enabled=on,
            reason=reason,
        )
    _print(session, found)


@command(app, "remove")
def remove(
    session: Session, name: Name, *, tenant: OfTenant = None, yes: Yes = False, reason: Reason = ""
) -> int:
    """Remove a rule and clear its open alerts."""
    if not session.confirm(f"Remove the rule {name}?", yes=yes):
        return 1
    with session.open() as platform:
        rules = platform.service(service.Rules)
        found = rules.remove(session.actor, name, tenant=tenant, reason=reason)
    if session.out.as_json:
        session.out.document({"removed": found.name, "tenant": found.tenant})
    else:
        session.out.say(f"Removed the rule {found.name}.")
    return 0


@command(app, "test")
def test(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="Name or number of the rule.")
    ] = None,
    *,
    last: Days = "7d",
    when: When = None,
    hold: For = None,
    dialect: OfDialect = None,
    device: OfDevice = None,
    group: OfGroup = None,
    where: OfQuery = None,
    file: File = None,
    tenant: OfTenant = None,
) -> None:
    """Evaluate a rule over stored readings: when it would have raised an alert."""
    days = seconds_of(last) / 86_400
    with session.open() as platform:
        trials = platform.service(trying.Trials)
        if name is not None:
            found = trials.of_stored(session.actor, name, days=days, tenant=tenant)
        else:
            document = _document(
                {},
                file,
                when=when,
                hold=hold,
                scope={"dialect": dialect, "device": device, "group": group, "where": where},
            )
            found = trials.of_document(session.actor, document, days=days, tenant=tenant)
    if session.out.as_json:
        document = documents.trial_document(found)
        for one in document["fired"]:
            one |= {key: iso(one[key]) for key in ("raised_at", "cleared_at")}
        session.out.document(document)
        return
    session.out.table(
        ["Device", "Raised", "Cleared", "Severity", "Value"],
        [
            [one.device, iso(one.raised_at), iso(one.cleared_at) or "open", one.severity, one.value]
            for one in found.fired
        ],
        empty="The rule would have raised no alert.",
    )
    session.out.say()
    session.out.facts(
        [
            ("alerts", found.raised),
            ("devices with alerts", f"{found.devices_raised} of {found.devices}"),
            ("messages", found.messages if found.complete else f"{found.messages}, not all"),
            ("late messages", found.late),
        ]
    )


# ---------------------------------------------------------------------- inside


def _print(session: Session, rule: Rule) -> None:
    if session.out.as_json:
        session.out.document(_json(rule))
        return
    definition, document = rule.definition, rule.document
    schedule = document["schedule"]
    scope = [f"{key} {value}" for key, value in document["scope"].items() if value]
    session.out.facts(
        [
            ("rule", f"{rule.name} ({rule.id})"),
            ("tenant", rule.tenant),
            ("state", "on" if rule.enabled else "off"),
            ("condition", words.condition(definition)),
            ("clears after", words.duration_words(definition.clear_for_ms)),
            ("severity", definition.severity.word),
            *[(f"  from {step.value:g}", step.severity.word) for step in definition.steps],
            ("devices", ", ".join(scope) or "all of the tenant"),
            *([("schedule", _schedule_words(schedule))] if schedule else []),
            *([("text", definition.text)] if definition.text else []),
            ("version", rule.version),
            ("changed", iso(rule.updated_at)),
        ]
    )


def _schedule_words(schedule: dict[str, Any]) -> str:
    return f"{','.join(schedule['days'])} {schedule['from']}-{schedule['to']} {schedule['zone']}"


def _json(rule: Rule) -> dict[str, Any]:
    document = documents.rule_document(rule)
    return document | {key: iso(document[key]) for key in ("created_at", "updated_at")}


def _document(
    base: dict[str, Any],
    file: Path | None,
    *,
    when: list[str] | None = None,
    any_of: bool | None = None,
    hold: str | None = None,
    clear_for: str | None = None,
    severity: str | None = None,
    steps: list[str] | None = None,
    schedule: str | None = None,
    scope: dict[str, str | None] | None = None,
    text: str | None = None,
) -> dict[str, Any]:
    """The document of a rule from a file, or what was before, changed by options."""
    document = base if file is None else _read(file)
    if when:
        document["terms"] = [words.term_document(one) for one in when]
    if any_of is not None and (any_of or base):
        document["match"] = "any" if any_of else "all"
    for key, given in (("for_seconds", hold), ("clear_for_seconds", clear_for)):
        if given is not None:
            document[key] = 0 if given in ("0", "0s") else seconds_of(given)
    if severity is not None:
        document["severity"] = severity
    if steps is not None:
        document["steps"] = [_step(one) for one in steps]
    if schedule is not None:
        document["schedule"] = None if schedule == "none" else schedule_document(schedule)
    chosen = {key: value for key, value in (scope or {}).items() if value is not None}
    if chosen:
        document["scope"] = {**(document.get("scope") or {}), **chosen}
    if text is not None:
        document["text"] = text
    if not document.get("terms"):
        raise Invalid(
            "A rule needs at least one term.",
            hint="Add --when 'temperature > 30', or --file.",
            code="invalid_rule",
        )
    return document


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise Invalid(
            f"{file} does not hold a rule: {exc}.",
            hint="`mooring rule show RULE --json` prints one under `rule`.",
            code="invalid_rule",
        ) from exc
    if not isinstance(found, dict):
        raise Invalid(f"{file} does not hold a JSON object.", code="invalid_rule")
    return found


def _step(text: str) -> dict[str, Any]:
    severity, sign, value = text.partition("=")
    try:
        return {"severity": severity, "value": float(value)}
    except ValueError:
        raise Invalid(
            f"{text!a:.60} is not a step{'' if sign else ': it has no ='}.",
            hint="Write it as error=40.",
            code="invalid_rule",
        ) from None
