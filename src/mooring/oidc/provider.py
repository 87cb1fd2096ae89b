"""The provider: what it says about itself and its keys, cached; and what it says of a code."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mooring.clock import now_ms
from mooring.errors import InvalidSetting, NotFound, Unauthorized, Unavailable
from mooring.oidc import http, tokens
from mooring.oidc.model import Attempt, Metadata, person
from mooring.people.model import Vouched
from mooring.settings import Settings
from mooring.settings.checks import safe_url

__all__ = ["Provider"]

FRESH_MS = 3_600_000  # how long metadata and keys are used without asking again
AGAIN_MS = 10_000  # between two questions about the same, after a failure or an unknown key
WAIT_SECONDS = 15.0  # for another thread that is asking
CODE_MAX = 4096

Ask = Callable[..., tuple[int, dict[str, Any]]]


@dataclass(slots=True)
class _Cached:
    """A document of the provider's."""

    document: dict[str, Any] | None = None
    got_at: int = 0
    asked_at: int = 0
    failure: str = ""


class Provider:
    """The provider of one installation; safe from any thread.

    A document is fetched by one thread at a time. The others use the one at hand, and wait only
    without one. One that is old is still used when the provider does not answer.
    """

    def __init__(
        self, settings: Settings, ask: Ask = http.ask, clock: Callable[[], int] = now_ms
    ) -> None:
        self._settings, self._ask, self._clock = settings, ask, clock
        self._lock = threading.Lock()
        self._documents: dict[str, _Cached] = {}

    @property
    def redirect(self) -> str:
        """Where the provider sends people back to.

        Raises:
            InvalidSetting: neither ``oidc_redirect_url`` nor ``http_url`` is set.
        """
        given = self._settings
        found = given.oidc_redirect_url or (
            given.http_url and f"{given.http_url}/api/v1/oidc/callback"
        )
        if not found:
            raise InvalidSetting(
                "The provider does not know where to send people back to.",
                hint="Set http_url or oidc_redirect_url.",
                setting="oidc_redirect_url",
            )
        return found

    def metadata(self) -> Metadata:
        """Raises:
        NotFound: no provider is set (``oidc_off``).
        Unavailable: it does not answer, or says something that cannot be right.
        """
        issuer = self._settings.oidc_issuer
        if issuer is None or not self._settings.oidc_client_id:
            raise NotFound(
                "Sign-in with a provider is not configured.",
                hint="Set oidc_issuer and oidc_client_id, or log in with a password.",
                code="oidc_off",
            )
        found = self._document(f"{issuer}/.well-known/openid-configuration")
        # Discovery 1.0, 4.3: the issuer must be exactly the one that was asked for.
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise http.unavailable("it names another issuer than oidc_issuer")
        methods = found.get("token_endpoint_auth_methods_supported")
        return Metadata(
            issuer=str(found["issuer"]),
            authorization=_url(found, "authorization_endpoint"),
            token=_url(found, "token_endpoint"),
            keys=_url(found, "jwks_uri"),
            userinfo=_url(found, "userinfo_endpoint") if "userinfo_endpoint" in found else None,
            end_session=(
                _url(found, "end_session_endpoint") if "end_session_endpoint" in found else None
            ),
            basic=not isinstance(methods, list) or "client_secret_basic" in methods,
        )

    def redeem(self, attempt: Attempt, code: str) -> Vouched:
        """Whom a code is about.

        Raises:
            Unauthorized: the code or the token is not valid.
            Forbidden: ``oidc_no_role``.
            Unavailable: the provider does not answer.
        """
        metadata = self.metadata()
        answer = self._redeem(metadata, attempt, code)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise http.unavailable("its answer has no ID token")
        claims = self._checked(metadata, token, attempt.nonce)
        wanted = (self._settings.oidc_groups_claim, self._settings.oidc_name_claim)
        if any(name not in claims for name in wanted) and metadata.userinfo and access:
            claims = {**self._userinfo(metadata.userinfo, str(access), claims["sub"]), **claims}
        return person(
            claims,
            issuer=metadata.issuer,
            name_claim=self._settings.oidc_name_claim,
            groups_claim=self._settings.oidc_groups_claim,
            mapping=self._settings.oidc_roles,
        )

    # ------------------------------------------------------------------ inside

    def _redeem(self, metadata: Metadata, attempt: Attempt, code: str) -> dict[str, Any]:
        """OpenID Connect Core 1.0, 3.1.3; RFC 7636, 4.5."""
        given = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code[:CODE_MAX],
            "redirect_uri": self.redirect,
            "code_verifier": attempt.verifier,
            "client_id": given.oidc_client_id,
        }
        headers = {}
        secret = self._secret()
        if secret and metadata.basic:  # RFC 6749, 2.3.1: both parts are encoded first
            pair = f"{quote(given.oidc_client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            del form["client_id"]
        elif secret:
            form["client_secret"] = secret
        status, answer = self._ask(metadata.token, form, headers)
        if status >= 500:
            raise http.unavailable(f"status {status}")
        if status != 200:
            word = answer.get("error")
            raise Unauthorized(
                f"The provider rejected the sign-in ({str(word)[:60]!a}).",
                hint="Sign in again.",
                code="oidc_rejected",
            )
        return answer

    def _secret(self) -> str | None:
        given = self._settings
        if given.oidc_client_secret is not None:
            return given.oidc_client_secret.get_secret_value()
        if given.oidc_client_secret_file is None:
            return None
        try:
            text = given.oidc_client_secret_file.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as exc:
            raise InvalidSetting(
                f"The file with the client secret cannot be read: {type(exc).__name__}.",
                hint="Check oidc_client_secret_file.",
                setting="oidc_client_secret_file",
            ) from exc
        return text.partition("\n")[0].strip()

    def _checked(self, metadata: Metadata, token: str, nonce: str) -> dict[str, Any]:
        found = self._check(metadata, token, nonce, newest=False)
        if found is None:  # signed with a key that is newer than ours
            found = self._check(metadata, token, nonce, newest=True)
        if found is None:
            raise Unauthorized(
                "The provider's token is signed with a key that the provider does not list.",
                hint="Sign in again. If that does not help, check oidc_issuer.",
                code="oidc_token_invalid",
            )
        return found

    def _check(
        self, metadata: Metadata, token: str, nonce: str, *, newest: bool
    ) -> dict[str, Any] | None:
        """The claims; ``None``: the key is not listed."""
        return tokens.check(
            token,
            self._keys(metadata.keys, newest=newest),
            issuer=metadata.issuer,
            client_id=self._settings.oidc_client_id,
            nonce=nonce,
            algorithms=self._settings.oidc_algorithms,
            at_ms=self._clock(),
        )

    def _keys(self, url: str, *, newest: bool) -> Sequence[Mapping[str, Any]]:
        keys = self._document(url, newest=newest).get("keys")
        return [one for one in keys if isinstance(one, dict)] if isinstance(keys, list) else []

    def _userinfo(self, url: str, access: str, subject: str) -> dict[str, Any]:
        """OpenID Connect Core 1.0, 5.3.2: it must be about the same person."""
        status, found = self._ask(url, None, {"Authorization": f"Bearer {access}"})
        if status != 200 or found.get("sub") != subject:
            raise http.unavailable("it does not say who has signed in")
        return found

    def _document(self, url: str, *, newest: bool = False) -> dict[str, Any]:
        """A document that is fetched rarely.

        Args:
            newest: whether the one at hand is known to be too old.
        """
        known = self._documents.get(url)
        held = None if known is None or newest else known.document
        if not self._lock.acquire(timeout=WAIT_SECONDS if held is None else 0):
            if held is not None:
                return held
            raise http.unavailable("it is slow")
        try:
            cached = self._documents.setdefault(url, _Cached())
            at = self._clock()
            waits = 0 <= at - cached.asked_at < AGAIN_MS
            fresh = 0 <= at - cached.got_at < FRESH_MS and not newest
            if cached.document is not None and (fresh or waits):
                return cached.document
            if cached.failure and waits:
                raise Unavailable(cached.failure, code="oidc_unavailable")
            cached.asked_at = at
            try:
                status, found = self._ask(url)
                if status != 200:
                    raise http.unavailable(f"status {status}")
            except Unavailable as exc:
                # A provider that hangs fails after longer than AGAIN_MS: counted from its failure.
                cached.failure, cached.asked_at = exc.message, self._clock()
                if cached.document is None:
                    raise
            else:
                cached.document, cached.got_at, cached.failure = found, at, ""
            return cached.document
        finally:
            self._lock.release()


def _url(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    try:
        found = safe_url(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise http.unavailable(f"its {name} is not an https:// URL")
    return str(value)
