"""Sign-in with the provider: begun, and brought to its end."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Sequence
from urllib.parse import urlencode

from mooring.clock import now_ms
from mooring.errors import Internal, NotFound, TooMany, Unauthorized
from mooring.oidc.model import Attempt, address
from mooring.oidc.provider import Provider
from mooring.people.model import Session
from mooring.people.service import People
from mooring.supervisor.worker import Worker

__all__ = ["ATTEMPT_SECONDS", "AT_ONCE_MAX", "SignIn"]

ATTEMPT_SECONDS = 600
AT_ONCE_MAX = 8


class SignIn:
    """Sign-in of one serving process. Nothing is kept in it that another would need: what belongs
    to a sign-in under way is in a sealed cookie.

    Args:
        provider: with its cache.

    Attributes:
        places: for requests that may wait for the provider. Each of them holds one of the threads
            that serve every route.
    """

    def __init__(self, people: People, provider: Provider) -> None:
        self._people, self._provider = people, provider
        self.places = asyncio.Semaphore(AT_ONCE_MAX)

    def workers(self) -> Sequence[Worker]:
        return ()

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def secure(self) -> bool:
        """Whether people come by HTTPS."""
        return self._provider.redirect.startswith("https://")

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and what it has to bring back.

        Raises:
            NotFound, Unavailable, InvalidSetting: as ``Provider``.
        """
        settings = self._people.settings
        attempt = Attempt.new(now_ms())
        where = address(
            self._provider.metadata(),
            attempt,
            client_id=settings.oidc_client_id,
            redirect=self._provider.redirect,
            scopes=settings.oidc_scopes,
        )
        held = json.dumps([attempt.state, attempt.nonce, attempt.verifier, attempt.begun_at])
        return where, self._people.instance.seal(held).decode()

    def end(
        self,
        sealed: str,
        state: str,
        code: str,
        *,
        error: str = "",
        issuer: str = "",
        origin: str = "local",
    ) -> Session:
        """A login for a code that the provider gave to this browser.

        Args:
            sealed: what ``begin`` gave; empty: nothing.
            state, code, error, issuer: parameters of the provider's answer (OpenID Connect Core
                1.0, 3.1.2.5; RFC 9207).

        Raises:
            Unauthorized: it is another browser's answer, too late, or the provider rejects it.
            Forbidden: no role, or disabled.
            TooMany: too many sign-ins have failed.
        """
        metadata = self._provider.metadata()
        people = self._people
        try:
            # Not an attempt: nobody guesses a state, and a page of another site could make a
            # browser use up the logins of its address.
            asked = self._opened(sealed, state)
            with people.throttles.people.attempt(origin, refuse=self._too_many) as attempt:
                try:
                    _check_answer(metadata.issuer, issuer, code, error)
                    vouched = self._provider.redeem(asked, code)
                except Unauthorized:
                    attempt.failed()
                    raise
                attempt.succeeded()
        except Unauthorized:
            people.tally.count("sign_ins_refused")
            raise
        return people.sign_in(vouched, address=origin)

    def leave(self) -> str:
        """Where to send a browser to end its session with the provider, too.

        Raises:
            NotFound: no provider is set, or it has no such place.
        """
        where = self._provider.metadata().end_session
        if where is None:
            raise NotFound(
                "The provider has no address at which its session ends.",
                hint="Log out there.",
                code="oidc_off",
            )
        asked = urlencode({"client_id": self._people.settings.oidc_client_id})
        return f"{where}{'&' if '?' in where else '?'}{asked}"

    def _opened(self, sealed: str, state: str) -> Attempt:
        try:
            found = json.loads(self._people.instance.unseal(sealed.encode()))
            attempt = Attempt(*found)
        except (Internal, ValueError, TypeError) as exc:
            raise _stray() from exc
        late = not 0 <= now_ms() - attempt.begun_at < ATTEMPT_SECONDS * 1000
        if late or not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise _stray()
        return attempt

    def _too_many(self, seconds: int) -> TooMany:
        self._people.tally.count("logins_throttled")
        return TooMany(
            "Too many logins have failed.",
            hint=f"Try again in {seconds} s.",
            code="login_throttled",
            retry_after=seconds,
        )


def _check_answer(expected: str, issuer: str, code: str, error: str) -> None:
    if issuer and issuer != expected:
        raise _stray()
    if error or not code:
        raise Unauthorized(
            f"The provider rejected the sign-in ({error[:60] or 'no code'!a}).",
            hint="Sign in again.",
            code="oidc_rejected",
        )


def _stray() -> Unauthorized:
    return Unauthorized(
        "This sign-in was not begun in this browser, or it took too long.",
        hint="Sign in again.",
        code="oidc_state_invalid",
    )
