"""One POST to one URL: to a checked address, without redirects, bounded in time and bytes."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from mooring.notify.addresses import AddressRejected, resolve
from mooring.notify.retries import Answer, Outcome

__all__ = ["ANSWER_MAX", "TIMEOUT_SECONDS", "answer_of", "post"]

TIMEOUT_SECONDS = 15.0
"""For everything: name, connection, TLS, request and answer."""

ANSWER_MAX = 65_536
"""Bytes of an answer that are read until its status is known."""

GONE = 410


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    tls: ssl.SSLContext,
    seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Sends ``body``; never raises for what the receiver or the network does.

    Args:
        url: http or https.
        private: addresses of private networks are allowed.
    """
    exchange = _Exchange(url, body, headers, private, tls)
    try:
        async with asyncio.timeout(seconds):
            return await exchange.run()
    except TimeoutError:
        if exchange.sent:
            return Answer(Outcome.UNANSWERED, f"no answer within {seconds:g} s")
        return Answer(Outcome.FAILED, f"no connection within {seconds:g} s")
    except (AddressRejected, UnicodeError, OSError, h11.ProtocolError) as exc:
        return _failure(exc)


def _failure(exc: Exception) -> Answer:
    """What a foreign exception means for the notification."""
    if isinstance(exc, AddressRejected):
        return Answer(Outcome.INVALID, str(exc))
    if isinstance(exc, UnicodeError):
        return Answer(Outcome.INVALID, "the host name is not valid")
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Answer(Outcome.FAILED, f"TLS: {exc.verify_message}")
    if isinstance(exc, ssl.SSLError):
        return Answer(Outcome.FAILED, f"TLS: {exc.reason or 'the handshake failed'}")
    if isinstance(exc, OSError):
        words = exc.strerror or type(exc).__name__
        return Answer(Outcome.FAILED, f"the receiver is not reachable: {words}")
    return Answer(Outcome.FAILED, "the answer is not HTTP/1.1, or its head is too long")


@dataclass(slots=True)
class _Exchange:
    """One connection with one request.

    Attributes:
        sent: the receiver may have got the whole request.
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    private: bool
    tls: ssl.SSLContext
    sent: bool = False

    async def run(self) -> Answer:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = await resolve(host, port, private=self.private)
        reader, writer = await asyncio.open_connection(
            address,
            port,
            ssl=self.tls if secure else None,
            server_hostname=host if secure else None,
        )
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_MAX // 2)
            for event in (self._request(parts), h11.Data(self.body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            self.sent = True
            return await _answer(connection, reader)
        finally:
            writer.transport.abort()  # what the receiver still sends is of no interest

    def _request(self, parts: SplitResult) -> h11.Request:
        return h11.Request(
            method="POST",
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers=[
                ("host", parts.netloc.rpartition("@")[2]),
                ("user-agent", "Mooring"),
                ("content-length", str(len(self.body))),
                ("connection", "close"),
                *_login(parts),
                *self.headers.items(),
            ],
        )


def _login(parts: SplitResult) -> list[tuple[str, str]]:
    if parts.username is None:
        return []
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [("authorization", f"Basic {base64.b64encode(login.encode()).decode()}")]


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    read = 0
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            return answer_of(event.status_code, headers)
        if isinstance(event, h11.ConnectionClosed):
            return Answer(Outcome.UNANSWERED, "the receiver closed the connection")
        if event is h11.NEED_DATA:
            some = await reader.read(16_384)
            read += len(some)
            if read > ANSWER_MAX:
                return Answer(Outcome.FAILED, "the head of the answer is too long")
            connection.receive_data(some)


def answer_of(status: int, headers: Mapping[str, str]) -> Answer:
    """What a status means. Pure."""
    if 200 <= status < 300:
        return Answer(Outcome.ACCEPTED)
    if status == GONE:
        return Answer(Outcome.GONE, "HTTP 410: the receiver wants no more notifications")
    if 300 <= status < 400:
        return Answer(Outcome.FAILED, f"HTTP {status}: redirects are not followed")
    wait = headers.get("retry-after", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 9 else 0
    return Answer(Outcome.FAILED, f"HTTP {status}", retry_after_ms=seconds * 1000)
