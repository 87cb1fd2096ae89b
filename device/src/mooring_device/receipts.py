"""The platform's word: what a receipt releases, and what a re-request asks for.

Pure: messages and what the device holds in, decisions out.

A reading leaves the device only when it was *sent* and a receipt covers it. The first
condition matters: a device whose store was wiped counts from 1 again, and the platform,
which remembers a higher number, would otherwise release readings that it never got.
A receipt for numbers this device has not given out yet is the proof of such a wipe: the
device then moves on beyond them (``Skip``), so that no number is used twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mooring_device.ranges import Range, Ranges, intersect, normal, subtract

__all__ = [
    "MAX_SEQ",
    "MAX_SKIP",
    "Answer",
    "Receipt",
    "Release",
    "Skip",
    "answer_rerequest",
    "parse_receipt",
    "parse_rerequest",
    "settle",
]

MAX_SEQ = 2**53 - 1  # what every JSON reader holds exactly, and the largest the platform takes
# A number above this was never counted to (a million a second for 142 years): somebody sent it
# under this device's name. Going on beyond it would leave no numbers.
MAX_SKIP = 2**52
MAX_RANGES = 10_000  # of one message; the rest waits for the next one


@dataclass(frozen=True)
class Receipt:
    """Everything up to and including ``upto`` is committed, and the ranges in ``also``."""

    upto: int
    also: Ranges = ()

    @property
    def covered(self) -> Ranges:
        return normal([(1, self.upto), *self.also])


@dataclass(frozen=True)
class Release:
    """These readings may leave the queue."""

    ranges: Ranges


@dataclass(frozen=True)
class Skip:
    """The platform knows numbers beyond ours: release, then number again above ``beyond``."""

    ranges: Ranges
    beyond: int


@dataclass(frozen=True)
class Answer:
    """To a re-request: send these again; these are gone."""

    resend: Ranges
    lost: Ranges
    skip_beyond: int = 0  # number again above this, 0: no need


def _pairs(value: Any) -> tuple[Range, ...]:
    if not isinstance(value, list):
        raise ValueError("ranges are a list of [from, to]")  # noqa: TRY004  one error for bad input
    pairs = []
    for item in value[:MAX_RANGES]:
        if not (isinstance(item, list) and len(item) == 2 and all(type(n) is int for n in item)):
            raise ValueError("a range is [from, to] with two whole numbers")
        first, last = item
        if not 0 <= first <= last:
            raise ValueError("a range needs 0 <= from <= to")
        # A number that no device has does not spoil what is said of the others.
        if first <= MAX_SEQ:
            pairs.append((max(first, 1), min(last, MAX_SEQ)))
    return tuple(pairs)


def parse_receipt(payload: bytes | dict[str, Any]) -> Receipt:
    """Read ``{"upto": n, "also": [[from, to], …]}``.

    Raises:
        ValueError: it is not that.
    """
    body = payload if isinstance(payload, dict) else json.loads(payload)
    upto = body.get("upto") if isinstance(body, dict) else None
    if type(upto) is not int or upto < 0:
        raise ValueError("a receipt needs upto, a whole number from 0")
    return Receipt(min(upto, MAX_SEQ), normal(_pairs(body.get("also") or [])))


def parse_rerequest(payload: bytes) -> Ranges:
    """Read ``{"missing": [[from, to], …]}``.

    Raises:
        ValueError: it is not that.
    """
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("a re-request is an object")  # noqa: TRY004  one error for bad input
    return normal(_pairs(body.get("missing")))


def settle(receipt: Receipt, *, sent: Ranges, last_seq: int) -> Release | Skip:
    """What a receipt means for a device that has sent ``sent`` and counted to ``last_seq``."""
    release = intersect(receipt.covered, sent)
    highest = _highest([receipt.upto, *(last for _, last in receipt.also)])
    if highest > last_seq:
        return Skip(release, highest)
    return Release(release)


def answer_rerequest(missing: Ranges, *, held: Ranges, unsent: Ranges, last_seq: int) -> Answer:
    """What to do for ``missing``: ``held`` is in the queue, of which ``unsent`` goes out anyway."""
    highest = _highest([last for _, last in missing])
    missing = intersect(missing, ((1, max(highest, last_seq)),))
    wanted = intersect(missing, held)
    return Answer(
        resend=subtract(wanted, unsent),
        lost=subtract(missing, held),
        skip_beyond=highest if highest > last_seq else 0,
    )


def _highest(numbers: list[int]) -> int:
    """The highest number that a device can have counted to."""
    return max([n for n in numbers if n <= MAX_SKIP], default=0)
