"""A roll-up's metrics as bytes, and back: MessagePack, with nothing said twice.

    [last, entry, …]                 last: of the bucket's newest value, ms after its beginning
    [metric, value]                  one number or boolean
    [metric, count, nil, last]       text only
    [metric, count, minimum, maximum, total, last]
    [metric, count, minimum, maximum, total, last, numbers]    text among numbers

and one item more where the metric's own last value is older than the bucket's: its time. So
that the lengths stay unlike, that item is a list of one number.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import msgspec

from mooring.rollups.model import Summary

__all__ = ["pack", "unpack"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode
_MOST = 2**63


def pack(summaries: Mapping[int, Summary], start_ms: int) -> bytes:
    """The bytes of a bucket that begins then; the keys are the metrics' numbers."""
    newest = max((summary.last_ts for summary in summaries.values()), default=start_ms)
    packed: list[Any] = [newest - start_ms]
    for metric, s in summaries.items():
        if s.count == 1 and s.numbers:
            entry = [metric, _fitting(s.last)]
        elif not s.numbers:
            entry = [metric, s.count, None, s.last]
        else:
            entry = [
                metric,
                s.count,
                _fitting(s.minimum),
                _fitting(s.maximum),
                _fitting(s.total),
                _fitting(s.last),
            ]
            if s.numbers != s.count:
                entry.append(s.numbers)
        if s.last_ts != newest:
            entry.append([s.last_ts - start_ms])
        packed.append(entry)
    return _encode(packed)


def unpack(data: bytes, start_ms: int, wanted: Container[int] | None = None) -> dict[int, Summary]:
    """Metric's number → summary.

    Args:
        data: what ``pack`` made.
        start_ms: when the bucket begins.
        wanted: only these metrics.
    """
    entries = _decode(data)
    newest = start_ms + entries[0]
    del entries[0]
    found: dict[int, Summary] = {}
    for entry in entries:
        metric = entry[0]
        if wanted is not None and metric not in wanted:
            continue
        last_ts = newest
        if type(entry[-1]) is list:
            last_ts = start_ms + entry.pop()[0]
        length = len(entry)
        if length == 2:
            value = entry[1]
            number = int(value) if type(value) is bool else value
            found[metric] = Summary(1, 1, number, number, number, value, last_ts)
        elif length == 4:
            found[metric] = Summary(entry[1], 0, 0, 0, 0, entry[3], last_ts)
        else:
            _, count, minimum, maximum, total, last = entry[:6]
            numbers = entry[6] if length == 7 else count
            found[metric] = Summary(count, numbers, minimum, maximum, total, last, last_ts)
    return found


def _fitting(value: Any) -> Any:
    """MessagePack ends at 64 bits, a sum of large whole numbers may not."""
    if type(value) is int and not -_MOST <= value < _MOST:
        return float(value)
    return value
