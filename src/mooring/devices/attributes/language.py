"""The language of queries: text to conditions. Pure.

    type = pump and tag = cellar and firmware < 1.4.0 and not online

Invariant: a text either becomes a condition within the limits below, or raises ``Invalid`` with the
position of the first character that does not fit and what was expected there.
"""

from __future__ import annotations

import re
from typing import NoReturn

from mooring.devices.attributes.keys import UNSORTED, key_of
from mooring.devices.attributes.rules import check_name
from mooring.devices.attributes.terms import (
    Both,
    Condition,
    Connected,
    Either,
    Enabled,
    Firmware,
    HasProblem,
    InGroup,
    Like,
    Mentions,
    Named,
    Not,
    Own,
    Presence,
    Problem,
    Ranged,
    Sign,
    SilentFor,
    Term,
    flat,
)
from mooring.errors import Invalid
from mooring.store.version_key import version_key

__all__ = [
    "DEPTH_MAX",
    "PRESENCE",
    "QUERY_MAX",
    "TERMS_MAX",
    "WILDCARDS_MAX",
    "parse",
    "too_many",
]

QUERY_MAX = 1000
"""Characters of a query."""
TERMS_MAX = 16
"""Conditions of one query; each value of a list counts."""
DEPTH_MAX = 8
"""Parentheses and negations within one another."""
WILDCARDS_MAX = 4
"""``*`` in one pattern: more of them could make one comparison slow."""

PRESENCE = ("never_seen", "online", "silent", "updating", "offline", "flapping")
"""States of presence, as ``mooring device presence`` shows them."""

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SIGN = re.compile(r"!=|<=|>=|!~|[=<>~]")
_BARE = re.compile(r"[^\s()\"']+")
_BARE_IN_LIST = re.compile(r"[^\s()\"',]+")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_KEYWORDS = frozenset({"and", "or", "not", "in"})
_SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_OWN = frozenset(
    {"name", "dialect", "firmware", "group", "presence", "search", "silent_for", "problem"}
)
_SHORT: dict[str, Condition] = {
    "online": Presence("online"),
    "offline": Presence("offline"),
    "enabled": Enabled(),
    "disabled": Not(Enabled()),
    "connected": Connected(),
    "disconnected": Not(Connected()),
}
"""Conditions of one word."""


def parse(text: str) -> Condition:
    """The condition that a query states.

    Raises:
        Invalid: ``invalid_search``; ``context`` has ``position`` (characters, from 1) and
            ``expected``.
    """
    if len(text) > QUERY_MAX:
        raise Invalid(
            f"The query has {len(text):,} characters; {QUERY_MAX:,} are allowed.",
            hint="Use a shorter one.",
            code="invalid_search",
        )
    return _Parser(text).whole()


