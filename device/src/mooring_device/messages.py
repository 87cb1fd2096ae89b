"""Messages of channels that the SDK has no part of its own for, handed to the application."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from mooring_device.commands import parameters_of
from mooring_device.dialect import Channel
from mooring_device.link import Arrived
from mooring_device.orders import read_json

__all__ = ["MOST", "Messages"]

log = logging.getLogger("mooring_device")

MOST = 100  # messages that wait for their handler; further ones are dropped and counted


class Messages:
    """Handlers by the kind or the name of a channel.

    Args:
        submit: gives work to the thread of the callbacks.
    """

    def __init__(self, submit: Callable[[Callable[[], None]], None]) -> None:
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.dropped = 0
        self._submit = submit
        self._waiting = 0
        self._lock = threading.Lock()

    def arrived(self, channel: Channel, message: Arrived) -> None:
        """Hand over a message: an object, or a text where the channel has texts.

        Raises:
            ValueError: it is not one.
        """
        handler = self.handlers.get(channel.name) or self.handlers.get(channel.kind)
        if handler is None:
            return
        body = _read(channel, message.payload)
        with self._lock:
            if self._waiting >= MOST:
                self.dropped += 1
                return
            self._waiting += 1
        self._submit(lambda: self._call(handler, body, message.topic))

    def _call(self, handler: Callable[..., Any], body: Any, topic: str) -> None:
        try:
            handler(*(body, topic)[: parameters_of(handler)])
        except BaseException:  # SystemExit would end the thread of all callbacks
            log.exception("The handler of a message on %s failed.", topic)
        finally:
            with self._lock:
                self._waiting -= 1


def _read(channel: Channel, payload: bytes) -> Any:
    form = channel.payload.format
    if form == "any":
        return payload
    if form == "text":
        return payload.decode("utf-8")
    try:
        return read_json(payload)
    except ValueError:
        if form == "either":
            return payload.decode("utf-8")
        raise
