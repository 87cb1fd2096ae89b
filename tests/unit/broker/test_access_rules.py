"""Which logins and topics are accepted, and the reason of every refusal."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.broker.access_rules import (
    AccountFacts,
    Action,
    Certificate,
    Login,
    Password,
    Reason,
    Situation,
    Used,
    login,
    may,
)
from mooring.broker.topic_rules import fill, is_filter, within
from mooring.errors import Invalid
from mooring.secrets import verifiers

OLD = verifiers.make("old", salt=b"0123456789ab")
NEW = verifiers.make("new", salt=b"0123456789ab")
PUMP = AccountFacts("pump", OLD, NEW)


def knocks(
    account: AccountFacts | None,
    password: str | bytes | None = "old",  # noqa: S107
    **facts: object,
) -> Login:
    name = account.username if account else "nobody"
    return login(account, Password(name, password), "id", Situation(**facts))  # type: ignore[arg-type]


def test_either_password_of_a_rotation_is_accepted_and_named() -> None:
    assert knocks(PUMP) == Login(None, Used.PASSWORD)
    assert knocks(PUMP, "new") == Login(None, Used.NEW_PASSWORD)
    assert knocks(PUMP, b"new\0tail") == Login(None, Used.NEW_PASSWORD)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (login(PUMP, Password("", "old"), "id"), Reason.NO_USERNAME),
        (login(PUMP, Password(None, "old"), "id"), Reason.NO_USERNAME),
        (knocks(None), Reason.UNKNOWN_USERNAME),
        (knocks(PUMP, None), Reason.NO_PASSWORD),
        (knocks(PUMP, "\0old"), Reason.NO_PASSWORD),
        (knocks(PUMP, "older"), Reason.WRONG_PASSWORD),
        (knocks(AccountFacts("pump")), Reason.CERTIFICATE_ONLY),
        (knocks(AccountFacts("pump", "$7$101$nonsense")), Reason.CERTIFICATE_ONLY),
        (knocks(AccountFacts("pump", OLD.removesuffix("="))), Reason.CERTIFICATE_ONLY),
        (knocks(AccountFacts("pump", OLD, locked=True)), Reason.LOCKED),
        (knocks(AccountFacts("pump", OLD, client_id="ID")), Reason.WRONG_CLIENT_ID),
        (knocks(PUMP, client_id_of="fan"), Reason.CLIENT_ID_OF_ANOTHER),
        (knocks(PUMP, session_of="fan"), Reason.CLIENT_ID_OF_ANOTHER),
        (knocks(PUMP, live_client_id_of="fan"), Reason.CLIENT_ID_OF_ANOTHER),
        (
            knocks(AccountFacts("pump", OLD, max_connections=2), connections=2),
            Reason.TOO_MANY_CONNECTIONS,
        ),
        (
            knocks(
                AccountFacts("pump", OLD, tenant="acme"),
                tenant_connections=3,
                tenant_max_connections=3,
            ),
            Reason.TENANT_TOO_MANY_CONNECTIONS,
        ),
    ],
)
def test_a_refused_password_login_names_its_reason(verdict: Login, reason: Reason) -> None:
    assert verdict == Login(reason)


def test_client_ids_that_are_its_own_do_not_stand_in_the_way() -> None:
    own = Situation(client_id_of="pump", session_of="pump", live_client_id_of="pump")
    assert login(PUMP, Password("pump", "old"), "id", own).accepted
    assert knocks(AccountFacts("pump", OLD, client_id="id"), live_client_id_of="fan").accepted


def test_client_ids_of_mooring_are_for_the_service_alone() -> None:
    fixed = AccountFacts("pump", OLD, client_id="mooring-ingest")
    service = AccountFacts("mooring", OLD, service=True, max_connections=0)
    for account in (PUMP, fixed):
        verdict = login(account, Password("pump", "old"), "mooring-ingest")
        assert verdict.reason is Reason.CLIENT_ID_OF_ANOTHER
    squatted = Situation(client_id_of="pump", session_of="pump", connections=9)
    assert login(service, Password("mooring", "old"), "mooring-ingest", squatted).accepted


@pytest.mark.parametrize(
    ("shown", "certificate_of", "account", "reason"),
    [
        (Certificate("1f", "pump"), "pump", PUMP, None),
        (Certificate("1f", "pump", "pump"), "pump", PUMP, None),
        (Certificate("1f", "pump", "fan"), "pump", PUMP, Reason.CERTIFICATE_OF_ANOTHER),
        (Certificate("1f", "pump"), None, PUMP, Reason.CERTIFICATE_UNKNOWN),
        (Certificate("1f", "pump"), "fan", PUMP, Reason.CERTIFICATE_UNKNOWN),
        (Certificate("1f", None), "pump", PUMP, Reason.CERTIFICATE_UNKNOWN),
        (Certificate("1f", "pump\0x"), "pump\0x", PUMP, Reason.CERTIFICATE_UNKNOWN),
        (Certificate("1f", "pump"), "pump", None, Reason.UNKNOWN_USERNAME),
        (
            Certificate("1f", "pump"),
            "pump",
            AccountFacts("pump", locked=True),
            Reason.LOCKED,
        ),
    ],
)
def test_certificates_count_by_name_and_serial(
    shown: Certificate,
    certificate_of: str | None,
    account: AccountFacts | None,
    reason: Reason | None,
) -> None:
    verdict = login(account, shown, "id", Situation(certificate_of=certificate_of))
    assert verdict == Login(reason, None if reason else Used.CERTIFICATE)


FARM = AccountFacts(
    "a/b",
    publish=("farm/\x01/up/+", "raw/\x02/#", "plain"),
    subscribe=("farm/\x01/down/#", "$SYS/broker/uptime", "x-\x03-y"),
    values=("a/b", "", "+"),
)


@pytest.mark.parametrize(
    ("action", "topic", "rule"),
    [
        (Action.PUBLISH, "farm/a/b/up/temperature", "farm/a/b/up/+"),
        (Action.PUBLISH, "plain", "plain"),
        (Action.SUBSCRIBE, "farm/a/b/down/#", "farm/a/b/down/#"),
        (Action.SUBSCRIBE, "farm/a/b/down/+/x", "farm/a/b/down/#"),
        (Action.SUBSCRIBE, "farm/a/b/down", "farm/a/b/down/#"),
        (Action.SUBSCRIBE, "$share/g/farm/a/b/down/+", "farm/a/b/down/#"),
        (Action.READ, "farm/a/b/down/set", "farm/a/b/down/#"),
        (Action.READ, "$SYS/broker/uptime", "$SYS/broker/uptime"),
    ],
)
def test_the_deciding_rule_is_named(action: Action, topic: str, rule: str) -> None:
    assert may(FARM, action, topic).rule == rule


@pytest.mark.parametrize(
    ("action", "topic", "reason"),
    [
        (Action.PUBLISH, "farm/a/b/up/x/y", Reason.NO_RIGHT),
        (Action.PUBLISH, "farm/a/b/down/x", Reason.NO_RIGHT),
        (Action.PUBLISH, "raw/x", Reason.NO_RIGHT),  # the value is empty
        (Action.PUBLISH, "farm/+/up/x", Reason.INVALID_TOPIC),
        (Action.PUBLISH, "", Reason.INVALID_TOPIC),
        (Action.SUBSCRIBE, "farm/a/b/#", Reason.NO_RIGHT),
        (Action.SUBSCRIBE, "farm/+/b/down/x", Reason.NO_RIGHT),
        (Action.SUBSCRIBE, "#", Reason.NO_RIGHT),
        (Action.SUBSCRIBE, "farm/a/b/down/#/x", Reason.INVALID_TOPIC),
        (Action.SUBSCRIBE, "$share/g", Reason.INVALID_TOPIC),
        (Action.SUBSCRIBE, "$share/+/farm/a/b/down/x", Reason.INVALID_TOPIC),
        (Action.SUBSCRIBE, "$share/g/#", Reason.NO_RIGHT),
        (Action.SUBSCRIBE, "$mooring/#", Reason.RESERVED),
        (Action.SUBSCRIBE, "$share/g/$mooring/authority/event", Reason.RESERVED),
        (Action.PUBLISH, "$CONTROL/mooring-authority/v1", Reason.RESERVED),
    ],
)
def test_a_denied_topic_names_its_reason(action: Action, topic: str, reason: Reason) -> None:
    verdict = may(FARM, action, topic)
    assert (verdict.allowed, verdict.rule, verdict.reason) == (False, None, reason)


def test_wildcards_do_not_reach_topics_of_the_broker() -> None:
    wide = AccountFacts("wide", publish=("#", "+/x"), subscribe=("#",), values=("$SYS",))
    named = AccountFacts("named", subscribe=("\x01/#",), values=("$SYS",))
    assert may(wide, Action.READ, "any/topic").rule == "#"
    assert may(wide, Action.SUBSCRIBE, "#").rule == "#"
    for account, topic in ((wide, "$SYS/x"), (named, "$SYS/x"), (wide, "$x/y")):
        assert may(account, Action.READ, topic).reason is Reason.NO_RIGHT
    assert may(wide, Action.SUBSCRIBE, "$mooring/#").reason is Reason.RESERVED


def test_a_value_that_looks_like_a_wildcard_is_none() -> None:
    sly = AccountFacts("sly", subscribe=("home/\x01/x", "home/\x02"), values=("+", "a/#"))
    assert may(sly, Action.SUBSCRIBE, "home/+/x").reason is Reason.NO_RIGHT
    assert may(sly, Action.SUBSCRIBE, "home/a/#").reason is Reason.NO_RIGHT
    assert may(sly, Action.READ, "home/b/x").reason is Reason.NO_RIGHT


def test_the_service_may_do_everything_and_a_locked_or_missing_account_nothing() -> None:
    service = AccountFacts("mooring", service=True)
    assert may(service, Action.PUBLISH, "$CONTROL/mooring-authority/v1").rule == "#"
    locked = AccountFacts("pump", publish=("#",), locked=True)
    assert may(locked, Action.PUBLISH, "x").reason is Reason.LOCKED
    assert may(None, Action.PUBLISH, "x").reason is Reason.UNKNOWN_USERNAME


def test_more_values_than_there_are_characters_for_are_refused() -> None:
    with pytest.raises(Invalid, match="at most 8"):
        AccountFacts("pump", values=tuple("123456789"))


LEVELS = ("", "a", "b", "$c")
TOPICS = ["/".join(t) for n in (1, 2, 3) for t in itertools.product(LEVELS, repeat=n)][1:]
EVERY = ("/".join(t) for n in (1, 2, 3) for t in itertools.product((*LEVELS, "+", "#"), repeat=n))
FILTERS = st.sampled_from([text for text in EVERY if is_filter(text)])


@settings(max_examples=300)
@given(rule=FILTERS, wanted=FILTERS)
def test_a_filter_is_inside_only_if_each_of_its_topics_is(rule: str, wanted: str) -> None:
    if within(rule, (), wanted, subscribing=True):
        for topic in TOPICS:
            if within(wanted, (), topic, subscribing=False):
                assert within(rule, (), topic, subscribing=False), topic


@given(rule=FILTERS)
def test_a_filter_is_inside_itself(rule: str) -> None:
    assert within(rule, (), rule, subscribing=True)


@given(
    template=st.lists(
        st.sampled_from(("a", "+", "#", "\x01", "x\x02y")), min_size=1, max_size=4
    ).map("/".join),
    values=st.lists(st.text("ab/$", min_size=1, max_size=3), min_size=2, max_size=2),
    topic=st.sampled_from(TOPICS),
)
def test_a_value_stands_for_itself(template: str, values: list[str], topic: str) -> None:
    if template.startswith("\x01") and values[0].startswith("$"):
        return  # a value does not open the topics of the broker
    filled = fill(template, values)
    assert filled is not None
    assert within(template, values, topic, subscribing=False) == within(
        filled, (), topic, subscribing=False
    )
