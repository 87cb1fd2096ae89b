"""How projections are registered, and what ingest may know of them."""

from __future__ import annotations

import pytest

from mooring.dialects.model import Kind
from mooring.ingest.projections import Projections
from tests.conformance.projections.made_up import Bells
from tests.support.projecting import CATALOGUE, registered
from tests.support.source import ROOT, modules


def test_two_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="bells"):
        Projections([Bells(), Bells()])


def test_ingest_knows_no_projection_by_name() -> None:
    """A new one needs no change there."""
    found = modules(ROOT / "src" / "mooring")
    domains = {
        name.split(".")[1]
        for name in found
        if name.endswith(".projection") and name != "mooring.ingest.projection"
    }
    assert domains >= {"presence", "sequences"}
    for name, module in found.items():
        if name.startswith("mooring.ingest"):
            known = {one.split(".")[1] for one in module.imports() if one.count(".")}
            assert not domains & known, name


def test_telemetry_makes_a_fact_of_each_message_for_sequence_numbers_alone() -> None:
    """What a device reports of itself with every reading is looked at once a batch."""
    projections = registered()
    wanted = Projections(projections)
    shared = 0
    for dialect in CATALOGUE.all():
        for channel in dialect.ups():
            if channel.kind is not Kind.TELEMETRY or len(channel.payload.metadata or ()) != 1:
                continue
            found = wanted.interest(channel)
            each = {projections[one.slot].name for one in found.each}
            assert each <= {"sequence numbers"}, (dialect.name, channel.name)
            shared += found.repeat is not None and len(found.repeat.slots) > 1
    assert shared
