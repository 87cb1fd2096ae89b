"""What a message of one device has to be compared with. Pure.

Devices to which the same rules apply share a plan. Most readings are in the band in which no term
of any rule is true; then two comparisons stand for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mooring.alerts.rules.evaluate import Compiled, Test
from mooring.alerts.rules.model import Scope, Term

__all__ = ["About", "Metric", "Plan", "Silent", "applies", "plan_of"]


class About(NamedTuple):
    """What scopes ask of a device."""

    tenant: str
    name: str
    dialect: str
    chosen: frozenset[tuple[str, str]] = frozenset()  # ("group", name), ("where", query)


class Silent(NamedTuple):
    """A term about silence."""

    rule: Compiled
    place: int
    metric: str  # empty: any reading
    ms: int


class Metric(NamedTuple):
    """The terms about one metric, and the band in which none of them is true."""

    name: str
    low: float
    high: float
    entries: tuple[tuple[Compiled, int, Test], ...]


class Plan(NamedTuple):
    rules: Mapping[int, Compiled]
    metrics: tuple[Metric, ...]
    silent: tuple[Silent, ...]
    width: int  # terms


def applies(scope: Scope, about: About) -> bool:
    """Whether a rule of the device's tenant is about the device."""
    return (
        scope.dialect in ("", about.dialect)
        and scope.device in ("", about.name)
        and (not scope.group or ("group", scope.group) in about.chosen)
        and (not scope.where or ("where", scope.where) in about.chosen)
    )


def plan_of(rules: Iterable[Compiled]) -> Plan:
    """The plan of devices to which these rules apply."""
    found: dict[str, list[tuple[Compiled, int, Test]]] = {}
    silent: list[Silent] = []
    every: dict[int, Compiled] = {}
    for rule in rules:
        every[rule.rule.id] = rule
        for place, term in enumerate(rule.terms):
            if term.silence_ms:
                silent.append(Silent(rule, place, term.metric, term.silence_ms))
            else:
                found.setdefault(term.metric, []).append((rule, place, rule.tests[place]))
    metrics = tuple(
        Metric(name, *_band(entry[0].terms[entry[1]] for entry in entries), tuple(entries))
        for name, entries in found.items()
    )
    return Plan(every, metrics, tuple(silent), sum(len(one.entries) for one in metrics))


def _band(terms: Iterable[Term]) -> tuple[float, float]:
    """Lowest and highest number for which no term is true; a little less than that where a
    double cannot say it."""
    low, high = -math.inf, math.inf
    for term in terms:
        if term.operator is None or not term.operator.ordered:
            return math.inf, -math.inf  # each value is compared
        limit = float(term.value)  # type: ignore[arg-type]
        if term.operator.upwards:
            high = min(high, math.nextafter(math.nextafter(limit, -math.inf), -math.inf))
        else:
            low = max(low, math.nextafter(math.nextafter(limit, math.inf), math.inf))
    return low, high
