"""Readings over HTTP, while there is no MQTT and the options ask for it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

from mooring_device.credentials import Credentials
from mooring_device.errors import DeviceError, InvalidReading
from mooring_device.http import Api
from mooring_device.options import Options
from mooring_device.outbox import Outbox
from mooring_device.sender import Sender

__all__ = ["MAX_REQUEST_BYTES", "HttpWay", "parts"]

MAX_REQUEST_BYTES = 1_000_000  # of the messages in one request; the platform takes 1 MiB

log = logging.getLogger("mooring_device")


class HttpWay:
    """The second way. Used by the network thread between sessions."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._api: tuple[str, Api] | None = None
        self._failures = 0
        self._not_before = 0.0

    def api(self, credentials: Credentials) -> Api:
        if self._api is None or self._api[0] != credentials.http_url:
            self._api = (
                credentials.http_url,
                Api(credentials.http_url, credentials.tls, plain_http=self._options.plain_http),
            )
        return self._api[1]

    def due(self, now: float, down_since: float) -> bool:
        if self._options.http == "only":
            return True
        return self._options.http == "fallback" and now - down_since >= self._options.http_after

    def wait(self) -> float:
        """Seconds until the next request may go."""
        return max(0.0, self._not_before - time.monotonic())

    def send(self, sender: Sender, outbox: Outbox, credentials: Credentials) -> int:
        """Send one batch; answers with how many readings were in it."""
        if not credentials.http_url or self.wait() > 0:
            return 0
        batch = sender.batch(time.monotonic(), self._options.http_batch, urgent=False)
        if not batch:
            return 0
        messages = []
        for held in batch:
            try:
                messages.append(outbox.outgoing(held).payload)
            except InvalidReading as exc:  # noqa: PERF203  one message does not stop the others
                sender.drop(held, exc)
        try:
            api = self.api(credentials)
            receipts = [api.send(credentials, some) for some in parts(messages)]
        except DeviceError as exc:
            log.warning("%s", exc)
            sender.begin()  # all of it is to be sent again
            wait = self._options.backoff.wait(self._failures, random.random())  # noqa: S311  jitter
            self._failures += 1
            self._not_before = time.monotonic() + wait
            return 0
        self._failures = 0
        sender.receipts(receipts)
        return len(batch)


def parts(messages: list[bytes], most: int = MAX_REQUEST_BYTES) -> Iterator[list[bytes]]:
    """The messages in requests of at most ``most`` bytes; a larger one goes alone."""
    some: list[bytes] = []
    size = 0
    for message in messages:
        if some and size + len(message) + 1 > most:
            yield some
            some, size = [], 0
        some.append(message)
        size += len(message) + 1  # the comma
    if some:
        yield some
