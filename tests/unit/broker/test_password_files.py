"""The password file and the access list as text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.broker import access_list, password_lines
from mooring.broker.access_list import AccessList, _sorted
from mooring.dialects import load_all
from mooring.dialects.model import Identity
from mooring.dialects.topics import filters_overlap
from mooring.errors import Invalid
from mooring.identity.account import Account, Rights
from mooring.identity.policy import rights_of
from mooring.secrets import verifiers

VERIFIER = verifiers.make("secret")


@given(st.dictionaries(st.text(max_size=8), st.just(VERIFIER), max_size=5))
def test_passwords_are_read_as_written_or_refused(lines: dict[str, str]) -> None:
    try:
        text = password_lines.render(lines)
    except Invalid:
        return
    assert password_lines.parse(text) == lines
    assert len(text.split("\n")) == len(lines) + 1


@pytest.mark.parametrize(
    "username", ["", "device:t:d", "#x", " x", "x ", "a\nb", "a\tb", "x" * 65_536]
)
def test_usernames_a_password_file_cannot_hold(username: str) -> None:
    with pytest.raises(Invalid) as caught:
        password_lines.render({username: VERIFIER})
    assert caught.value.slug == "username_not_for_password_file"


def test_only_verifiers_are_written() -> None:
    with pytest.raises(Invalid):
        password_lines.render({"lamp": "plain"})
    with pytest.raises(Invalid):
        password_lines.render({"lamp": f"{VERIFIER}\nroot:{VERIFIER}"})


def test_what_the_broker_would_not_take_is_not_read() -> None:
    text = f"# comment\n\nbroken\nplain:text\n:{VERIFIER}\na:{VERIFIER}\r\na:$7$second\nb:$6$x$y\n"
    assert password_lines.parse(text) == {"a": VERIFIER, "b": "$6$x$y"}
    kept = password_lines.render({"z": VERIFIER}, kept={"b": "$6$x$y"})
    assert kept == f"b:$6$x$y\nz:{VERIFIER}\n"


def device(name: str, *extra: str) -> Account:
    return Account(name, VERIFIER, Rights((f"m/{name}/up", *extra), (f"m/{name}/down",)))


def test_what_all_have_becomes_patterns() -> None:
    found = access_list.factor([device("a"), device("b", "extra"), device("c")])
    assert found == AccessList(Rights(("m/%u/up",), ("m/%u/down",)), {"b": Rights(("extra",), ())})
    assert access_list.render(found).splitlines()[1:] == [
        "pattern write m/%u/up",
        "pattern read m/%u/down",
        "",
        "user b",
        "topic write extra",
    ]


def test_what_one_lacks_is_no_pattern() -> None:
    other = Account("x", VERIFIER, Rights(("m/other/up",), ()))
    found = access_list.factor([device("a"), other])
    assert found.patterns == Rights()
    assert set(found.users) == {"a", "x"}


def of_dialect(dialect: str, name: str) -> Account:
    """An account as the platform makes it."""
    found = load_all().get(dialect)
    identity = Identity("default", name, None)
    return Account(found.username_of(identity), VERIFIER, rights_of(found, identity))


def lines_of(accounts: list[Account]) -> list[str]:
    return access_list.render(access_list.factor(accounts, spanning=True)).splitlines()[1:]


@pytest.mark.parametrize("other", ["mooring", "iotflow", "pulse", "smarthome"])
@pytest.mark.parametrize("fleet", ["drivesafe", "mooring", "smarthome", "iotflow"])
def test_one_device_of_another_dialect_costs_its_own_lines(fleet: str, other: str) -> None:
    if fleet == other:
        return
    many = [of_dialect(fleet, f"d{number}") for number in range(1_000)]
    alone = len(lines_of(many))
    assert alone < 30, "a fleet is a few patterns"
    stranger = of_dialect(other, "stranger")
    mine = len(stranger.rights.publish) + len(stranger.rights.subscribe)
    # Its section: what it may do, and what it must not do although all others may.
    assert len(lines_of([*many, stranger])) <= alone + 2 + mine + alone


def test_two_fleets_are_patterns_without_sections() -> None:
    cars = [of_dialect("drivesafe", f"car{number}") for number in range(300)]
    lamps = [of_dialect("mooring", f"lamp{number}") for number in range(300)]
    lines = lines_of([*cars, *lamps])
    assert [line for line in lines if line.startswith("user ")] == []
    assert "pattern write device/data/%u" in lines
    assert "pattern write mooring/%u/telemetry" in lines


def test_what_a_pattern_opens_is_denied_where_others_would_publish() -> None:
    """Otherwise the other account could speak as a device that does not exist."""
    plain = [device(name) for name in "abc"]
    other = Account("x", VERIFIER, Rights(("elsewhere",), ()))
    found = access_list.factor([*plain, other])
    assert found.patterns == Rights(("m/%u/up",), ("m/%u/down",))
    assert found.denied == {"x": ("m/x/up",)}
    assert found.rights("x") == Rights(("elsewhere",), ("m/x/down",))  # nobody publishes there
    text = access_list.render(found)
    assert text.splitlines()[-3:] == ["user x", "topic write elsewhere", "topic deny m/x/up"]
    assert access_list.parse(text) == found


def test_a_name_with_a_wildcard_keeps_the_others_patterns() -> None:
    odd = Account("a+", VERIFIER, Rights(("m/a+/up",), ()))
    found = access_list.factor([device("a"), device("b"), odd])
    assert found.patterns == Rights(("m/%u/up",), ("m/%u/down",))
    assert (found.users, found.rights("a+")) == ({"a+": odd.rights}, odd.rights)


def test_an_account_with_every_topic_keeps_the_others_patterns() -> None:
    bridge = Account("bridge", VERIFIER, Rights(("m/#", "m/bridge/up"), ("#",)))
    found = access_list.factor([device("a"), device("b"), bridge])
    assert found.patterns == Rights(("m/%u/up",), ("m/%u/down",))
    assert found.denied == {}
    assert found.rights("bridge") == bridge.rights


def test_the_topic_of_another_is_no_pattern() -> None:
    """Every account may write m/a/up, but only one of them because it is called a."""
    accounts = [Account(name, VERIFIER, Rights(("m/a/up",), ())) for name in "ab"]
    assert access_list.factor(accounts).patterns == Rights()


def test_an_account_without_password_is_named_all_the_same() -> None:
    meter = Account("meter", None, Rights(("m/meter/up",), ("m/meter/down",)))
    assert access_list.factor([meter, device("a")]).users == {"meter": Rights()}


NAMES = st.sampled_from(["a", "b", "m", "up", "%u", "a+", "x y", "a/b", "m/a"])
LEVELS = st.one_of(NAMES, st.sampled_from(["+", "#", "down"]))
FILTERS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
RIGHTS = st.builds(
    Rights,
    st.lists(FILTERS, max_size=4, unique=True).map(tuple),
    st.lists(FILTERS, max_size=4, unique=True).map(tuple),
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.builds(Account, NAMES, st.sampled_from([VERIFIER, None]), RIGHTS),
        max_size=4,
        unique_by=lambda account: account.username,
    ),
    st.lists(st.sampled_from(["m/{}/up", "m/{}/down", "{}", "{}/{}"]), unique=True),
    st.booleans(),
)
def test_factoring_grants_exactly_the_same(
    accounts: list[Account], shared: list[str], spanning: bool
) -> None:
    """With and without rights that all have under their own names."""
    accounts = [
        Account(
            a.username,
            a.verifier,
            Rights(
                tuple({*a.rights.publish, *(t.format(a.username, a.username) for t in shared)}),
                a.rights.subscribe,
            ),
        )
        for a in accounts
    ]
    read = access_list.parse(access_list.render(access_list.factor(accounts, spanning=spanning)))
    used = {topic for one in accounts for topic in (*one.rights.publish, *one.rights.subscribe)}
    for account in accounts:
        found = read.rights(account.username)
        if "/" in account.username and not spanning:  # as 2.1 reads it: without patterns
            assert read.users.get(account.username, Rights()) == _sorted(account.rights)
        for granted, wanted in (
            (found.publish, account.rights.publish),
            (found.subscribe, account.rights.subscribe),
        ):
            assert set(granted) >= set(wanted)
            for topic in set(granted) - set(wanted):  # nobody's
                assert not any(filters_overlap(topic, one) for one in used)


@pytest.mark.parametrize(
    "text",
    [
        "topic read x",
        "user a\ntopic deny x",
        "pattern write m/%c/up",
        "user",
        "user a\ntopic",
        "user a\nnonsense x",
    ],
)
def test_what_rights_cannot_express_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        access_list.parse(text)


def test_an_operators_list_is_understood() -> None:
    text = (
        "# comment\npattern readwrite p/%u/#\n\nuser a b\n"
        "topic x/y\n topic readwrite s p\ntopic read r\n"
    )
    assert access_list.parse(text).rights("a b") == Rights(
        ("p/a b/#", "s p", "x/y"), ("p/a b/#", "r", "s p", "x/y")
    )


@pytest.mark.parametrize("topic", ["", " x", "x ", "a\nuser root"])
def test_a_topic_never_becomes_a_second_line(topic: str) -> None:
    with pytest.raises(Invalid):
        access_list.render(AccessList(users={"a": Rights((topic,), ())}))
