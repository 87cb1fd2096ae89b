"""A question for the values of a topic, and where its answer comes from. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mooring.app import App
from mooring.dashboard.forms import row_number
from mooring.errors import Invalid
from mooring.identity.actor import Actor

__all__ = ["Ask", "Source", "number_of"]


class Ask(NamedTuple):
    """One question.

    Attributes:
        before: the answer before, empty at first; ``before_at``: its time, epoch milliseconds.
    """

    app: App
    actor: Actor
    argument: str
    before: Mapping[str, Any]
    before_at: int


class Source(NamedTuple):
    """Of one topic.

    Attributes:
        seconds: between two questions at least.
        device: the argument is a device, whose messages come from the stream, too.
        fleet: every message of the tenant comes from the stream, as rows.
        argument: the topic has one. Without this, a page that asks for ``nav:1``, ``nav:2`` …
            would have the fleet counted for each.
    """

    load: Callable[[Ask], dict[str, Any]]
    seconds: float = 2.0
    device: bool = False
    fleet: bool = False
    argument: bool = False


def number_of(text: str) -> int:
    """A number of a row.

    Raises:
        Invalid: it is none.
    """
    found = row_number(text)
    if found is not None:
        return found
    raise Invalid(f"{text[:40]!a} is not a number.", code="invalid_topic")