def too_many(number: int) -> Invalid:
    """The error for a search with more conditions than are allowed."""
    return Invalid(
        f"The search has {number} conditions; {TERMS_MAX} are allowed.",
        hint="Use fewer.",
        code="invalid_search",
    )


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0

    # ------------------------------------------------------------------ grammar

    def whole(self) -> Condition:
        found = self._either(0)
        self._skip()
        if self._at < len(self._text):
            self._fail("'and', 'or' or the end")
        return found

    def _either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._keyword("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self, depth: int) -> Condition:
        parts = [*flat(self._one(depth))]
        while self._keyword("and"):
            parts += flat(self._one(depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            self._fail(f"at most {DEPTH_MAX} parentheses and negations within one another")
        if self._keyword("not"):
            return Not(self._one(depth + 1))
        if self._take("("):
            found = self._either(depth + 1)
            if not self._take(")"):
                self._fail("'and', 'or' or ')'")
            return found
        return self._comparison()

    def _comparison(self) -> Condition:
        self._skip()
        start = self._at
        match = _NAME.match(self._text, start)
        if match is None or match[0].lower() in _KEYWORDS:
            self._fail("a name such as type, tag or firmware, or '('")
        self._at = match.end()
        self._skip()
        sign = _SIGN.match(self._text, self._at)
        short = _SHORT.get(match[0].lower())
        if sign is None and short is not None and not self._peek_in():
            self._count()
            return short
        if sign is None and not self._keyword("in"):
            self._fail("one of = != < <= > >= ~ and in")
        if sign is None:
            return self._list(match[0], start)
        self._at = sign.end()
        self._count()
        operator = sign[0]
        name = self._name(match[0], start)
        place = self._next()
        value, quoted = self._value(_BARE)
        if operator in ("!=", "!~"):
            return _negated(self._meaning(name, operator[1], value, place, quoted=quoted))
        return self._meaning(name, operator, value, place, quoted=quoted)

    def _list(self, word: str, start: int) -> Condition:
        name = self._name(word, start)
        if not self._take("("):
            self._fail("'('")
        parts: list[Condition] = []
        while True:
            self._count()
            place = self._next()
            value, quoted = self._value(_BARE_IN_LIST)
            parts.append(self._meaning(name, "=", value, place, quoted=quoted))
            if self._take(")"):
                return parts[0] if len(parts) == 1 else Either(tuple(parts))
            if not self._take(","):
                self._fail("',' or ')'")

    # ------------------------------------------------------------------ meaning

    def _name(self, word: str, start: int) -> str:
        if word in ("tag", "tags"):
            return "tags"
        if word not in _OWN:
            try:
                check_name(word)
            except Invalid as exc:
                self._at = start
                self._fail("a name that devices can be searched by", cause=exc)
        return word

    def _meaning(
        self, name: str, operator: str, value: str, place: int, *, quoted: bool
    ) -> Condition:
        anything = value == "*" and not quoted and operator == "="
        if operator == "~" and value.count("*") > WILDCARDS_MAX:
            self._at = place
            self._fail(f"a pattern with at most {WILDCARDS_MAX} asterisks")
        found: Condition | None
        match name:
            case "name" | "dialect":
                found = None
                if operator in "=~" and not anything:
                    found = Named(Own(name), value, pattern=operator == "~")
            case "group":
                found = InGroup(None if anything else value) if operator == "=" else None
            case "presence":
                found = self._presence(operator, value, place)
            case "search":
                found = Mentions(value.lower()) if operator == "=" else None
            case "silent_for":
                found = self._silent_for(operator, value, place)
            case "problem":
                found = self._problem(operator, value, place, anything=anything)
            case "firmware":
                found = Firmware(Sign.EQUAL, None)
                if not anything:
                    found = (
                        None if operator == "~" else Firmware(Sign(operator), version_key(value))
                    )
            case _:
                found = _attribute(name, operator, value, anything=anything)
        if found is None:
            self._at = place
            self._fail("a condition that exists", f"{name} cannot be compared in this way")
        return found

    def _presence(self, operator: str, value: str, place: int) -> Condition | None:
        if operator != "=":
            return None
        if value.lower() not in PRESENCE:
            self._at = place
            self._fail("one of " + ", ".join(PRESENCE))
        return Presence(value.lower())

    def _silent_for(self, operator: str, value: str, place: int) -> Condition | None:
        if operator not in ("<", ">"):
            return None
        span = _SPAN.fullmatch(value)
        if span is None:
            self._at = place
            self._fail("a duration such as 90s, 15m, 2h or 7d")
        found = SilentFor(int(span[1]) * _UNITS[span[2]])
        return found if operator == ">" else Not(found)

    def _problem(
        self, operator: str, value: str, place: int, *, anything: bool
    ) -> Condition | None:
        if operator != "=":
            return None
        if anything:
            return HasProblem(None)
        if value.lower() not in set(Problem):
            self._at = place
            self._fail("* or one of " + ", ".join(Problem))
        return HasProblem(Problem(value.lower()))

    # ------------------------------------------------------------------ characters

    def _value(self, bare: re.Pattern[str]) -> tuple[str, bool]:
        """A value, and whether it is quoted."""
        quoted = _QUOTED.match(self._text, self._at)
        if quoted is not None:
            body = quoted[1] if quoted[1] is not None else quoted[2]
            self._at = quoted.end()
            return self._checked(_ESCAPED.sub(r"\1", body), quoted.start()), True
        found = bare.match(self._text, self._at)
        if found is None or found[0].lower() in _KEYWORDS:
            self._fail("a value; put quotes around one with spaces")
        self._at = found.end()
        return self._checked(found[0], found.start()), False

    def _checked(self, value: str, place: int) -> str:
        if not value.strip() or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            self._at = place
            self._fail("a value of characters that can be stored")
        return value.strip()

    def _count(self) -> None:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise too_many(self._terms)

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space is not None else self._at

    def _next(self) -> int:
        self._skip()
        return self._at

    def _take(self, character: str) -> bool:
        self._skip()
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def _peek_in(self) -> bool:
        word = _NAME.match(self._text, self._at)
        return word is not None and word[0].lower() == "in"

    def _keyword(self, keyword: str) -> bool:
        self._skip()
        word = _NAME.match(self._text, self._at)
        if word is None or word[0].lower() != keyword:
            return False
        self._at = word.end()
        return True

    def _fail(self, expected: str, why: str = "", cause: Exception | None = None) -> NoReturn:
        here = self._text[self._at : self._at + 20]
        what = f"{here!a}" if here else "the end"
        raise Invalid(
            f"The query is not valid at character {self._at + 1}: expected {expected}, "
            f"found {what}.{f' {why}.' if why else ''}",
            hint="For example: type = pump and firmware < 1.4.0 and not online.",
            code="invalid_search",
            position=self._at + 1,
            expected=expected,
        ) from cause


def _attribute(name: str, operator: str, value: str, *, anything: bool) -> Condition | None:
    if anything:
        return Term(name, None)
    if name in UNSORTED:
        return None
    match operator:
        case "=":
            return Term(name, key_of(value))
        case "~":
            return Like(name, value.lower())
    key = key_of(value)
    return None if key[0] == "b" else Ranged(name, Sign(operator), key)


def _negated(condition: Condition) -> Condition:
    if isinstance(condition, Term):
        return Term(condition.name, condition.key, negated=True)
    return Not(condition)
