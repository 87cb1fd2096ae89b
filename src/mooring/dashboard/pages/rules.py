"""Rules: what raises alerts. While one edits a rule, it is tried on the readings of 7 days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.alerts.model import Severity
from mooring.alerts.rules.model import DAYS, TERMS_MAX, WHERE_MAX, Rule, Trial
from mooring.alerts.rules.service import Rules
from mooring.alerts.rules.trying import Trials
from mooring.alerts.rules.words import condition, seconds_of, term_document, term_words
from mooring.dashboard.answers import Redirect, Shown
from mooring.dashboard.call import Call
from mooring.dashboard.drawings import Span, presence_bar
from mooring.dashboard.forms import Form
from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages.alerts import SEVERITY, device_address
from mooring.errors import Invalid
from mooring.identity.actor import Role
from mooring.store.engine import now_ms

__all__ = ["ACTIONS", "DAYS_TRIED", "PAGES"]

LISTED = 100
DAYS_TRIED = 7
DAY_MS = 86_400_000
FIRED_SHOWN = 50
SEVERITIES = [(one.name.lower(), SEVERITY[one][1]) for one in Severity]
SCOPE = ("dialect", "device", "group", "where")
EMPTY: Mapping[str, str] = {
    **dict.fromkeys(("name", "tenant", "terms", "for", "clear_for", "text", *SCOPE), ""),
    "match": "all",
    "severity": "warning",
}


def view(call: Call) -> dict[str, Any]:
    """Every rule."""
    after = call.query.number("after", 0)
    found = call.service(Rules).listed(call.who, after=after, limit=LISTED + 1)
    rules = found[:LISTED]
    return {
        "rules": [(one, condition(one.definition)) for one in rules],
        "severity_look": SEVERITY,
        "more": call.query.with_(after=rules[-1].id) if len(found) > LISTED else "",
    }


def new(call: Call) -> dict[str, Any]:
    """The form of a new rule."""
    return _form(call, None, EMPTY)


def show(call: Call) -> dict[str, Any]:
    """One rule, and what it would have raised."""
    rule = _rule(call)
    trial = call.service(Trials).of_stored(
        call.who, str(rule.id), days=DAYS_TRIED, tenant=rule.tenant
    )
    return _form(call, rule, _given(rule), trial)


def add(call: Call) -> Redirect | Shown:
    """Adds the rule, or tries it."""
    form = call.form
    tenant = call.who.tenant or form.text("tenant", "Tenant", max=128) or "default"
    if form.raw("do") == "try":
        document = _document(form, {})
        trial = call.service(Trials).of_document(call.who, document, days=DAYS_TRIED, tenant=tenant)
        return Shown(_form(call, None, _typed(form), trial))
    name = form.text("name", "Name", needed=True, max=128)
    document = _document(form, {})
    made = call.service(Rules).add(call.who, name, document, tenant=tenant)
    return call.redirect(f"/rules/{made.id}", f"The rule {made.name} was added and is on.")


def change(call: Call) -> Redirect | Shown:
    """Changes the rule, or tries the change."""
    rule = _rule(call)
    document = _document(call.form, rule.document)
    if call.form.raw("do") == "try":
        trial = call.service(Trials).of_document(
            call.who, document, days=DAYS_TRIED, tenant=rule.tenant
        )
        return Shown(_form(call, rule, _typed(call.form), trial))
    call.service(Rules).change(call.who, str(rule.id), document=document, tenant=rule.tenant)
    return call.redirect(f"/rules/{rule.id}", "The rule was changed. Its open alerts were cleared.")


def switch(call: Call) -> Redirect:
    """On or off."""
    rule = _rule(call)
    on = call.form.choice("on", "State", ("yes", "no")) == "yes"
    call.form.check()
    call.service(Rules).change(call.who, str(rule.id), enabled=on, tenant=rule.tenant)
    word = "on" if on else "off. Its open alerts were cleared"
    return call.redirect(f"/rules/{rule.id}", f"The rule {rule.name} is {word}.")


def remove(call: Call) -> Redirect:
    """Removes the rule; its alerts are cleared and stay in the list."""
    rule = _rule(call)
    call.form.confirmed("confirm", rule.name)
    call.form.check()
    call.service(Rules).remove(call.who, str(rule.id), tenant=rule.tenant)
    return call.redirect("/rules", f"The rule {rule.name} was removed.")


# ---------------------------------------------------------------------- the form


def _rule(call: Call) -> Rule:
    return call.service(Rules).get(call.who, call.path["number"])


def _form(
    call: Call, rule: Rule | None, given: Mapping[str, str], trial: Trial | None = None
) -> dict[str, Any]:
    return {
        "title": "New rule" if rule is None else f"Rule {rule.name}",
        "rule": rule,
        "address": "/rules/new" if rule is None else f"/rules/{rule.id}",
        "given": given,
        "severities": SEVERITIES,
        "dialects": [("", "any"), *((one, one) for one in call.app.catalogue.names())],
        "tried": None if trial is None else _tried(trial),
        "kept": [] if rule is None else _kept(rule),
        "condition": "" if rule is None else condition(rule.definition),
    }


def _tried(trial: Trial) -> dict[str, Any]:
    now = now_ms()
    start = now - DAYS_TRIED * DAY_MS
    spans = [
        Span("rejected" if one.severity in ("error", "critical") else "silent", one.raised_at,
             now if one.cleared_at is None else one.cleared_at)
        for one in trial.fired
    ]  # fmt: skip
    alerts = "once" if trial.raised == 1 else f"{trial.raised:,} times"
    said = f"In the last {DAYS_TRIED} days this rule would have raised an alert {alerts}"
    said = f"{said}, on {trial.devices_raised:,} of {trial.devices:,} devices."
    return {
        "said": said,
        "drawing": presence_bar(spans, start, now, said),
        "fired": [(one, device_address(one.device)) for one in trial.fired[:FIRED_SHOWN]],
        "hidden": trial.raised - min(len(trial.fired), FIRED_SHOWN),
        "messages": trial.messages,
        "complete": trial.complete,
        "start": start,
        "end": now,
    }


def _given(rule: Rule) -> dict[str, str]:
    """The fields of a stored rule."""
    found = rule.definition
    scope = {name: getattr(found.scope, name) for name in SCOPE}
    return {
        **EMPTY,
        "name": rule.name,
        "tenant": rule.tenant,
        "terms": "\n".join(term_words(one) for one in found.terms),
        "match": "all" if found.every else "any",
        "for": _duration(found.for_ms),
        "clear_for": _duration(found.clear_for_ms),
        "severity": found.severity.name.lower(),
        "text": found.text,
        **scope,
    }


def _duration(ms: int) -> str:
    return f"{ms / 1000:g}s" if ms else ""


def _typed(form: Form) -> dict[str, str]:
    return {name: form.raw(name, default) for name, default in EMPTY.items()}


def _kept(rule: Rule) -> list[str]:
    """What the form does not show and does not change, in words."""
    found = rule.definition
    kept = [f"{one.severity.name.lower()} from {one.value:g} on" for one in found.steps]
    if found.schedule is not None:
        days = ", ".join(DAYS[day] for day in sorted(found.schedule.days))
        begin, end = f"{found.schedule.begin:%H:%M}", f"{found.schedule.end:%H:%M}"
        kept.append(f"only {days} from {begin} to {end} ({found.schedule.zone})")
    return kept


def _document(form: Form, before: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a rule; steps and schedule stay as they were.

    Raises:
        FormInvalid: what is wrong, at its field.
    """
    lines = form.text("terms", "Condition", needed=True, max=4000, area=True).splitlines()
    terms: list[dict[str, Any]] = []
    if "terms" not in form.wrong:
        try:
            terms = [term_document(one) for one in lines if one.strip()][: TERMS_MAX + 1]
        except Invalid as exc:
            form.wrong["terms"] = f"{exc.message} {exc.hint}".strip()
    document = {
        **before,
        "match": form.choice("match", "Match", ("all", "any"), "all"),
        "terms": terms,
        "severity": form.choice("severity", "Severity", [name for name, _ in SEVERITIES]),
        "for_seconds": _seconds(form, "for", "Holds for"),
        "clear_for_seconds": _seconds(form, "clear_for", "Cleared after"),
        "text": form.text("text", "Text", max=500),
        "scope": {
            "dialect": form.text("dialect", "Dialect", max=64) or None,
            "device": form.text("device", "Device") or None,
            "group": form.text("group", "Group", max=128) or None,
            "where": form.text("where", "Query", max=WHERE_MAX) or None,
        },
    }
    form.check()
    return document


def _seconds(form: Form, name: str, label: str) -> float:
    text = form.text(name, label, max=20)
    if not text or name in form.wrong:
        return 0.0
    try:
        return seconds_of(text)
    except Invalid as exc:
        form.wrong[name] = f"{exc.message} {exc.hint}"
        return 0.0


PAGE = Page("/rules", "Rules", view, "rules", place="/alerts")
NEW = Page("/rules/new", "New rule", new, "rule", role=Role.OPERATOR, place="/alerts")
ONE = Page("/rules/{number}", "Rule", show, "rule", place="/alerts")
PAGES = (PAGE, NEW, ONE)
ACTIONS = (
    Action("/rules/new", add, NEW),
    Action("/rules/{number}", change, ONE),
    Action("/rules/{number}/switch", switch, ONE),
    Action("/rules/{number}/remove", remove, ONE),
)
