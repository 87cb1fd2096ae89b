"""What follows from messages, put together for the processes that store them."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.app import App
from mooring.ingest.projections import Projections
from mooring.part import Part
from mooring.parts import PARTS

__all__ = ["projections_of"]


def projections_of(app: App, parts: Sequence[Part] = PARTS) -> Projections:
    """Those of every part, in the order in which they are applied."""
    return Projections([one for part in parts for one in part.projections(app)])
