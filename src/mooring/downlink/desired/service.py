"""Operations on desired documents, each in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.dialects.sendable import check_topic
from mooring.downlink.desired import store
from mooring.errors import Invalid
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.room import limit_reached

__all__ = ["TOPIC_BYTES_MAX", "Desired"]

TOPIC_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Desired:
    """Retained documents of one installation. The broker follows the database: what is written
    here is published, restored when it is missing, and cleared when it is dropped."""

    settings: Settings
    instance: Instance

    def put(
        self,
        connection: Connection,
        topic: str,
        device: Device,
        payload: bytes,
        *,
        version: int,
        origin: str,
        qos: int = 1,
        secret: bool = False,
    ) -> bool:
        """Writes the document of a topic; whether it was newer than the one that is there.

        Args:
            version: grows with each change of the document.
            origin: the part that writes it, one word.
            secret: it is encrypted with the instance key until it is published.

        Raises:
            Invalid: the topic cannot be published to or is too long, or the payload is empty,
                which MQTT reads as "delete", or too large.
            Conflict: ``limit_reached``: the device has too many.
        """
        self._check(topic, payload)
        room = self.settings.desired_max_per_device
        if store.count(connection, device.id, topic, room) >= room:
            raise limit_reached("retained documents of one device", room, "desired_max_per_device")
        return store.put(
            connection,
            {
                "device_id": device.id,
                "tenant": device.tenant,
                "payload": self.instance.seal(payload) if secret else payload,
                "sealed": secret,
                **_row(topic, version, qos, origin),
            },
        )

    def put_shared(
        self,
        connection: Connection,
        topic: str,
        payload: bytes,
        *,
        version: int,
        origin: str,
        qos: int = 1,
        secret: bool = False,
    ) -> bool:
        """Writes the document of a topic that belongs to no device; whether it was newer than the
        one that is there. The caller bounds the number of its documents, and drops those that
        nobody needs.

        Args:
            secret: as in ``put``.

        Raises:
            Invalid: as ``put``.
        """
        self._check(topic, payload)
        return store.put(
            connection,
            {
                "device_id": None,
                "tenant": "",
                "payload": self.instance.seal(payload) if secret else payload,
                "sealed": secret,
                **_row(topic, version, qos, origin),
            },
        )

    def _check(self, topic: str, payload: bytes) -> None:
        check_topic(topic)
        if len(topic.encode()) > TOPIC_BYTES_MAX:
            raise Invalid(
                f"A topic of {len(topic.encode())} bytes is too long for a retained document.",
                hint=f"Use at most {TOPIC_BYTES_MAX}.",
                code="invalid_topic",
            )
        most = self.settings.message_size_limit
        if not payload or len(payload) > most:
            raise Invalid(
                f"A retained document has 1 to {most} bytes; this one has {len(payload)}.",
                hint="Drop a document to delete it; raise message_size_limit for larger ones.",
                code="payload_too_large",
            )

    def publish_again(self, connection: Connection, topic: str) -> None:
        """The broker is to publish what it has, as if it were new."""
        store.mark(connection, [topic])

    def drop(self, connection: Connection, *topics: str) -> int:
        """The broker is to clear these; how many there were."""
        return store.drop(connection, topics, now_ms())

    def topics(self, connection: Connection, device: Device) -> list[str]:
        """Topics of the device's documents, also of those that are being cleared."""
        return store.topics_of_device(connection, device.id)


def _row(topic: str, version: int, qos: int, origin: str) -> dict[str, object]:
    return {
        "topic": topic,
        "version": version,
        "qos": max(1, qos),
        "origin": origin,
        "updated_at": now_ms(),
        "pending": True,
        "error": None,
    }
