"""Terms as people write and read them: ``temperature > 30 clear 28``, ``no data 90s``. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from mooring.alerts.rules.model import Definition, Operator, Term
from mooring.errors import Invalid

__all__ = ["condition", "duration_words", "seconds_of", "term_document", "term_words"]

_SILENCE = re.compile(r"(?:(?P<metric>.+?)\s+)?no data\s+(?:for\s+)?(?P<time>\S+)", re.DOTALL)
_COMPARE = re.compile(
    r"(?P<metric>.+?)\s*(?P<operator>>=|<=|==|!=|>|<)\s*(?P<value>.+?)"
    r"(?:\s+clear\s+(?P<clear>\S+))?",
    re.DOTALL,
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)", re.ASCII)


def term_document(text: str) -> dict[str, Any]:
    """A term as the document of a rule has it.

    Raises:
        Invalid: ``invalid_rule``: it is not a term.
    """
    text = text.strip()
    found = _SILENCE.fullmatch(text)
    if found is not None:
        return {"metric": found["metric"], "no_data_seconds": seconds_of(found["time"])}
    found = _COMPARE.fullmatch(text)
    if found is None:
        raise _wrong(f"{text!a:.80} is not a term.")
    document = {
        "metric": found["metric"],
        "operator": found["operator"],
        "value": _value(found["value"]),
    }
    if found["clear"] is not None:
        document["clear"] = _value(found["clear"])
    return document


def term_words(term: Term) -> str:
    """The same for people."""
    if term.silence_ms:
        what = f"{term.metric} " if term.metric else ""
        return f"{what}no data {duration_words(term.silence_ms)}"
    value = json.dumps(term.value, ensure_ascii=False)
    clear = "" if term.clear is None else f" clear {term.clear:g}"
    return f"{term.metric} {term.operator or Operator.IS} {value}{clear}"


def condition(definition: Definition) -> str:
    """The whole condition of a rule."""
    joined = (" and " if definition.every else " or ").join(
        term_words(term) for term in definition.terms
    )
    return f"{joined} for {duration_words(definition.for_ms)}" if definition.for_ms else joined


def duration_words(ms: int) -> str:
    """``90s``, ``5m``: the largest unit in which it is a whole number."""
    seconds = ms / 1000
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def seconds_of(text: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise _wrong(f"{text!a:.40} is not a duration such as 90s.")
    return float(found[1]) * _UNITS[found[2]]


def _value(text: str) -> Any:
    """A number, true, false or a quoted text; anything else is a text."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, int | float | str) else text


def _wrong(what: str) -> Invalid:
    return Invalid(
        what,
        hint="Write it as 'temperature > 30', 'temperature > 30 clear 28' or 'no data 90s'.",
        code="invalid_rule",
    )
