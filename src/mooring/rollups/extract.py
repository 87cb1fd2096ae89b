"""From a stored payload to the object that holds its readings, with as little parsing as possible.

The rest of a payload is validated but not built: that halves the cost. Which object it is and
which of its keys are not readings says the channel's payload shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from mooring.dialects import (
    Channel,
    Format,
    Path,
    PayloadLimits,
    PayloadShape,
    Scalar,
    readings,
)
from mooring.dialects.lenient import parse
from mooring.rollups.aggregate import Readings

__all__ = ["Extractor", "extractor"]


@dataclass(frozen=True, slots=True)
class Extractor:
    """How to get at the readings of one channel.

    Attributes:
        find: payload texts → for each the object that holds the readings; ``None`` without one.
        skip: keys of that object that are not readings.
        slowly: the readings of such an object, regardless of its content.
    """

    find: Callable[[Sequence[str]], list[dict[str, Any] | None]]
    skip: frozenset[str]
    slowly: Readings


def extractor(
    channel: Channel, limits: PayloadLimits, on_drop: Callable[[int], object]
) -> Extractor | None:
    """``None`` for a channel whose payloads are not JSON.

    Args:
        limits: how many readings are taken from one message.
        on_drop: is called with the number of those left out.
    """
    shape = channel.payload
    if shape.format in (Format.TEXT, Format.ANY):
        return None

    def slowly(body: Any) -> Mapping[str, Scalar]:
        for key in reversed(shape.values):
            body = {key: body}
        return readings(shape, body, limits, on_drop=on_drop)

    candidates = {
        path[len(shape.values)]
        for path in _paths(shape)
        if path[: len(shape.values)] == shape.values and len(path) > len(shape.values)
    }
    skip = frozenset(key for key in candidates if not slowly({key: 1}))
    return Extractor(_finder(shape), skip, slowly)


def _finder(shape: PayloadShape) -> Callable[[Sequence[str]], list[dict[str, Any] | None]]:
    root = shape.values
    target: Any = dict[str, Any]
    for key in reversed(root):
        target = msgspec.defstruct(
            "Payload", [("inside", target | None, None)], rename={"inside": key}, gc=False
        )
    decode = msgspec.json.Decoder(target).decode
    decode_all = msgspec.json.Decoder(list[target]).decode
    inside = attrgetter(".".join(["inside"] * len(root))) if root else None

    def dig(found: Any) -> Any:
        for _ in root:
            if found is None:
                return None
            found = found.inside
        return found

    def one(text: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = dig(decode(text))
        except (msgspec.DecodeError, RecursionError):
            return _unlike(text, root)
        return found

    def find(texts: Sequence[str]) -> list[dict[str, Any] | None]:
        # Many at once as one array: a third cheaper than one by one. Not where a payload may
        # be any text: two of them could read as other ones when they are put together.
        if shape.format is Format.JSON:
            try:
                every = decode_all(f"[{','.join(texts)}]")
                if len(every) == len(texts):
                    return every if inside is None else list(map(inside, every))
            except (msgspec.DecodeError, RecursionError, AttributeError):
                return [one(text) for text in texts]  # one is not as the shape says
        return [one(text) for text in texts]

    return find


def _unlike(text: str, root: Path) -> dict[str, Any] | None:
    """A payload that is not as the shape says: an array of readings, ``NaN``, text, something
    else."""
    try:
        found = parse(text)
    except (msgspec.DecodeError, RecursionError):
        return None  # a channel that takes text as well as JSON
    if not isinstance(found, dict):
        return None  # such a channel takes only an object as JSON
    for key in root:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    if isinstance(found, list):
        return {str(index): item for index, item in enumerate(found)}
    return found if isinstance(found, dict) else None


def _paths(shape: PayloadShape) -> Iterator[Path]:
    yield from (*shape.time, *shape.firmware, *shape.online, shape.values)
    single = (
        shape.sequence,
        shape.device,
        shape.identifier,
        shape.name,
        shape.reply_to,
        shape.metadata,
    )
    yield from (path for path in single if path)
