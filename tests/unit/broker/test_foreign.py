"""Reading another broker's accounts: what is taken over, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.foreign import Found, Takeover, covers, from_dynsec, from_files
from mooring.dialects.topics import topic_matches
from mooring.errors import Invalid
from mooring.identity.account import Rights
from mooring.secrets import verifiers

VERIFIER = verifiers.make("a password nobody knows", salt=b"0123456789ab")
SHA512 = "$6$c2FsdA==$aGFzaA=="


def by_name(found: Takeover) -> dict[str, Found]:
    return {one.username: one for one in found.accounts}


def test_a_password_file_with_its_access_list() -> None:
    found = from_files(
        f"# ours\nkitchen:{VERIFIER}\nold:{SHA512}\n\nbridge:{VERIFIER}\nkitchen:{SHA512}\n",
        """
topic read public/#
pattern readwrite home/%u/#
pattern write by/%c/x
user bridge
topic home/#
topic deny home/secret/#
user ghost
topic read x
user kitchen
topic write log/kitchen
""",
    )
    accounts = by_name(found)
    assert set(accounts) == {"kitchen", "old", "bridge"}
    assert accounts["kitchen"].verifier == VERIFIER
    assert accounts["kitchen"].rights == Rights(
        ("home/kitchen/#", "log/kitchen"), ("home/kitchen/#",)
    )
    assert accounts["old"].verifier is None
    assert "SHA-512" in accounts["old"].notes[0]
    # What was partly denied is left out as a whole: fewer rights, never more.
    assert accounts["bridge"].rights == Rights(("home/bridge/#",), ("home/bridge/#",))
    assert any("loses home/#" in note for note in accounts["bridge"].notes)
    text = " ".join(found.notes)
    for said in ("repeats kitchen", "anonymous", "%c", "ghost"):
        assert said in text


@pytest.mark.parametrize(
    ("digest", "kept"),
    [
        (VERIFIER, True),
        (SHA512, False),
        ("$7$101$tooshort$x", False),
        ("plain", False),
        ("$argon2id$v=19$x", False),
    ],
)
def test_what_can_be_kept_of_a_hash(digest: str, kept: bool) -> None:
    (one,) = from_files(f"who:{digest}\n", "").accounts
    assert (one.verifier is not None) is kept
    assert bool(one.notes) is not kept


def test_without_an_access_list_rights_are_not_known() -> None:
    found = from_files(f"who:{VERIFIER}\n", None)
    assert not found.rights_known
    assert found.accounts[0].rights == Rights()
    assert "no access list" in found.notes[0]


def dynsec(**parts: Any) -> str:
    return json.dumps({"clients": [], "roles": [], "groups": [], **parts})


def acl(kind: str, topic: str, allow: bool = True) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": 0}


def client(name: str, *roles: str, **more: Any) -> dict[str, Any]:
    named = [{"rolename": role} for role in roles]
    return {"username": name, "roles": named, **verifiers.to_dynsec(VERIFIER), **more}


def test_roles_groups_and_defaults_of_dynamic_security() -> None:
    text = dynsec(
        defaultACLAccess={"publishClientReceive": True},
        clients=[
            client("admin", "admin"),
            client("lamp", "lamp"),
            client("off", "lamp", disabled=True),
            client("bound", "lamp", clientid="x"),
            {"username": "nobody"},
        ],
        roles=[
            {"rolename": "admin", "acls": [acl("publishClientSend", "$CONTROL/#")]},
            {
                "rolename": "lamp",
                "acls": [
                    acl("publishClientSend", "home/lamp/up"),
                    acl("subscribePattern", "home/lamp/#"),
                ],
            },
            {"rolename": "all", "acls": [acl("publishClientSend", "all/x")]},
        ],
        groups=[
            {
                "groupname": "everybody",
                "clients": [{"username": "lamp"}],
                "roles": [{"rolename": "all"}],
            }
        ],
    )
    accounts = by_name(from_dynsec(text))
    assert accounts["lamp"].rights == Rights(("all/x", "home/lamp/up"), ("home/lamp/#",))
    assert accounts["lamp"].verifier == VERIFIER
    assert accounts["admin"].administers
    assert accounts["admin"].rights == Rights()
    assert accounts["off"].disabled
    assert "client id" in accounts["bound"].notes[0]
    assert accounts["nobody"].verifier is None


def test_a_subscription_that_never_receives_is_no_right() -> None:
    role = {"rolename": "r", "acls": [acl("subscribePattern", "a/#")]}
    (one,) = from_dynsec(dynsec(clients=[client("c", "r")], roles=[role])).accounts
    assert one.rights == Rights()


def test_denied_by_a_role() -> None:
    role = {
        "rolename": "r",
        "acls": [
            acl("publishClientSend", "a/+"),
            acl("publishClientSend", "b"),
            acl("publishClientSend", "a/secret", allow=False),
        ],
    }
    (one,) = from_dynsec(dynsec(clients=[client("c", "r")], roles=[role])).accounts
    assert one.rights.publish == ("b",)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nothing"])
def test_what_is_no_dynsec_file(text: str) -> None:
    with pytest.raises(Invalid):
        from_dynsec(text)


LEVEL = st.sampled_from(["a", "b", "", "+"])
FILTERS = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(LEVEL, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
)


@given(FILTERS, FILTERS, st.lists(st.sampled_from(["a", "b", "", "c"]), min_size=1, max_size=5))
def test_a_covered_filter_has_no_topic_the_wide_one_lacks(
    wide: str, narrow: str, levels: list[str]
) -> None:
    topic = "/".join(levels)
    if covers(wide, narrow) and topic_matches(narrow, topic):
        assert topic_matches(wide, topic)
