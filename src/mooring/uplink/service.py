"""Taking readings over HTTP: published to the device's topic, answered when committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from mooring.devices.model import Device
from mooring.dialects import Catalogue
from mooring.dialects.lenient import repair
from mooring.dialects.model import Channel, Direction, Kind
from mooring.errors import Invalid, NotFound, Unavailable
from mooring.ingest import gap_store
from mooring.ingest.plan import sequence_of
from mooring.ingest.sequences import Numbers
from mooring.store.engine import Database

__all__ = ["MESSAGES_MAX", "Uplink", "split"]

MESSAGES_MAX = 1000  # readings in one request
COMMIT_SECONDS = 10.0
POLL_SECONDS = 0.02

Send = Callable[[str, Sequence[bytes], int, bool], None]


class _Batch(msgspec.Struct):
    messages: list[msgspec.Raw]


def split(body: bytes) -> list[bytes]:
    """The messages in a request, each byte for byte: ``{"messages": […]}`` or one object.

    Raises:
        Invalid: no JSON object, or too many messages.
    """
    try:
        try:
            keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            body, words = repair(body)  # a NaN costs that value alone
            if not words:
                raise
            keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "messages" not in keys:
            return [body]
        messages = [bytes(one) for one in msgspec.json.decode(body, type=_Batch).messages]
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise Invalid(
            f"The body is not a message and not a list of messages: {exc}.",
            hint='Send one JSON object, or {"messages": [ … ]}.',
            code="bad_messages",
        ) from exc
    if len(messages) > MESSAGES_MAX:
        raise Invalid(
            f"There are {len(messages)} messages; {MESSAGES_MAX} are allowed at once.",
            hint="Send them in several requests.",
            code="too_many_messages",
        )
    return messages


@dataclass(frozen=True, slots=True)
class Uplink:
    """Readings over HTTP.

    Attributes:
        database: where the gap ledger tells what is committed.
        catalogue: the dialects, for the device's topics.
    """

    database: Database
    catalogue: Catalogue

    def take(
        self, device: Device, messages: Sequence[bytes], send: Send, *, channel: str | None = None
    ) -> Numbers:
        """Hands messages to the broker; numbered ones are waited for until committed.

        Args:
            channel: the name of an up channel; by default the dialect's first telemetry one.
            send: publishes messages to a topic with a QoS and a retain flag, and returns
                when the broker has them.

        Returns:
            What is committed of the device now; nothing for one that does not number.

        Raises:
            NotFound: its dialect has no such channel.
            BrokerUnavailable: the broker does not take them.
            Unavailable: they are with the broker and not committed in time; to be sent again.
        """
        chosen = self._channel(device, channel)
        topics = chosen.addresses(device.identity)
        send(topics[0], messages, max(1, chosen.qos), chosen.retain)
        path = chosen.payload.sequence
        numbers = [n for n in (sequence_of(m, path) for m in messages) if n is not None]
        return self._committed(device, numbers)

    def _channel(self, device: Device, name: str | None) -> Channel:
        dialect = self.catalogue.get(device.dialect)
        found = next(
            (
                one
                for one in dialect.ups()
                if (one.name == name if name else one.kind is Kind.TELEMETRY)
                and one.direction is Direction.UP
                and one.addresses(device.identity)
            ),
            None,
        )
        if found is None:
            raise NotFound(
                f"Devices of the dialect {dialect.name} have no channel {name or 'telemetry'}.",
                hint=f"There are: {', '.join(one.name for one in dialect.ups())}.",
                code="channel_not_found",
            )
        return found

    def _committed(self, device: Device, numbers: Sequence[int]) -> Numbers:
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            with self.database.read() as connection:
                known = gap_store.numbers_of(connection, device.id)
            held = known.numbers if known is not None else Numbers()
            if all(held.holds(n) for n in numbers):
                return held
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"The readings are not committed after {COMMIT_SECONDS:g} s.",
                    hint="Send them again later; what is stored meanwhile is stored once.",
                    code="not_committed",
                )
            time.sleep(POLL_SECONDS)
