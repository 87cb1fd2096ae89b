"""From a document to a rule's definition, and back. Pure.

Everything is checked here, once: what is compiled from a definition never fails.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mooring.alerts.model import Severity
from mooring.alerts.rules.model import (
    DAYS,
    DURATION_MAX_MS,
    METRIC_MAX,
    SILENCE_MIN_MS,
    STEPS_MAX,
    TERMS_MAX,
    TEXT_MAX,
    WHERE_MAX,
    Definition,
    Operator,
    Schedule,
    Scope,
    Step,
    Term,
)
from mooring.errors import Invalid

__all__ = ["definition_of", "document_of"]

_KEYS = frozenset(
    [
        "match",
        "terms",
        "for_seconds",
        "clear_for_seconds",
        "severity",
        "steps",
        "schedule",
        "scope",
        "text",
    ]
)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_SHOWN = 60  # characters of a wrong value in a message


def definition_of(document: object) -> Definition:
    """The definition that a document describes.

    Raises:
        Invalid: ``invalid_rule``; the message names the place and the value.
    """
    given = _object(document, "The rule", _KEYS)
    terms = tuple(
        _term(one, f"terms[{place}]")
        for place, one in enumerate(_list(given.get("terms"), "terms", TERMS_MAX))
    )
    if not terms:
        raise _wrong("terms", "A rule needs at least one term.")
    match = given.get("match", "all")
    if match not in ("all", "any"):
        raise _wrong("match", f"{_show(match)} is neither all nor any.")
    severity = _severity(given.get("severity", "warning"), "severity")
    return Definition(
        terms=terms,
        every=match == "all",
        for_ms=_duration(given.get("for_seconds", 0), "for_seconds", least=0),
        clear_for_ms=_duration(given.get("clear_for_seconds", 0), "clear_for_seconds", least=0),
        severity=severity,
        steps=_steps(given.get("steps"), terms[0], severity),
        schedule=_schedule(given.get("schedule")),
        scope=_scope(given.get("scope")),
        text=_text(given.get("text", ""), "text", 500),
    )


def document_of(definition: Definition) -> dict[str, Any]:
    """The document of a definition, complete and in one spelling."""
    schedule = definition.schedule
    return {
        "match": "all" if definition.every else "any",
        "terms": [_term_document(term) for term in definition.terms],
        "for_seconds": definition.for_ms / 1000,
        "clear_for_seconds": definition.clear_for_ms / 1000,
        "severity": definition.severity.word,
        "steps": [
            {"value": step.value, "severity": step.severity.word} for step in definition.steps
        ],
        "schedule": None
        if schedule is None
        else {
            "days": [DAYS[day] for day in sorted(schedule.days)],
            "from": f"{schedule.begin:%H:%M}",
            "to": f"{schedule.end:%H:%M}",
            "zone": schedule.zone,
        },
        "scope": {
            "dialect": definition.scope.dialect or None,
            "device": definition.scope.device or None,
            "group": definition.scope.group or None,
            "where": definition.scope.where or None,
        },
        "text": definition.text,
    }


def _term_document(term: Term) -> dict[str, Any]:
    if term.silence_ms:
        return {"metric": term.metric or None, "no_data_seconds": term.silence_ms / 1000}
    return {
        "metric": term.metric,
        "operator": str(term.operator),
        "value": term.value,
        "clear": term.clear,
    }


def _term(document: object, place: str) -> Term:
    given = _object(
        document, place, frozenset({"metric", "operator", "value", "clear", "no_data_seconds"})
    )
    metric = given.get("metric")
    if given.get("no_data_seconds") is not None:
        if any(given.get(key) is not None for key in ("operator", "value", "clear")):
            raise _wrong(place, "A term with no_data_seconds has no operator, value or clear.")
        silence = _duration(
            given["no_data_seconds"], f"{place}.no_data_seconds", least=SILENCE_MIN_MS
        )
        name = "" if metric is None else _text(metric, f"{place}.metric", METRIC_MAX)
        return Term(name, silence_ms=silence)
    name = _text(metric, f"{place}.metric", METRIC_MAX)
    if not name:
        raise _wrong(f"{place}.metric", "A comparison needs the name of a metric.")
    try:
        operator = Operator(given.get("operator"))  # type: ignore[arg-type]
    except ValueError:
        known = " ".join(Operator)
        shown = _show(given.get("operator"))
        raise _wrong(f"{place}.operator", f"{shown} is not one of {known}.") from None
    value = given.get("value")
    if operator.ordered:
        number = _number(value, f"{place}.value")
        clear = given.get("clear")
        if clear is None:
            return Term(name, operator, number)
        limit = _number(clear, f"{place}.clear")
        if limit > number if operator.upwards else limit < number:
            side = "above" if operator.upwards else "below"
            raise _wrong(f"{place}.clear", f"{limit:g} is {side} the threshold {number:g}.")
        return Term(name, operator, number, limit)
    if given.get("clear") is not None:
        raise _wrong(f"{place}.clear", f"The operator {operator} has no clear threshold.")
    if isinstance(value, str):
        return Term(name, operator, _text(value, f"{place}.value", TEXT_MAX))
    if isinstance(value, bool):
        return Term(name, operator, value)
    return Term(name, operator, _number(value, f"{place}.value"))


def _steps(document: object, first: Term, severity: Severity) -> tuple[Step, ...]:
    if document is None:
        return ()
    steps = []
    for place, one in enumerate(_list(document, "steps", STEPS_MAX)):
        given = _object(one, f"steps[{place}]", frozenset({"value", "severity"}))
        steps.append(
            Step(
                _number(given.get("value"), f"steps[{place}].value"),
                _severity(given.get("severity"), f"steps[{place}].severity"),
            )
        )
    if not steps:
        return ()
    if first.operator is None or not first.operator.ordered:
        raise _wrong("steps", "Steps need a first term with >, >=, < or <=.")
    assert isinstance(first.value, int | float)
    sign = 1 if first.operator.upwards else -1
    values = [float(first.value), *(step.value for step in steps)]
    severities = [severity, *(step.severity for step in steps)]
    for place in range(len(steps)):
        if not (
            sign * values[place + 1] > sign * values[place]
            and severities[place + 1] > severities[place]
        ):
            raise _wrong(
                f"steps[{place}]", "Each step must be further and more severe than the one before."
            )
    return tuple(steps)


def _schedule(document: object) -> Schedule | None:
    if document is None:
        return None
    given = _object(document, "schedule", frozenset({"days", "from", "to", "zone"}))
    days = _list(given.get("days", list(DAYS)), "schedule.days", len(DAYS))
    for day in days:
        if day not in DAYS:
            raise _wrong("schedule.days", f"{_show(day)} is not one of {' '.join(DAYS)}.")
    if not days:
        raise _wrong("schedule.days", "A schedule needs at least one day.")
    zone = _text(given.get("zone", "UTC"), "schedule.zone", 64)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(
            "schedule.zone", f"{_show(zone)} is not a time zone, such as Europe/Berlin."
        ) from None
    return Schedule(
        frozenset(DAYS.index(day) for day in days),
        _time(given.get("from", "00:00"), "schedule.from"),
        _time(given.get("to", "00:00"), "schedule.to"),
        zone,
    )


def _scope(document: object) -> Scope:
    if document is None:
        return Scope()
    given = _object(document, "scope", frozenset({"dialect", "device", "group", "where"}))
    return Scope(
        **{
            key: _text(value, f"scope.{key}", WHERE_MAX if key == "where" else 300)
            for key, value in given.items()
            if value is not None
        }
    )


# ---------------------------------------------------------------------- values


def _wrong(place: str, what: str) -> Invalid:
    return Invalid(
        f"{place}: {what}" if place else what,
        hint="See docs/how-to/alerts.md for what a rule can say.",
        code="invalid_rule",
    )


def _show(value: object) -> str:
    return f"{value!a:.{_SHOWN}}"


def _object(value: object, place: str, keys: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(place, f"{_show(value)} is not an object.")
    for key in value:
        if key not in keys:
            raise _wrong(place, f"{_show(key)} is not one of {', '.join(sorted(keys))}.")
    return value


def _list(value: object, place: str, most: int) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _wrong(place, f"{_show(value)} is not a list.")
    if len(value) > most:
        raise _wrong(place, f"{len(value)} are too many: at most {most}.")
    return value


def _text(value: object, place: str, most: int) -> str:
    if not isinstance(value, str):
        raise _wrong(place, f"{_show(value)} is not a text.")
    if len(value) > most:
        raise _wrong(place, f"A text of {len(value)} characters is too long: at most {most}.")
    if any(character < " " or "\ud800" <= character <= "\udfff" for character in value):
        raise _wrong(place, f"{_show(value)} has characters that cannot be shown.")
    return value


def _number(value: object, place: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(place, f"{_show(value)} is not a number.")
    if not math.isfinite(value) or abs(value) > 1e300:
        raise _wrong(place, f"{_show(value)} is out of range.")
    return value


def _duration(value: object, place: str, *, least: int) -> int:
    ms = round(_number(value, place) * 1000)
    if not least <= ms <= DURATION_MAX_MS:
        raise _wrong(
            place, f"{_show(value)} is not between {least / 1000:g} and {DURATION_MAX_MS // 1000}."
        )
    return ms


def _severity(value: object, place: str) -> Severity:
    for severity in Severity:
        if severity.word == value:
            return severity
    words = ", ".join(severity.word for severity in Severity)
    raise _wrong(place, f"{_show(value)} is not one of {words}.")


def _time(value: object, place: str) -> time:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(place, f"{_show(value)} is not a time of day, such as 08:00.")
    return time(int(found[1]), int(found[2]))
