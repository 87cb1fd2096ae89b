"""ID tokens: what is accepted, and every way in which one can be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Unauthorized
from mooring.oidc.tokens import LEEWAY_SECONDS, check

NOW = 1_790_000_000
ISSUER, CLIENT, NONCE = "https://id.example", "mooring", "n-1"
ALLOWED = ("RS256", "ES256")


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str = "one", **more: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else None
    made = (algorithm or jwt.algorithms.ECAlgorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", **more}


def claims(**changed: Any) -> dict[str, Any]:
    usual = {
        "iss": ISSUER,
        "sub": "1001",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE,
    }
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def token(content: dict[str, Any], key: Any = None, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(
        content, key or rsa_key(), algorithm=algorithm, headers={"kid": "one", **header}
    )


def checked(given: str, keys: Any = None, at: int = NOW) -> dict[str, Any] | None:
    return check(
        given,
        [jwk(rsa_key())] if keys is None else keys,
        issuer=ISSUER,
        client_id=CLIENT,
        nonce=NONCE,
        algorithms=ALLOWED,
        at_ms=at * 1000,
    )


def sub(given: str, keys: Any = None) -> str:
    found = checked(given, keys)
    assert found is not None
    return str(found["sub"])


def test_a_valid_token() -> None:
    assert sub(token(claims())) == "1001"
    signed = token(claims(), ec_key(), "ES256")
    assert sub(signed, [jwk(rsa_key()), jwk(ec_key())]) == "1001"
    assert sub(token(claims(aud=[CLIENT, "other"], azp=CLIENT))) == "1001"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": None},
        {"aud": [CLIENT, "other"]},  # and does not say for whom
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"azp": "other"},
        {"nonce": "n-2"},
        {"nonce": None},
        {"nonce": 1},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "a\0b"},
        {"exp": None},
        {"exp": NOW - LEEWAY_SECONDS},
        {"exp": True},
        {"iat": None},
        {"iat": NOW + LEEWAY_SECONDS + 1},
        {"nbf": NOW + LEEWAY_SECONDS + 1},
    ],
    ids=str,
)
def test_claims_that_are_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized) as caught:
        checked(token(claims(**wrong)))
    assert caught.value.slug == "oidc_token_invalid"


def test_clocks_may_differ_a_little() -> None:
    assert checked(token(claims(exp=NOW - LEEWAY_SECONDS + 1)))
    assert checked(token(claims(iat=NOW + LEEWAY_SECONDS)))


def unsigned(header: dict[str, Any], signature: bytes = b"") -> str:
    parts = [
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (json.dumps(header).encode(), json.dumps(claims()).encode(), signature)
    ]
    return ".".join(parts)


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "RS1", "PS256", None])
def test_the_token_does_not_choose_the_algorithm(algorithm: str | None) -> None:
    with pytest.raises(Unauthorized):
        checked(unsigned({"alg": algorithm, "kid": "one"}))


def test_a_public_key_is_no_shared_secret() -> None:
    pem = (
        rsa_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    body = unsigned({"alg": "HS256", "kid": "one"}).rpartition(".")[0]
    mark = hmac.new(pem, body.encode(), hashlib.sha256).digest()
    forged = f"{body}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"
    with pytest.raises(Unauthorized):
        checked(forged)


def test_a_key_is_of_the_kind_of_the_algorithm() -> None:
    signed = token(claims(), ec_key(), "ES256")
    assert checked(signed, [jwk(rsa_key())]) is None
    assert checked(token(claims()), [{"kty": "oct", "k": "AAAA", "kid": "one"}]) is None
    assert checked(token(claims()), [jwk(rsa_key(), use="enc")]) is None
    assert checked(token(claims()), [jwk(rsa_key(), alg="PS256")]) is None


def test_a_key_that_is_not_listed_may_be_new() -> None:
    assert checked(token(claims(), kid="two")) is None
    assert checked(token(claims()), []) is None


def test_a_signature_of_another_key() -> None:
    other = rsa.generate_private_key(65537, 2048)
    with pytest.raises(Unauthorized):
        checked(token(claims(), other))


def test_a_short_key_and_several_keys_without_a_name() -> None:
    short = rsa_key(1024)
    with pytest.raises(Unauthorized):
        checked(token(claims(), short), [jwk(short)])
    nameless = jwt.encode(claims(), rsa_key(), algorithm="RS256")
    keys = [jwk(rsa_key()), jwk(rsa.generate_private_key(65537, 2048), "two")]
    with pytest.raises(Unauthorized):
        checked(nameless, keys)
    assert checked(nameless, keys[:1])


def test_critical_extensions_are_not_understood() -> None:
    with pytest.raises(Unauthorized):
        checked(token(claims(), crit=["exp"], exp=1))


@given(st.text(max_size=200) | st.lists(st.text(max_size=40), min_size=3).map(".".join))
def test_anything_else_is_rejected(given: str) -> None:
    with pytest.raises(Unauthorized):
        checked(given)
