"""The platform over HTTP: claims, recovery, and readings where MQTT does not get through."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from mooring_device import __version__
from mooring_device.credentials import Credentials, Tls
from mooring_device.errors import ClaimRefused, ConnectFailed, InvalidSetting, Revoked
from mooring_device.receipts import Receipt, parse_receipt
from mooring_device.tls import build_context, gather_facts
from mooring_device.words import Facts, explain_connect_error

__all__ = ["Api", "basic_auth"]

log = logging.getLogger("mooring_device")

PAUSE = 2.0  # seconds between two attempts to claim
ANSWER_LIMIT = 1 << 20  # bytes read of an answer


def basic_auth(username: str | None, password: str | None) -> str:
    """The value of the Authorization header [RFC 7617]."""
    pair = f"{username or ''}:{password or ''}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the credentials to somebody else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _Problem(Exception):
    """The platform's answer was an error. ``words``: its own, for people."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Api:
    """The platform's HTTP interface, as far as a device uses it.

    Args:
        url: ``https://host[:port]``.
        tls: whom to trust; the system's CAs are trusted too.
        timeout: seconds for each step.
        plain_http: send passwords to http:// on other machines, which everybody on the way
            can read.

    Raises:
        InvalidSetting: the address is none, or http:// to another machine without
            ``plain_http``.
    """

    def __init__(
        self, url: str, tls: Tls | None = None, *, timeout: float = 15.0, plain_http: bool = False
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidSetting(
                f"The platform's address {url!r} is not an http:// or https:// address."
            )
        if parts.scheme == "http" and not plain_http and not _is_loopback(parts.hostname):
            raise InvalidSetting(
                f"{url} does not encrypt the password that is sent there.",
                hint="Use https://; plain_http (MOORING_PLAIN_HTTP) is for networks you trust.",
            )
        self._url = url.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._timeout = timeout
        self._trusts = (tls or Tls()).trusts if parts.scheme == "https" else ""
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if parts.scheme == "https":
            context = build_context(tls or Tls())
            if tls and (tls.ca_pem or tls.ca_file):
                context.load_default_certs()  # a proxy before the platform may have a public one
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def claim(self, code: str, hardware_id: str, *, patience: float = 0.0) -> Credentials:
        """Turn a claim code into credentials.

        Args:
            patience: seconds to continue trying while the platform cannot be reached.

        Raises:
            ClaimRefused: unknown, used or expired.
            ConnectFailed: no usable answer; try again later.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._claim(code, hardware_id)
            except ConnectFailed as exc:  # noqa: PERF203  a retry has its try in the loop
                if time.monotonic() + PAUSE > deadline:
                    raise
                log.warning("%s Trying again.", exc)
                time.sleep(PAUSE)

    def _claim(self, code: str, hardware_id: str) -> Credentials:
        try:
            answer = self._post("/api/v1/claims", {"code": code, "hardware_id": hardware_id})
        except _Problem as exc:
            if exc.status < 500 and exc.status not in (408, 429):
                raise ClaimRefused(
                    f"The platform did not accept the claim code: {exc.words}.",
                    hint="Make a new one with `mooring claim new`.",
                ) from exc
            raise self._later(exc) from exc
        if not _said_url(answer):
            answer["http"] = {"url": self._url}
        return Credentials.from_answer(answer)

    def recover(self, credentials: Credentials) -> Credentials | None:
        """Ask for fresh credentials with the ones the broker does not accept any more;
        ``None``: the platform does not give them.

        Raises:
            Revoked: the device is not to connect any more (410).
            ConnectFailed: no usable answer; try again later.
        """
        path = f"/api/v1/devices/{quote(credentials.device, safe='')}/recover"
        try:
            answer = self._post(path, {}, credentials)
        except _Problem as exc:
            if exc.status == http.client.GONE:
                raise Revoked(
                    f"The platform has revoked this device ({credentials.device}).",
                    hint="Claim it again with a new code.",
                ) from exc
            if exc.status < 500 and exc.status not in (408, 429):
                return None
            raise self._later(exc) from exc
        if not _said_url(answer):
            answer["http"] = {"url": credentials.http_url}
        return Credentials.from_answer(answer)

    def exchange(self, credentials: Credentials) -> tuple[Credentials, float]:
        """Exchange a token, which is the password here, for credentials whose password ends by
        itself; answers with when it ends, in seconds since 1970.

        Raises:
            ConnectFailed: the platform gives none now.
        """
        path = f"/api/v1/devices/{quote(credentials.device, safe='')}/token"
        try:
            answer = self._post(path, {}, credentials)
            text = str(answer["expires_at"]).replace("Z", "+00:00")
            expires = datetime.fromisoformat(text).timestamp()
        except _Problem as exc:
            raise self._later(exc) from exc
        except (KeyError, ValueError) as exc:
            raise ConnectFailed(f"{self._url} does not say when the password ends.") from exc
        if not _said_url(answer):
            answer["http"] = {"url": credentials.http_url}
        return Credentials.from_answer(answer), expires

    def shape(self, credentials: Credentials) -> Credentials | None:
        """The same credentials with the channels that the device has now; ``None``: the platform
        does not tell.

        Raises:
            ConnectFailed: no usable answer; try again later.
            InvalidSetting: what it answers cannot be used.
        """
        path = f"/api/v1/devices/{quote(credentials.device, safe='')}/shape"
        try:
            answer = self._ask("GET", path, None, credentials)
        except _Problem as exc:
            if exc.status < 500 and exc.status not in (408, 429):
                return None
            raise self._later(exc) from exc
        return credentials.with_shape(answer)

    def send(self, credentials: Credentials, messages: list[bytes]) -> Receipt:
        """Send readings; answers with the platform's receipt.

        Raises:
            ConnectFailed: not accepted now; the readings stay in the queue.
        """
        path = f"/api/v1/devices/{quote(credentials.device, safe='')}/telemetry"
        body = b'{"messages":[' + b",".join(messages) + b"]}"
        try:
            answer = self._post(path, body, credentials)
            return parse_receipt(answer["receipt"])
        except _Problem as exc:
            raise self._later(exc) from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise ConnectFailed(f"{self._url} answered without a receipt.") from exc

    def _later(self, problem: _Problem) -> ConnectFailed:
        return ConnectFailed(f"{self._url} answered {problem.status}: {problem.words}.")

    def _post(
        self, path: str, body: Mapping[str, Any] | bytes, credentials: Credentials | None = None
    ) -> dict[str, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, data, credentials)

    def _ask(
        self, method: str, path: str, data: bytes | None, credentials: Credentials | None
    ) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"mooring-device/{__version__}",
        }
        if credentials is not None:
            headers["Authorization"] = basic_auth(credentials.username, credentials.password)
        request = urllib.request.Request(  # noqa: S310  the scheme was checked above
            self._url + path, data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                answer = json.loads(response.read(ANSWER_LIMIT))
        except urllib.error.HTTPError as exc:
            with exc:
                raise _Problem(exc.code, _words(exc)) from exc
        except urllib.error.URLError as exc:
            cause = exc.reason if isinstance(exc.reason, OSError) else OSError(str(exc.reason))
            raise ConnectFailed(explain_connect_error(cause, self._facts(cause))) from exc
        except (OSError, http.client.HTTPException) as exc:
            cause = exc if isinstance(exc, OSError) else ConnectionError(str(exc))
            raise ConnectFailed(explain_connect_error(cause, self._facts(cause))) from exc
        except ValueError as exc:
            raise ConnectFailed(f"{self._url} answered with something else than JSON.") from exc
        if not isinstance(answer, dict):
            raise ConnectFailed(f"{self._url} answered with something else than an object.")
        return answer

    def _facts(self, cause: OSError) -> Facts:
        return gather_facts(self._host, self._port, self._trusts, cause)


def _words(error: urllib.error.HTTPError) -> str:
    """The platform's own words from problem+json [RFC 9457]."""
    try:
        problem = json.loads(error.read(ANSWER_LIMIT))
        words = problem.get("detail") or problem.get("title")
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        words = None
    return str(words or error.reason).rstrip(".")


def _said_url(answer: Mapping[str, Any]) -> bool:
    """Whether the platform says where its HTTP interface is; it need not know."""
    http = answer.get("http")
    return isinstance(http, dict) and bool(http.get("url"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
