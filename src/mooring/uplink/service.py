"""Taking readings over HTTP: published to the device's topic, answered when committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from mooring.devices.model import Device
from mooring.dialects import Catalogue
from mooring.dialects.lenient import repair
from mooring.dialects.model import Channel, Direction, Kind
from mooring.dialects.numbered import sequence_of
from mooring.errors import Invalid, NotFound, Unavailable
from mooring.sequences import store as gap_store
from mooring.sequences.numbers import Numbers
from mooring.web.watching import Watcher

__all__ = [
    "COMMIT_SECONDS",
    "MESSAGES_MAX",
    "Sending",
    "committed",
    "not_committed",
    "sending",
    "split",
    "without_committed",
]

MESSAGES_MAX = 1000  # readings in one request
COMMIT_SECONDS = 10.0


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
            f"There are {len(messages)} messages; {MESSAGES_MAX} are allowed in one request.",
            hint="Send them in several requests.",
            code="too_many_messages",
        )
    return messages


@dataclass(frozen=True, slots=True)
class Sending:
    """What goes to the broker for one request.

    Attributes:
        device: its number.
        topic, payloads, qos, retain: how it is published.
        each: the sequence number of each payload, or ``None``.
        numbers: the sequence numbers to wait for.
        already: messages of the request that are committed and not sent again.
    """

    device: int
    topic: str
    payloads: Sequence[bytes]
    qos: int
    retain: bool
    each: Sequence[int | None]
    numbers: Sequence[int]
    already: int = 0


def without_committed(plan: Sending, held: Numbers) -> Sending:
    """Without what a request repeats: a device sends it again until it gets the receipt."""
    fresh = [
        (payload, number)
        for payload, number in zip(plan.payloads, plan.each, strict=True)
        if number is None or not held.holds(number)
    ]
    return replace(
        plan,
        payloads=[payload for payload, _ in fresh],
        each=[number for _, number in fresh],
        already=len(plan.payloads) - len(fresh),
    )


def sending(
    catalogue: Catalogue, device: Device, messages: Sequence[bytes], channel: str | None = None
) -> Sending:
    """How these messages of a device are published.

    Args:
        channel: the name of an up channel; by default the dialect's first telemetry one.

    Raises:
        NotFound: the dialect has no such channel.
    """
    chosen = _channel(catalogue, device, channel)
    path = chosen.payload.sequence
    each = [sequence_of(message, path) for message in messages]
    return Sending(
        device=device.id,
        topic=chosen.addresses(device.identity)[0],
        payloads=messages,
        qos=max(1, chosen.qos),
        retain=chosen.retain,
        each=each,
        numbers=[number for number in each if number is not None],
    )


def not_committed() -> Unavailable:
    """The broker has the messages, and they are not committed in time: to be sent again."""
    return Unavailable(
        f"The readings were not committed within {COMMIT_SECONDS:g} s.",
        hint="Send them again later. Readings that were stored meanwhile are not duplicated.",
        code="not_committed",
    )


def _channel(catalogue: Catalogue, device: Device, name: str | None) -> Channel:
    dialect = catalogue.get(device.dialect)
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


async def committed(
    watcher: Watcher, device: int, numbers: Sequence[int], seconds: float
) -> tuple[bool, Numbers]:
    """Whether these numbers of a device are committed within ``seconds``, and what of it is
    committed."""

    def settled(held: Numbers | None) -> bool:
        return all((held or Numbers()).settles(number) for number in numbers)

    done, held = await watcher.answered(gap_store.numbers_of_many, device, settled, seconds)
    return done, held or Numbers()
