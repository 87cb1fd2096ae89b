"""What is asked of the provider, and what its groups mean here."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from mooring.errors import Forbidden
from mooring.identity.actor import Role
from mooring.oidc.model import Attempt, Metadata, address, person, role_of
from mooring.settings import Settings
from mooring.settings.field import InvalidValue

PROVIDER = Metadata(
    issuer="https://id.example",
    authorization="https://id.example/auth?x=1",
    token="https://id.example/token",
    keys="https://id.example/keys",
    userinfo=None,
    end_session=None,
    basic=True,
)


def test_the_address_of_the_provider() -> None:
    attempt = Attempt.new(0)
    where = address(
        PROVIDER, attempt, client_id="m", redirect="https://m.example/cb", scopes=("a", "openid")
    )
    asked = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    assert asked == {
        "x": "1",
        "response_type": "code",
        "client_id": "m",
        "redirect_uri": "https://m.example/cb",
        "scope": "openid a",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert len({attempt.state, attempt.nonce, attempt.verifier, Attempt.new(0).state}) == 4
    assert attempt.verifier not in where
    assert attempt.verifier not in repr(attempt)


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (["a"], (Role.ADMIN, None)),
        (["b", "a"], (Role.ADMIN, None)),  # the order of the settings decides
        (["b"], (Role.OPERATOR, "acme")),
        (["cn=c,dc=x"], (Role.VIEWER, "t@x")),
        (["A"], None),
        (["*"], None),
        ([], None),
    ],
)
def test_roles_of_groups(groups: list[str], found: tuple[Role, str | None] | None) -> None:
    mapping = ("a=admin", "b=operator@acme", "cn=c,dc=x=viewer@t@x")
    assert role_of(mapping, groups) == found
    everybody = role_of((*mapping, "*=viewer@all"), groups)
    assert everybody == (found or (Role.VIEWER, "all"))


@pytest.mark.parametrize("groups", [None, 7, {"a": 1}, [["a"]], [1]])
def test_a_claim_that_is_no_list_of_groups_has_none(groups: object) -> None:
    with pytest.raises(Forbidden) as caught:
        person(
            {"sub": "1", "g": groups},
            issuer="i",
            name_claim="n",
            groups_claim="g",
            mapping=("a=admin",),
        )
    assert caught.value.slug == "oidc_no_role"


def test_one_group_may_be_a_text() -> None:
    found = person(
        {"sub": "1", "g": "a", "n": 7},
        issuer="i",
        name_claim="n",
        groups_claim="g",
        mapping=("a=admin",),
    )
    assert (found.subject, found.name, found.role) == ("1", "", Role.ADMIN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_roles": ("admin",)},
        {"oidc_roles": ("a=root",)},
        {"oidc_roles": ("=admin",)},
        {"oidc_roles": ("a=admin@",)},
        {"oidc_algorithms": ("none",)},
        {"oidc_algorithms": ("HS256",)},
        {"oidc_algorithms": ()},
        {"oidc_issuer": "http://id.example"},
        {"oidc_redirect_url": "ftp://id.example"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        Settings(**wrong)
