"""dynamic-security.json as text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.broker import dynsec_file
from mooring.errors import Invalid
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers

VERIFIER = verifiers.make("secret")
SERVICE = Account("service:mooring", VERIFIER, Rights())

TOPICS = st.lists(st.text("ab+#/$ü", min_size=1, max_size=8), max_size=4, unique=True).map(
    lambda topics: tuple(sorted(topics))
)
NAMES = st.text(min_size=1, max_size=10) | st.lists(
    st.sampled_from(["account:", "device", "admin", "server", "x"]), min_size=1, max_size=4
).map("".join)
ACCOUNTS = st.lists(
    st.builds(
        Account,
        NAMES.filter(lambda name: name != SERVICE.username),
        st.sampled_from([VERIFIER, None]),
        st.builds(Rights, TOPICS, TOPICS),
        client_id=st.none() | st.text(min_size=1, max_size=6),
    ),
    max_size=6,
    unique_by=lambda account: account.username,
)


@settings(deadline=None)
@given(ACCOUNTS)
def test_accounts_survive(accounts: list[Account]) -> None:
    text = dynsec_file.render(accounts, SERVICE)
    read = {a.username: a for a in dynsec_file.parse(text)}
    assert read.pop(SERVICE.username).verifier == VERIFIER
    assert read == {a.username: a for a in accounts}
    look_up = dynsec_file.passwords(text.encode())
    assert all(look_up(a.username) == a.verifier for a in accounts)


@given(NAMES, NAMES)
def test_two_accounts_never_have_one_role(one: str, other: str) -> None:
    roles = [dynsec_file.role_name(name) for name in (one, other)]
    assert (roles[0] == roles[1]) is (one == other)
    assert not dynsec_file.BUILT_IN_ROLES & set(roles)
    assert [dynsec_file.username_of_role(role) for role in roles] == [one, other]
    # What older versions called it may be deleted: it is nobody else's.
    former = dynsec_file.former_role_name(one)
    assert former != roles[1] or one == other
    assert former not in dynsec_file.BUILT_IN_ROLES


def test_what_is_written() -> None:
    account = Account("lamp", VERIFIER, Rights(("m/up",), ("m/command/+",)))
    document = json.loads(dynsec_file.render([account], SERVICE))
    assert document["defaultACLAccess"] == {
        "publishClientSend": False,
        "publishClientReceive": False,
        "subscribe": False,
        "unsubscribe": True,
    }
    roles = {role["rolename"]: role for role in document["roles"]}
    assert set(roles) == {"admin", "server", "device", "lamp"}
    assert [(acl["acltype"], acl["topic"]) for acl in roles["lamp"]["acls"]] == [
        ("publishClientSend", "m/up"),
        ("subscribePattern", "m/command/+"),
        ("publishClientReceive", "m/command/+"),
    ]
    assert roles["device"]["acls"] == []
    clients = {client["username"]: client for client in document["clients"]}
    assert clients["lamp"]["roles"] == [{"rolename": "lamp"}]
    assert [r["rolename"] for r in clients[SERVICE.username]["roles"]] == ["server", "admin"]


@pytest.mark.parametrize("name", ["admin", "server", "device"])
def test_an_account_never_gets_a_built_in_role(name: str) -> None:
    document = json.loads(dynsec_file.render([Account(name, VERIFIER, Rights())], SERVICE))
    [client] = [c for c in document["clients"] if c["username"] == name]
    assert client["roles"] == [{"rolename": f"account:{name}"}]
    assert dynsec_file.username_of_role(f"account:{name}") == name


@pytest.mark.parametrize("names", [["a", "a"], [SERVICE.username], ["kept"], ["kept-role"]])
def test_a_name_is_used_once(names: list[str]) -> None:
    kept = dynsec_file.Foreign(
        clients=({"username": "kept", "roles": [{"rolename": "kept-role"}]},),
        roles=({"rolename": "kept-role", "acls": []},),
    )
    with pytest.raises(Invalid):
        dynsec_file.render([Account(name, None, Rights()) for name in names], SERVICE, kept)


OPERATORS = json.dumps(
    {
        "clients": [
            {"username": "bridge", "roles": [{"rolename": "bridges"}], "clientid": "b1"},
            {"username": "other", "roles": []},
            {"username": "off", "disabled": True, "roles": [{"rolename": "bridges"}]},
        ],
        "groups": [
            {
                "groupname": "g",
                "roles": [{"rolename": "by-group"}],
                "clients": [{"username": "bridge"}, {"username": "other"}],
            }
        ],
        "roles": [
            {
                "rolename": "bridges",
                "acls": [
                    {"acltype": "publishClientSend", "topic": "b/#", "allow": True},
                    {"acltype": "subscribeLiteral", "topic": "b/in", "allow": True},
                    {"acltype": "publishClientReceive", "topic": "b/in", "allow": True},
                    {"acltype": "publishClientReceive", "topic": "b/unheard", "allow": True},
                ],
            },
            {
                "rolename": "by-group",
                "acls": [{"acltype": "publishClientSend", "topic": "g", "allow": True}],
            },
            {"rolename": "unused", "acls": []},
        ],
    }
)


def test_an_operators_file_is_understood() -> None:
    assert dynsec_file.parse(OPERATORS) == [
        Account("bridge", None, Rights(("b/#", "g"), ("b/in",)), client_id="b1"),
        Account("other", None, Rights(("g",), ())),
    ]


def test_what_is_kept_comes_with_what_it_needs() -> None:
    kept = dynsec_file.foreign(OPERATORS, ["bridge"])
    document = json.loads(dynsec_file.render([], SERVICE, kept))
    assert {c["username"] for c in document["clients"]} == {"bridge", SERVICE.username}
    [bridge] = [c for c in document["clients"] if c["username"] == "bridge"]
    assert bridge["clientid"] == "b1"
    assert {"bridges", "by-group"} <= {role["rolename"] for role in document["roles"]}
    assert "unused" not in {role["rolename"] for role in document["roles"]}
    assert document["groups"][0]["clients"] == [{"username": "bridge"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"clients": 1}',
        '{"clients": [1]}',
        '{"clients": [{"username": ""}]}',
        '{"clients": [{"username": "a", "roles": [{"rolename": "r"}]}], "roles": '
        '[{"rolename": "r", "acls": [{"acltype": "publishClientSend", "topic": "t"}]}]}',
        '{"clients": [{"username": "a", "roles": [{"rolename": "r"}]}], "roles": '
        '[{"rolename": "r", "acls": [{"acltype": "new", "topic": "t", "allow": true}]}]}',
    ],
)
def test_what_cannot_be_expressed_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        dynsec_file.parse(text)


def test_a_broken_password_is_none() -> None:
    text = b'{"clients": [{"username": "a", "password": "x", "salt": "y", "iterations": 1}]}'
    look_up = dynsec_file.passwords(text)
    assert look_up("a") is None
    assert look_up("b") is None
    with pytest.raises(Invalid):
        dynsec_file.passwords(b"{")


def test_both_spellings_of_a_password_are_read() -> None:
    """2.1 writes ``encoded_password``, and prefers it where both are there."""
    other = verifiers.to_dynsec(verifiers.make("another"))
    document = {
        "clients": [
            {"username": "new", "encoded_password": VERIFIER},
            {"username": "both", "encoded_password": VERIFIER, **other},
            {"username": "old", **verifiers.to_dynsec(VERIFIER)},
            {"username": "broken", "encoded_password": "$7$1$x"},
        ]
    }
    look_up = dynsec_file.passwords(json.dumps(document).encode())
    assert [look_up(name) for name in ("new", "both", "old")] == [VERIFIER] * 3
    assert look_up("broken") is None
