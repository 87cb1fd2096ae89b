"""What the device reports about itself: birth, heartbeat, goodbye, and the Last Will."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mooring_device.dialect import Channel, Dialect
from mooring_device.outbox import Outgoing, now_ms
from mooring_device.shapes import unnumbered

__all__ = ["Presence"]


class Presence:
    """Makes these messages, or ``None`` when the dialect has no place for one.

    Args:
        firmware: the version that runs, or "".
        sdk: the SDK's own version.
        facts: what the heartbeat adds, such as the length of the queue.
    """

    def __init__(self, firmware: str, sdk: str, facts: Callable[[], dict[str, int]]) -> None:
        self._firmware = firmware
        self._sdk = sdk
        self._facts = facts
        self._started = time.monotonic()

    def will(self, dialect: Dialect) -> Outgoing | None:
        """The Last Will. It has no time: it is written before the device is gone."""
        return self._online(_usable(dialect, "status", "offline"), online=False, ts=None)

    def birth(self, dialect: Dialect, *, ca: str = "") -> Outgoing | None:
        """``ca``: the CAs it trusts, so that a rollover of the CA knows whom it would lose."""
        meta = {**self._meta(), "sdk": self._sdk, **({"ca": ca} if ca else {})}
        return self._online(_usable(dialect, "status", "online"), online=True, meta=meta)

    def offline(self, dialect: Dialect) -> Outgoing | None:
        return self._online(_usable(dialect, "status", "offline"), online=False, meta=self._meta())

    def beat(self, dialect: Dialect) -> Outgoing | None:
        meta = {**self._meta(), **self._facts()}
        return self._message(_usable(dialect, "heartbeat"), "online", now_ms(), None, meta)

    def _online(
        self,
        channel: Channel | None,
        *,
        online: bool,
        meta: dict[str, Any] | None = None,
        ts: int | None = -1,
    ) -> Outgoing | None:
        word = "online" if online else "offline"
        return self._message(channel, word, now_ms() if ts == -1 else ts, online, meta or {})

    def _meta(self) -> dict[str, Any]:
        return {"uptime": int(time.monotonic() - self._started)}

    def _message(
        self,
        channel: Channel | None,
        word: str,
        ts: int | None,
        online: bool | None,
        meta: dict[str, Any],
    ) -> Outgoing | None:
        if channel is None:
            return None
        shape = channel.payload
        if shape.is_text:
            payload = word.encode()
        else:
            values: list[tuple[tuple[str, ...], Any]] = []
            if online is not None and (shape.online or shape.metadata is None):
                values.append((shape.online or ("online",), online))
            if shape.metadata is not None:
                values += [((*shape.metadata, key), value) for key, value in meta.items()]
            if shape.firmware and self._firmware and meta:
                values.append((shape.firmware, self._firmware))
            payload = unnumbered(shape, ts, values)
        return Outgoing(channel.topics[0], payload, channel.retain)


def _usable(dialect: Dialect, *kinds: str) -> Channel | None:
    """The device's first channel of these kinds that needs no name in its topic."""
    for kind in kinds:
        channel = dialect.up(kind)
        if channel is not None and "+" not in channel.topics[0]:
            return channel
    return None
