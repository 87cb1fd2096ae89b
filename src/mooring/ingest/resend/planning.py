"""From dead letters to what one transaction writes. Pure."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Iterable, Sequence

from xxhash import xxh3_64_intdigest

from mooring.dialects.payload import BadPayload, PayloadLimits
from mooring.ingest.ledger import Ledger
from mooring.ingest.plan import Plan, Retained
from mooring.ingest.planner import Planner
from mooring.ingest.resend.model import Kept, Outcome, Tried
from mooring.ingest.routing import Route, RouteTable, Unroutable
from mooring.ingest.rows import TIME_SOURCES, MessageRow, is_newer

__all__ = ["outcomes", "plan_of", "read"]

log = logging.getLogger(__name__)

_MESSAGE_IS_STORED = frozenset({"not_storable", "not_handled"})
"""Of these, one without a payload is about what follows from a message that is stored."""


def plan_of(
    letters: Iterable[Kept], routes: RouteTable, limits: PayloadLimits
) -> tuple[Plan, list[Kept], list[Tried]]:
    """What to write for dead letters, in the order in which they came.

    Returns:
        The plan, the dead letters whose messages it holds (in its order), and what cannot be
        stored.
    """
    found: list[Retained] = []
    readable: list[Kept] = []
    rejected: list[Tried] = []
    for letter in letters:
        one = read(letter, routes)
        if isinstance(one, Tried):
            rejected.append(one)
        else:
            readable.append(letter)
            found.append(one)
    plan = Plan(facts=[[] for _ in range(routes.projections)], retained=found)
    plan.keep_bytes = sys.maxsize  # one that the database rejects is a dead letter again, as whole
    for row, route, decoded in found:
        before = plan.newest.get(route)
        if before is None or is_newer(row, before[0]):
            plan.newest[route] = (row, decoded)
    # As what the broker kept: it may be old, and is not a sign of life.
    Planner(routes, Ledger(1), limits).settle(plan, {})
    plan.watched = list(range(len(plan.messages)))  # each one's outcome is reported
    return plan, readable, rejected


def read(letter: Kept, routes: RouteTable) -> Retained | Tried:
    """A dead letter as a message, or why it is none."""
    try:
        return _read(letter, routes)
    except Exception as fault:  # as in ``Planner.plan``: it costs only itself
        log.exception("the dead letter %d cannot be handled", letter.id)
        said = f"Mooring failed to process it, which is a bug in Mooring: {type(fault).__name__}."
        return _rejected(letter, "not_handled", said)


def _read(letter: Kept, routes: RouteTable) -> Retained | Tried:
    route = routes.get(letter.topic) or routes.find(letter.topic)
    wrong = _no_message(letter) or _nobody_s(letter, route)
    if wrong is not None:
        return wrong
    assert isinstance(route, Route)
    decoded = route.decode(letter.payload, letter.received_at)
    if isinstance(decoded, BadPayload):
        return _rejected(letter, str(decoded.reason), decoded.detail)
    # As ``Planner.plan`` marks messages, so that one that the device has sent again meanwhile is
    # recognised.
    mark = secrets.randbits(63)
    if decoded.seq is not None:
        mark = xxh3_64_intdigest(letter.payload, route.seed) >> 1
    row: MessageRow = (
        route.device_id,
        route.channel_id,
        decoded.time_ms,
        letter.received_at,
        decoded.seq,
        TIME_SOURCES.get(decoded.time_source, 0),
        mark,
        decoded.text,
    )
    return Retained(row, route, decoded)


def _no_message(letter: Kept) -> Tried | None:
    """Why the dead letter holds no whole message."""
    if letter.reason == "malformed_packet":
        return _rejected(letter, letter.reason, "The MQTT packet cannot be read.")
    if letter.size > len(letter.payload):
        said = f"Only {len(letter.payload):,} of its {letter.size:,} bytes are kept."
        return _rejected(letter, "incomplete", said)
    if not letter.payload and letter.reason in _MESSAGE_IS_STORED:
        return _rejected(letter, letter.reason, "The message itself was stored.")
    return None


def _nobody_s(letter: Kept, route: Route | Unroutable) -> Tried | None:
    """Why the message belongs to nobody, or to somebody else."""
    if isinstance(route, Unroutable):
        return _rejected(letter, route.reason, route.detail)
    said = ""
    if letter.device_id is not None and letter.device_id != route.device_id:
        said = "The topic belongs to another device than the one that sent the message."
    elif letter.tenant is not None and letter.tenant != route.device.tenant:
        said = "The topic belongs to a device of another tenant."
    return _rejected(letter, "other_device", said) if said else None


def _rejected(letter: Kept, reason: str, detail: str) -> Tried:
    return Tried(letter.id, Outcome.REJECTED, reason, detail, letter.topic)


def outcomes(
    plan: Plan, letters: Sequence[Kept], added: frozenset[int], refused: frozenset[tuple[str, int]]
) -> list[Tried]:
    """What became of the messages of a plan that was committed.

    Args:
        added: their places, of those that were added.
        refused: topic and time of arrival of those that the database rejected.
    """
    found = []
    for place, letter in enumerate(letters):
        if place in added:
            found.append(Tried(letter.id, Outcome.STORED, topic=letter.topic))
        elif (letter.topic, letter.received_at) in refused:
            said = "The database rejects it; the new dead letter says why."
            found.append(_rejected(letter, "not_storable", said))
        else:
            found.append(Tried(letter.id, Outcome.DUPLICATE, topic=letter.topic))
    return found
