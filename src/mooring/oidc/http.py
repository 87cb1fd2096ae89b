"""Requests to the provider: small JSON documents over HTTPS, never redirected."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from mooring import __version__
from mooring.errors import Unavailable
from mooring.settings.checks import safe_url

__all__ = ["ANSWER_MAX_BYTES", "TIMEOUT_SECONDS", "ask", "unavailable"]

TIMEOUT_SECONDS = 10.0
ANSWER_MAX_BYTES = 1_048_576
CHUNK_BYTES = 65_536


def ask(
    url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and document of a request; with a form it is a POST.

    Raises:
        Unavailable: no answer within ``TIMEOUT_SECONDS``, or not a JSON object
            (``oidc_unavailable``).
    """
    try:
        safe_url(url)
        parts = urlsplit(url)
        ends = time.monotonic() + TIMEOUT_SECONDS
        sent = {"Accept": "application/json", "User-Agent": f"mooring/{__version__}"}
        sent |= dict(headers or {})
        body = None if form is None else urlencode(form)
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("GET" if body is None else "POST", path, body, sent)
            answer = connection.getresponse()
            content = b""
            while chunk := answer.read1(CHUNK_BYTES):
                content += chunk
                if len(content) > ANSWER_MAX_BYTES:
                    raise ValueError("the answer is too long")
                if time.monotonic() > ends:
                    raise TimeoutError("the answer takes too long")
        finally:
            connection.close()
        document = json.loads(content)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as exc:
        raise unavailable(f"{type(exc).__name__}: {exc}"[:200]) from exc
    if not isinstance(document, dict):
        raise unavailable("the answer is not a JSON object")
    return answer.status, document


def unavailable(why: str) -> Unavailable:
    """The provider does not answer as it should."""
    return Unavailable(
        f"The sign-in provider does not answer as it should ({why}).",
        hint="Try again later, or log in with a password.",
        code="oidc_unavailable",
    )


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "http":  # on this machine alone, see safe_url
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """Reading all CAs takes 50 ms."""
    return ssl.create_default_context()
