"""Routes of rules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Path, Query

from mooring.alerts.answers import RuleIn, RuleOut, TrialOut
from mooring.alerts.documents import rule_document, trial_document
from mooring.alerts.rules.service import Rules
from mooring.alerts.rules.trial import DAYS_MAX
from mooring.alerts.rules.trying import Trials
from mooring.web.auth import Who
from mooring.web.fields import Document, Json, Line, Reason, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/rules", tags=["alerts"])

RulesNow = Annotated[Rules, provided(Rules)]
TrialsNow = Annotated[Trials, provided(Trials)]
RuleReference = Annotated[
    str,
    Path(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Its name or number.",
    ),
]
OfTenant = Annotated[Word | None, Query(description="Tenant of the rule.")]
Days = Annotated[
    float, Query(gt=0, le=DAYS_MAX, description="Days of stored readings to evaluate.")
]


class RuleChange(Document):
    """What is left out stays as it is."""

    rule: dict[str, Json] | None = None
    enabled: bool | None = None
    reason: Line = ""


@router.get("", response_model=PageOf[RuleOut], response_model_exclude_unset=True)
def list_rules(
    rules: RulesNow, who: Who, paging: PagingDep, tenant: OfTenant = None
) -> PageOf[dict[str, Any]]:
    """Lists rules, the oldest first."""
    key = paging.key(int)
    after = 0 if key is None else int(key[0])
    found = rules.listed(who, tenant=tenant, after=after, limit=paging.limit + 1)
    return paging.cut([rule_document(one) for one in found], lambda item: (item["number"],))


@router.post("", status_code=201, response_model=RuleOut, response_model_exclude_unset=True)
def add_rule(rules: RulesNow, who: Who, given: RuleIn) -> dict[str, Any]:
    """Adds a rule. It is evaluated from the next message on."""
    added = rules.add(who, given.name, given.rule, tenant=given.tenant, reason=given.reason)
    return rule_document(added)


@router.get("/{rule}", response_model=RuleOut, response_model_exclude_unset=True)
def show_rule(
    rules: RulesNow, who: Who, rule: RuleReference, tenant: OfTenant = None
) -> dict[str, Any]:
    """Returns a rule."""
    return rule_document(rules.get(who, rule, tenant=tenant))


@router.patch("/{rule}", response_model=RuleOut, response_model_exclude_unset=True)
def change_rule(
    rules: RulesNow, who: Who, rule: RuleReference, given: RuleChange, tenant: OfTenant = None
) -> dict[str, Any]:
    """Replaces what a rule says, or switches it on or off. Its open alerts are cleared."""
    changed = rules.change(
        who, rule, document=given.rule, enabled=given.enabled, tenant=tenant, reason=given.reason
    )
    return rule_document(changed)


@router.delete("/{rule}", status_code=204)
def remove_rule(
    rules: RulesNow, who: Who, rule: RuleReference, tenant: OfTenant = None, reason: Reason = ""
) -> None:
    """Removes a rule and clears its open alerts."""
    rules.remove(who, rule, tenant=tenant, reason=reason)


@router.get("/{rule}/trial", response_model=TrialOut)
def try_stored_rule(
    trials: TrialsNow, who: Who, rule: RuleReference, tenant: OfTenant = None, days: Days = 7
) -> dict[str, Any]:
    """Evaluates a rule over stored readings: when it would have raised an alert."""
    return trial_document(trials.of_stored(who, rule, days=days, tenant=tenant))


@router.post("/trial", response_model=TrialOut)
def try_new_rule(
    trials: TrialsNow,
    who: Who,
    rule: Annotated[dict[str, Json], Body()],
    tenant: OfTenant = None,
    days: Days = 7,
) -> dict[str, Any]:
    """Evaluates a rule that is not stored over stored readings."""
    return trial_document(trials.of_document(who, rule, days=days, tenant=tenant))
