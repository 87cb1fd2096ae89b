"""Which messages become dead letters, with what reason, and which are only counted. Pure."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import replace

from mqtt5 import PublishPacket

from mooring.devices.reference import DeviceRef
from mooring.dialects.model import Kind
from mooring.dialects.payload import BadPayload
from mooring.ingest.dead_budget import DeadBudget, Keep
from mooring.ingest.plan import REGISTRATION_MAX, DeadLetter, Plan, UnknownDevice
from mooring.ingest.routing import Route, Unroutable
from mooring.limits.buckets import MESSAGES, OF_TENANT, TENANT_SENDS
from mooring.link.protocol import Broken

__all__ = ["UNDECLARED_MAX", "UNDECLARED_MS", "DeadLetters"]

log = logging.getLogger(__name__)

UNDECLARED_MS = 60_000  # between two dead letters of one topic that no dialect declares
UNDECLARED_MAX = 10_000  # such topics remembered

_PRESENCE = frozenset({Kind.STATUS, Kind.ONLINE, Kind.OFFLINE})  # what is usually retained


class DeadLetters:
    """Adds dead letters to plans, within the budget of each sender.

    Args:
        keep_bytes: how much of a payload a dead letter keeps.
    """

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._budget = DeadBudget()
        self._noted: dict[str, int] = {}  # undeclared topic → its newest dead letter

    def unroutable(
        self, plan: Plan, packet: PublishPacket, why: Unroutable, received_at: int
    ) -> None:
        """A message that belongs to no device."""
        if not why.declared and not self._noteworthy(plan, packet, why, received_at):
            return
        letter = self._letter(packet, received_at, why.reason, why.detail)
        self._add(plan, why.stranger, replace(letter, tenant=why.tenant))
        if why.stranger is None:
            return
        unknown = plan.unknown.get(why.stranger)
        if unknown is None:
            dialect, tenant, name = why.stranger
            unknown = plan.unknown[why.stranger] = UnknownDevice(
                dialect, tenant, name, received_at, 0, packet.topic
            )
        unknown.messages += 1
        unknown.last_topic = packet.topic
        if why.registers and not packet.retain:  # what the broker kept is sent at every start
            payload = bytes(packet.payload)
            unknown.registered_at = received_at
            unknown.registration = payload if len(payload) <= REGISTRATION_MAX else b""

    def bad(
        self, plan: Plan, packet: PublishPacket, route: Route, bad: BadPayload, received_at: int
    ) -> bool:
        """A payload that cannot be stored. False where it removed a retained message."""
        if not packet.payload and (route.channel.retain or route.kind in _PRESENCE):
            plan.cleared += 1
            return False
        letter = self._letter(packet, received_at, str(bad.reason), bad.detail, route.device)
        self._add(plan, route.device_id, letter)
        return True

    def limited(
        self, plan: Plan, packet: PublishPacket, route: Route, limit: str, received_at: int
    ) -> None:
        """A message above the limit of its device or tenant, which the broker has acknowledged."""
        of_tenant = {tenants: own for own, tenants in OF_TENANT.items()}
        who = TENANT_SENDS if limit in of_tenant else "The device sends more"
        limit = of_tenant.get(limit, limit)
        what = "messages" if limit == MESSAGES else "bytes"
        detail = f"{who} {what} than its limit allows."
        letter = self._letter(packet, received_at, limit, detail, route.device)
        plan.limited += 1
        self._add(plan, route.device_id, letter)

    def failed(self, plan: Plan, packet: PublishPacket, fault: Exception, received_at: int) -> None:
        """A message on which the program failed."""
        log.error("a message on %r cannot be handled", packet.topic, exc_info=fault)
        detail = f"Mooring failed to process it, which is a bug in Mooring: {type(fault).__name__}."
        self._add(
            plan,
            None,
            self._letter(packet, received_at, "not_handled", detail[:500]),
        )

    def broken(self, plan: Plan, broken: Broken, received_at: int) -> None:
        """A packet that the codec cannot read."""
        self._add(
            plan,
            None,
            DeadLetter(
                received_at,
                "malformed_packet",
                f"The MQTT packet cannot be read: {broken.why}.",
                broken.topic,
                None,
                None,
                len(broken.raw),
                broken.raw[: self._keep_bytes],
            ),
        )

    # ------------------------------------------------------------------ inside

    def _letter(
        self,
        packet: PublishPacket,
        received_at: int,
        reason: str,
        detail: str,
        device: DeviceRef | None = None,
    ) -> DeadLetter:
        payload = packet.payload
        return DeadLetter(
            received_at,
            reason,
            detail,
            packet.topic,
            None if device is None else device.tenant,
            None if device is None else device.id,
            len(payload),
            payload[: self._keep_bytes],
        )

    def _add(self, plan: Plan, owner: Hashable, letter: DeadLetter) -> None:
        match self._budget.take(owner, len(letter.payload), letter.received_at):
            case Keep.WHOLE:
                plan.dead.append(letter)
            case Keep.WITHOUT_PAYLOAD:
                plan.dead.append(replace(letter, payload=b""))
            case Keep.COUNT_ONLY:
                plan.dropped += 1

    def _noteworthy(
        self, plan: Plan, packet: PublishPacket, why: Unroutable, received_at: int
    ) -> bool:
        """Whether a message on a topic of no dialect becomes a dead letter. Only a login that is
        not a device can send it, and such a login may use the broker for purposes of its own: one
        a topic and minute is kept, all are counted."""
        if why.ours:  # it came through a broad filter: a command, or our own word
            plan.passed += 1
            return False
        if packet.retain or self._noted.get(packet.topic, 0) > received_at - UNDECLARED_MS:
            plan.undeclared += 1
            return False
        if len(self._noted) >= UNDECLARED_MAX:
            self._noted.clear()
        self._noted[packet.topic] = received_at
        return True
