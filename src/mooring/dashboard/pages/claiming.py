"""Claiming: codes and their labels, devices that arrive, devices that nobody added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mooring.credentials.claims import qr as claim_qr
from mooring.credentials.claims.model import Issued, NewClaim
from mooring.credentials.claims.service import Claims
from mooring.dashboard.call import Call
from mooring.dashboard.data import newer
from mooring.dashboard.drawings.qr import qr
from mooring.dashboard.forms import Form
from mooring.dashboard.page import Action, Nav, Page, Redirect, Shown
from mooring.discovery.model import Action as RuleAction
from mooring.discovery.model import NewRule, State
from mooring.discovery.service import Discovery
from mooring.identity.actor import Role
from mooring.web.address import http_url

__all__ = ["ACTIONS", "PAGES"]

CODES_MAX = 100
"""Codes of one label sheet."""
LISTED = 50


def view(call: Call) -> dict[str, Any]:
    """Unknown devices first, then codes, then rules."""
    before = call.query.number("before", 0) or None
    unknown = call.service(Discovery)
    codes: list[Any] = []
    if call.may("operator"):
        codes = call.service(Claims).page(call.who, limit=LISTED + 1, before=before)
    pending = unknown.page(call.who, limit=LISTED + 1, state=State.PENDING)
    return {
        "unknown": pending[:LISTED],
        "more_unknown": len(pending) > LISTED,
        "codes": [(one, one.state(call.now)) for one in codes[:LISTED]],
        "older": codes[LISTED - 1].id if len(codes) > LISTED else None,
        "first_page": before is None,
        "row_of_unknown": newer.row_of_unknown,
        "rules": [(one, one.left(call.now)) for one in unknown.rules(call.who, limit=100)],
        "dialects": sorted(call.app.catalogue.names()),
        "tenants": call.app.people.tenants(call.who, limit=200),
    }


def new(call: Call) -> Shown:
    """One code, or a sheet of them; shown this once."""
    form = call.form
    dialect = form.choice("dialect", "Dialect", call.app.catalogue.names())
    tenant = call.who.tenant or form.text("tenant", "Tenant", max=128) or "default"
    label = form.text("label", "Label", max=200)
    name = form.text("name", "Name", max=128)
    number = form.number("count", "Number of codes", default=1, ge=1, le=CODES_MAX)
    usual = call.app.settings.claim_days
    days = form.number("days", "Valid for days", default=usual, ge=1, le=3650)
    groups = tuple(word for word in form.text("groups", "Groups").replace(",", " ").split() if word)
    if name and number > 1:
        form.wrong["name"] = "A name is for one device. Create one code, or leave the name empty."
    form.check()
    claims = call.service(Claims)
    issued = [
        claims.new(
            call.who,
            NewClaim(
                dialect,
                tenant,
                f"{label} {n + 1}" if label and number > 1 else label,
                name or None,
                groups,
                days * 86_400.0,
            ),
        )
        for n in range(number)
    ]
    return _labels(call, issued)


def _labels(call: Call, issued: Sequence[Issued]) -> Shown:
    place = http_url(call.app.settings, asked_at=call.request.url.hostname)
    labels = [
        {
            "code": one.code,
            "label": one.claim.label,
            "name": one.claim.name or "",
            "dialect": one.claim.dialect,
            "tenant": one.claim.tenant,
            "expires_at": one.claim.expires_at,
            "qr": qr(claim_qr.content(one.code, place), f"Claim code {one.code}"),
        }
        for one in issued
    ]
    return Shown(
        {"labels": labels, "http": place}, "claim_codes", secret=True, title="New claim codes"
    )


def _unknown(form: Form) -> tuple[str, str | None, str | None]:
    """Name, dialect and tenant of a device that nobody added."""
    return (
        form.text("name", "Name", max=300),
        form.text("dialect", "Dialect", max=64) or None,
        form.text("tenant", "Tenant", max=128) or None,
    )


def accept(call: Call) -> Shown:
    """A code for a device that nobody added."""
    name, dialect, tenant = _unknown(call.form)
    label = call.form.text("label", "Label", max=200)
    call.form.check()
    found = call.service(Discovery).accept(
        call.who, name, dialect=dialect, tenant=tenant, label=label
    )
    return _labels(call, [found.issued])


def refuse(call: Call) -> Redirect:
    """It is not listed as pending for a while."""
    name, dialect, tenant = _unknown(call.form)
    call.form.check()
    call.service(Discovery).refuse(call.who, name, dialect=dialect, tenant=tenant)
    hours = call.app.settings.discovery_refused_hours
    return call.redirect("/claiming", f"{name} was rejected. It is not listed for {hours} hours.")


def revoke(call: Call) -> Redirect:
    """Ends a code."""
    number = call.form.number("number", "Number", ge=1, le=2**53)
    call.form.check()
    call.service(Claims).revoke(call.who, number)
    return call.redirect("/claiming#codes", f"Claim code {number} was revoked.")


def add_rule(call: Call) -> Shown | Redirect:
    """A rule that decides about unknown devices; one that accepts has a fleet code."""
    form = call.form
    action = form.choice("action", "What it does", [one.value for one in RuleAction])
    new_rule = NewRule(
        form.choice("dialect", "Dialect", call.app.catalogue.names()),
        form.text("pattern", "Names", needed=True, max=300),
        RuleAction(action) if not form.wrong.get("action") else RuleAction.REFUSE,
        call.who.tenant or form.text("tenant", "Tenant", max=128) or "default",
        form.number("per_day", "Devices a day", default=0, ge=0, le=1_000_000),
    )
    form.check()
    made = call.service(Discovery).add_rule(call.who, new_rule)
    if made.code is None:
        return call.redirect("/claiming#rules", f"Rule {made.rule.id} was added.")
    place = http_url(call.app.settings, asked_at=call.request.url.hostname)
    label = {
        "code": made.code,
        "label": f"Fleet code for {made.rule.pattern}",
        "name": "",
        "dialect": made.rule.dialect,
        "tenant": made.rule.tenant,
        "expires_at": None,
        "qr": qr(claim_qr.content(made.code, place), f"Fleet code {made.code}"),
    }
    values = {"labels": [label], "http": place}
    return Shown(values, "claim_codes", secret=True, title="Fleet code")


def remove_rule(call: Call) -> Redirect:
    """Ends a rule and its fleet code."""
    number = call.form.number("number", "Number", ge=1, le=2**53)
    call.form.check()
    call.service(Discovery).remove_rule(call.who, number)
    return call.redirect("/claiming#rules", f"Rule {number} was removed.")


PAGE = Page("/claiming", "Claiming", view, "claiming", nav=Nav("change", 10, "Claiming", "c"))
PAGES = (PAGE,)
ACTIONS = (
    Action("/claiming/new", new, PAGE),
    Action("/claiming/accept", accept, PAGE),
    Action("/claiming/refuse", refuse, PAGE),
    Action("/claiming/revoke", revoke, PAGE),
    Action("/claiming/rules", add_rule, PAGE, role=Role.ADMIN),
    Action("/claiming/rules/remove", remove_rule, PAGE, role=Role.ADMIN),
)
