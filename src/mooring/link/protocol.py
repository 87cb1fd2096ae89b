"""What ingest and the services ask of a connection to a broker.

A link hands over messages in batches and acknowledges a batch when it is asked to: after the
commit. It reconnects by itself; a message that was handed over and not acknowledged comes
again from the broker, marked as a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mqtt5 import PublishPacket

__all__ = ["Batch", "Broken", "Endpoint", "Link", "Subscription"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is and who we are there; a ``host`` that begins with ``/`` is a Unix
    socket. ``tls`` holds a CA file for mqtts."""

    host: str
    port: int
    username: str
    password: str
    client_id: str
    cafile: str | None = None
    tls: bool = False

    def __repr__(self) -> str:  # a password must not reach a log through an exception's text
        return f"Endpoint({self.username}@{self.host}:{self.port} as {self.client_id})"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and the highest QoS to deliver at.

    ``number`` comes back in ``subscription_ids`` of every message that this subscription
    brings, 1 to 268,435,455; 0: none. Where it is not ``required``, the broker may reject it.
    ``retained``: retained messages come first, once.
    """

    filter: str
    qos: int = 1
    number: int = 0
    required: bool = True
    retained: bool = True


@dataclass(frozen=True, slots=True)
class Broken:
    """A PUBLISH packet the codec rejected: its bytes, why, and what acknowledges it.

    ``topic`` shows bytes that are not UTF-8 as ``\\xff``.
    """

    raw: bytes
    why: str
    qos: int
    packet_id: int
    topic: str = ""


@dataclass(slots=True)
class Batch:
    """Messages handed over together.

    Attributes:
        packets: in the order of arrival.
        connection: which connection they came on; an acknowledgement for an earlier one is
            dropped, because the broker repeats those messages under the same packet ids.
        broken: PUBLISH packets that the codec rejected.
    """

    packets: list[PublishPacket]
    connection: int
    broken: list[Broken]


class Link(Protocol):
    """A connection that outlives its sockets."""

    async def start(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a word callers know
        """Connects and subscribes.

        Raises ``BrokerUnavailable`` when that does not work within ``timeout`` seconds; the
        link continues trying only after a first success.
        """
        ...

    async def take(self, limit: int, linger: float) -> Batch:
        """Waits for a message, then up to ``linger`` seconds for more, ``limit`` at most."""
        ...

    def acknowledge(self, batch: Batch) -> None:
        """Tells the broker that a batch is committed."""
        ...

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        """Sends; for QoS 1 and 2 returns when the broker has it.

        Raises ``BrokerUnavailable`` when there is no connection or the broker rejects it.
        """
        ...

    def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Sends QoS 0 messages in one write; silently nothing while not connected, because
        what goes this way (receipts, live views) is sent again by its own rules."""
        ...

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Makes these the subscriptions: adds what is new, drops what is not named."""
        ...

    async def subscribed(self) -> None:
        """Waits until the broker has confirmed the subscriptions on the current connection."""
        ...

    async def close(self) -> None:
        """Disconnects. The session stays on the broker for ``session_seconds``."""
        ...
