"""What the device reports about itself: birth, heartbeat, goodbye, and the Last Will."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mooring_device.outbox import now_ms
from mooring_device.shapes import Shape, dump

__all__ = ["Presence"]


class Presence:
    """Makes these messages: each a topic and a payload, or ``None`` when the dialect has no
    place for it.

    Args:
        firmware: the version that runs, or "".
        sdk: the SDK's own version.
        facts: what the heartbeat adds, such as the length of the queue.
    """

    def __init__(
        self, shape: Shape, firmware: str, sdk: str, facts: Callable[[], dict[str, int]]
    ) -> None:
        self._shape = shape
        self._firmware = firmware
        self._sdk = sdk
        self._facts = facts
        self._started = time.monotonic()

    def will(self, topics: Mapping[str, str]) -> tuple[str, bytes] | None:
        """The Last Will. It has no time: it is written before the device is gone."""
        topic = topics.get("status") or topics.get("offline")
        return (topic, dump({"online": False}).encode()) if topic else None

    def birth(self, topics: Mapping[str, str], *, ca: str = "") -> tuple[str, bytes] | None:
        """``ca``: the CAs it trusts, so that a rollover of the CA knows whom it would lose."""
        topic = topics.get("status") or topics.get("online")
        meta = {**self._meta(), "sdk": self._sdk, **({"ca": ca} if ca else {})}
        return self._message(topic, {"online": True, "meta": meta})

    def offline(self, topics: Mapping[str, str]) -> tuple[str, bytes] | None:
        topic = topics.get("status") or topics.get("offline")
        return self._message(topic, {"online": False, "meta": self._meta()})

    def beat(self, topics: Mapping[str, str]) -> tuple[str, bytes] | None:
        meta = {**self._meta(), **self._facts()}
        return self._message(topics.get("heartbeat"), {"meta": meta})

    def _meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"uptime": int(time.monotonic() - self._started)}
        if self._firmware:
            meta["firmware"] = self._firmware
        return meta

    def _message(self, topic: str | None, values: dict[str, Any]) -> tuple[str, bytes] | None:
        return (topic, self._shape.unnumbered(now_ms(), values)) if topic else None
