"""Checking an ID token (OpenID Connect Core 1.0, 3.1.3.7). Pure.

The algorithm is one of those that the settings allow, and the key is one of that kind: a token
cannot choose how it is checked.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mooring.errors import Unauthorized

__all__ = ["LEEWAY_SECONDS", "check"]

TOKEN_MAX_BYTES = 65_536
LEEWAY_SECONDS = 60  # of two clocks
RSA_BITS_LEAST = 2048
SUBJECT_MAX = 255  # OpenID Connect Core 1.0, 2

_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


def check(
    token: str,
    keys: Sequence[Mapping[str, Any]],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    algorithms: Sequence[str],
    at_ms: int,
) -> dict[str, Any] | None:
    """The claims of a token that is the provider's, for us, for this sign-in, and valid now.
    ``None``: its key is not among these, which may have been rotated.

    Args:
        keys: the provider's JSON Web Keys.

    Raises:
        Unauthorized: it is not (``oidc_token_invalid``); the message says why.
    """
    if len(token) > TOKEN_MAX_BYTES:
        raise _invalid("it is too long")
    try:
        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        if algorithm not in algorithms:
            raise _invalid(f"its algorithm {algorithm[:20]!a} is not among oidc_algorithms")
        if "crit" in header:  # RFC 7515, 4.1.11: must be understood, and we understand none
            raise _invalid("it has critical extensions")
        key = _key(keys, header.get("kid"), algorithm)
        if key is None:
            return None
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            # Times are compared below, with the clock that is given.
            options={
                "require": ["iss", "sub", "aud", "exp", "iat"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as exc:
        raise _invalid(str(exc).rstrip(".")) from exc
    _check_claims(claims, client_id, nonce, at_ms)
    return claims


def _check_claims(claims: Mapping[str, Any], client_id: str, nonce: str, at_ms: int) -> None:
    subject, audience = claims["sub"], claims["aud"]
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX or "\0" in subject:
        raise _invalid("its subject is not valid")
    party = claims.get("azp")
    if party != client_id and (party is not None or not _only(audience, client_id)):
        raise _invalid("it was issued to another client")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise _invalid("it belongs to another sign-in")
    now, leeway = at_ms / 1000, LEEWAY_SECONDS
    expires, issued, begins = (_number(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or now >= expires + leeway:
        raise _invalid("it has expired")
    if issued is None or issued > now + leeway or (begins is not None and begins > now + leeway):
        raise _invalid("it is from the future")


def _only(audience: Any, client_id: str) -> bool:
    return audience in (client_id, [client_id])


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _key(keys: Sequence[Mapping[str, Any]], kid: Any, algorithm: str) -> Any:
    kind = _KINDS[algorithm[:2]]
    fit = [
        one
        for one in keys
        if one.get("kty") == kind
        and one.get("use", "sig") == "sig"
        and one.get("alg", algorithm) == algorithm
        and (kid is None or one.get("kid") == kid)
    ]
    if not fit:
        return None
    if len(fit) > 1:
        raise _invalid("it does not say which of several keys it is signed with")
    key = jwt.PyJWK(dict(fit[0]), algorithm).key
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_LEAST:
        raise _invalid(f"its key has less than {RSA_BITS_LEAST} bits")
    return key


def _invalid(why: str) -> Unauthorized:
    return Unauthorized(
        f"The provider's token cannot be used: {why}.",
        hint="Sign in again. If that does not help, check the settings oidc_*.",
        code="oidc_token_invalid",
    )
