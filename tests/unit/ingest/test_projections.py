"""How projections are registered, and what ingest may know of them."""

from __future__ import annotations

import pytest

from mooring.ingest.projections import Projections
from tests.conformance.projections.made_up import Bells
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
