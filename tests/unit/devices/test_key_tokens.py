"""Tokens of devices: what is accepted, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.keys.model import DeviceKey, Token
from mooring.devices.keys.tokens import (
    LEEWAY_SECONDS,
    LIFETIME_SECONDS_MAX,
    TOKEN_MAX,
    check,
    looks_like_one,
    public_key,
)
from mooring.errors import Invalid
from mooring.secrets import verifiers
from tests.support.device_keys import KINDS, private_key, private_pem, public_pem, signed

NOW = 1_790_000_000
AUDIENCE, USER = "mooring:0123", "lamp-1"


def registered(kind: str, number: int = 0) -> DeviceKey:
    name, algorithm, pem = public_key(public_pem(private_key(kind, number)))
    return DeviceKey(name, 1, algorithm, pem, "", 0)


def token(kind: str = "ES256", header: dict[str, Any] | None = None, **changed: Any) -> str:
    usual = {"sub": USER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 3600}
    return signed(private_key(kind, 0), kind, header, **{**usual, **changed})


def checked(given: str, *keys: DeviceKey, username: str = USER, at: int = NOW) -> Token | None:
    held = keys or (registered("ES256"),)
    return check(given, held, username=username, audience=AUDIENCE, at_ms=at * 1000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_token(kind: str) -> None:
    key = registered(kind)
    assert key.algorithm == kind
    found = checked(token(kind), key)
    assert found == Token(key, NOW * 1000, (NOW + 3600) * 1000)
    assert checked(token(kind, {"kid": key.id}), registered("ES256", 7), key) == found
    assert looks_like_one(token(kind))


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "mooring:other"},
        {"aud": None},
        {"aud": []},
        {"sub": "lamp-2"},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"exp": NOW - LEEWAY_SECONDS},
        {"exp": NOW},  # not after it was issued
        {"exp": NOW + LIFETIME_SECONDS_MAX + LEEWAY_SECONDS + 1},
        {"iat": NOW - 10, "exp": NOW - 10 + LIFETIME_SECONDS_MAX + LEEWAY_SECONDS + 1},
        {"iat": NOW + LEEWAY_SECONDS + 1, "exp": NOW + 7200},
        {"nbf": NOW + LEEWAY_SECONDS + 1},
        {"nbf": True},
        {"exp": True},
        {"exp": 1e300},
        {"iat": -1},
    ],
    ids=str,
)
def test_claims_that_are_wrong(wrong: dict[str, Any]) -> None:
    assert checked(token(**wrong)) is None


def test_the_clock_of_a_device_may_differ_a_little() -> None:
    late, early = NOW + LEEWAY_SECONDS, NOW - LEEWAY_SECONDS
    assert checked(token(iat=late)) is not None
    assert checked(token(iat=NOW - 3600, exp=early + 1)) is not None
    assert checked(token(), at=NOW + 3600 + LEEWAY_SECONDS) is None


def forged(header: dict[str, Any], mark: bytes = b"", secret: bytes | None = None) -> str:
    claims = {"sub": USER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 3600}

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    body = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    if secret is not None:
        mark = hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return f"{body}.{part(mark)}"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES384", "PS256", "", None, 7])
def test_the_token_does_not_choose_the_algorithm(algorithm: Any) -> None:
    for key in map(registered, KINDS):
        assert checked(forged({"alg": algorithm, "kid": key.id}), key) is None


def test_a_public_key_is_no_shared_secret() -> None:
    for key in map(registered, KINDS):
        for algorithm in ("HS256", key.algorithm):
            header = {"alg": algorithm, "kid": key.id}
            assert checked(forged(header, secret=key.pem.encode()), key) is None


def test_a_key_in_the_token_is_not_believed() -> None:
    attacker = private_key("ES256", 99)
    claims = {"sub": USER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 3600}
    header = {"kid": registered("ES256").id, "jku": "http://127.0.0.1/", "x5u": "http://127.0.0.1/"}
    assert checked(signed(attacker, "ES256", header, **claims)) is None


def test_critical_extensions_are_not_understood() -> None:
    assert checked(token(header={"crit": ["exp"]})) is None


def test_the_key_is_one_of_the_device() -> None:
    assert checked(token(), registered("ES256", 5)) is None
    assert check(token(), [], username=USER, audience=AUDIENCE, at_ms=NOW * 1000) is None
    assert checked(token(header={"kid": "0" * 32})) is None
    assert checked(token(), username="lamp-2") is None


def test_no_password_looks_like_a_token() -> None:
    assert not any(looks_like_one(verifiers.new_password()) for _ in range(50))
    assert checked("eyJ" + "x" * TOKEN_MAX + ".a.b") is None


@given(st.text(max_size=200) | st.lists(st.text(max_size=40), min_size=3).map(".".join))
def test_anything_else_is_none(given: str) -> None:
    assert checked(given) is None
    assert checked(f"eyJ{given}.e30.x") is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - it is to be rejected
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: dsa.generate_private_key(2048),
    ],
    ids=["rsa-1024", "p-384", "secp256k1", "dsa"],
)
def test_kinds_of_keys_that_are_not_accepted(make: Any) -> None:
    with pytest.raises(Invalid) as caught:
        public_key(public_pem(make()))
    assert caught.value.slug == "invalid_device_key"


def test_what_is_no_public_key() -> None:
    private = private_pem(private_key("ES256", 0))
    for text in (private.decode(), "", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "é" * 9000):
        with pytest.raises(Invalid):
            public_key(text)
