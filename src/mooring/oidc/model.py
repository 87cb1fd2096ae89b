"""Values of a sign-in, and the rules about them. Pure."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from mooring.errors import Forbidden
from mooring.identity.actor import Role
from mooring.people.model import Vouched

__all__ = ["Attempt", "Metadata", "address", "person", "role_of"]

GROUPS_MAX = 1_000
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says about itself (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None
    basic: bool  # the client secret is sent in the Authorization header


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in under way; the browser holds it, sealed.

    Attributes:
        state: comes back with the code, so that nobody's code but this browser's is taken.
        nonce: comes back in the token, so that no other sign-in's token is taken.
        verifier: proves to the provider that the code is brought by the one who asked (PKCE).
        begun_at: epoch milliseconds.
    """

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    begun_at: int

    @classmethod
    def new(cls, at: int) -> Attempt:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, at)

    @property
    def challenge(self) -> str:
        """RFC 7636, 4.2, S256."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def address(
    metadata: Metadata, attempt: Attempt, *, client_id: str, redirect: str, scopes: Sequence[str]
) -> str:
    """Where the browser is sent to (OpenID Connect Core 1.0, 3.1.2.1)."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect,
        "scope": " ".join(dict.fromkeys(("openid", *scopes))),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    return f"{metadata.authorization}{'&' if '?' in metadata.authorization else '?'}" + urlencode(
        asked
    )


def role_of(mapping: Sequence[str], groups: Sequence[str]) -> tuple[Role, str | None] | None:
    """Role and tenant of the first line of ``oidc_roles`` whose group is among these."""
    held = set(groups)
    for line in mapping:
        group, _, right = line.rpartition("=")
        if group == EVERYBODY or group in held:
            role, _, tenant = right.partition("@")
            return Role.of(role), tenant or None
    return None


def person(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    name_claim: str,
    groups_claim: str,
    mapping: Sequence[str],
) -> Vouched:
    """Who the claims are about.

    Raises:
        Forbidden: none of their groups has a role here (``oidc_no_role``).
    """
    found = role_of(mapping, _groups(claims.get(groups_claim)))
    if found is None:
        raise Forbidden(
            "Your account at the provider has no role in Mooring.",
            hint="Ask an administrator to add one of your groups to the setting oidc_roles.",
            code="oidc_no_role",
        )
    name = claims.get(name_claim)
    role, tenant = found
    return Vouched(issuer, str(claims["sub"]), name if isinstance(name, str) else "", role, tenant)


def _groups(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [one for one in value[:GROUPS_MAX] if isinstance(one, str)]
    return []
