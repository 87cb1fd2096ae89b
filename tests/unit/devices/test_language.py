"""The language of queries: what is understood, and what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.attributes.keys import key_of
from mooring.devices.attributes.language import (
    DEPTH_MAX,
    PRESENCE,
    QUERY_MAX,
    TERMS_MAX,
    WILDCARDS_MAX,
    parse,
)
from mooring.devices.attributes.query import terms
from mooring.devices.attributes.terms import (
    Both,
    Condition,
    Either,
    Enabled,
    Firmware,
    InGroup,
    Like,
    Named,
    Not,
    Own,
    Presence,
    Ranged,
    Sign,
    Term,
    groups_of,
)
from mooring.errors import Invalid
from mooring.presence.states.machine import State
from mooring.store.version_key import version_key

PUMP, CELLAR = Term("type", "tpump"), Term("tags", "tcellar")

MEANINGS: dict[str, Condition] = {
    "type = pump": PUMP,
    "type=pump": PUMP,
    "TYPE = x".lower(): Term("type", "tx"),
    "type = 'Pump'": PUMP,
    'room = "Living \\"room\\""': Term("room", 'tliving "room"'),
    "room = *": Term("room", None),
    "room != *": Term("room", None, negated=True),
    'room = "*"': Term("room", "t*"),
    "tag != cellar": Term("tags", "tcellar", negated=True),
    "type = pump and tag = cellar and firmware < 1.4.0 and not online": Both(
        (
            PUMP,
            CELLAR,
            Firmware(Sign.BELOW, version_key("1.4")),
            Not(Presence("online")),
        )
    ),
    "type = pump or tag = cellar and online": Either((PUMP, Both((CELLAR, Presence("online"))))),
    "(type = pump or tag = cellar) AND Online": Both((Either((PUMP, CELLAR)), Presence("online"))),
    "not (type=pump)": Not(PUMP),
    "not not online": Not(Not(Presence("online"))),
    "type in (pump, 'big pump')": Either((PUMP, Term("type", "tbig pump"))),
    "floor >= 3": Ranged("floor", Sign.FROM, key_of(3)),
    "hardware < B": Ranged("hardware", Sign.BELOW, "tb"),
    "type ~ Pu*": Like("type", "pu*"),
    "type !~ pu*": Not(Like("type", "pu*")),
    "name = P-1": Named(Own.NAME, "P-1"),
    "name ~ P-?": Named(Own.NAME, "P-?", pattern=True),
    "dialect in (pulse, mooring)": Either(
        (Named(Own.DIALECT, "pulse"), Named(Own.DIALECT, "mooring"))
    ),
    "group = heat": InGroup("heat"),
    "group != *": Not(InGroup(None)),
    "firmware = *": Firmware(Sign.EQUAL, None),
    "presence = never_seen": Presence("never_seen"),
    "disabled": Not(Enabled()),
    "online = yes": Term("online", "tyes"),
    "a-b.c_d=1": Term("a-b.c_d", key_of(1)),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_what_is_understood(text: str) -> None:
    assert parse(text) == MEANINGS[text]


WRONG = {
    "": (1, "a name"),
    "   ": (4, "a name"),
    "type": (5, "one of ="),
    "type =": (7, "a value"),
    "type = and": (8, "a value"),
    "type = pump tag = cellar": (13, "'and', 'or' or the end"),
    "type = pump and": (16, "a name"),
    "(type = pump": (13, "')'"),
    "type = pump)": (12, "the end"),
    "type in pump": (9, "'('"),
    "type in (pump": (14, "',' or ')'"),
    "type in ()": (10, "a value"),
    "presence = asleep": (12, "one of never_seen"),
    "presence ~ on*": (12, "a condition that exists"),
    "name < b": (8, "a condition that exists"),
    "firmware ~ 1.*": (12, "a condition that exists"),
    "group > a": (9, "a condition that exists"),
    "enabled = true": (1, "a name that devices"),
    "position = 1": (12, "a condition that exists"),
    "type = 'pump": (8, "a value"),
    "type = 'a\0b'": (8, "a value of characters"),
    "type = \ud800": (8, "a value of characters"),
    "type = ' '": (8, "a value of characters"),
    "ty\u202epe = pump": (3, "one of ="),
    "\u202etype = pump": (1, "a name"),
    "name ~ *a*b*c*d*e*": (8, "a pattern with at most"),
    "floor < true": (9, "a condition that exists"),
    "1 = 1": (1, "a name"),
    "type = pump; drop table devices": (14, "'and', 'or' or the end"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_has_a_place_and_what_was_expected(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    position, expected = WRONG[text]
    assert caught.value.slug == "invalid_search"
    assert caught.value.context["position"] == position, caught.value.message
    assert expected in str(caught.value.context["expected"])
    caught.value.message.encode()  # so it can be shown


def test_limits() -> None:
    parse(" and ".join(["a=1"] * TERMS_MAX))
    parse("(" * DEPTH_MAX + "a=1" + ")" * DEPTH_MAX)
    parse("name ~ " + "*a" * WILDCARDS_MAX)
    for text in (
        " and ".join(["a=1"] * (TERMS_MAX + 1)),
        f"a in ({', '.join(['1'] * (TERMS_MAX + 1))})",
        "(" * (DEPTH_MAX + 1) + "a=1" + ")" * (DEPTH_MAX + 1),
        "not " * 200 + "a=1",
        "(" * QUERY_MAX,
        "a=" + "x" * QUERY_MAX,
    ):
        with pytest.raises(Invalid):
            parse(text)
    with pytest.raises(Invalid):
        terms(["a=1 and b=2"] * (TERMS_MAX // 2) + ["c=1"])


@given(st.text(max_size=200) | st.lists(st.sampled_from(list(MEANINGS))).map(" ".join))
def test_any_text_means_something_or_is_rejected(text: str) -> None:
    try:
        parse(text)
    except Invalid as exc:
        assert exc.slug == "invalid_search"


def test_conditions_of_a_command_line() -> None:
    assert terms(["type=pump", "tag=cellar and online"]) == (PUMP, CELLAR, Presence("online"))
    assert terms(["room=Living room"]) == (Term("room", "tliving room"),)
    assert terms(["room!=Living room"]) == (Term("room", "tliving room", negated=True),)
    for wrong in ("room=a and", "room = a or b", "enabled=a b", "room=\ud800", "room=a \0"):
        with pytest.raises(Invalid):
            terms([wrong])


def test_states_are_those_that_are_shown() -> None:
    assert set(PRESENCE) == set(map(str, State))


def test_groups_of() -> None:
    assert groups_of(parse("not (group = a or group in (b, c)) and group = *")) == {"a", "b", "c"}
