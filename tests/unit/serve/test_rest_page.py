"""docs/reference/rest.md names every route, and no other."""

from __future__ import annotations

import re

from tests.support.openapi import document
from tests.support.source import ROOT

PAGE = ROOT / "docs" / "reference" / "rest.md"


def routes() -> set[str]:
    return {f"{method.upper()} {path}" for path, of in document()["paths"].items() for method in of}


def listed() -> list[str]:
    return re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_route_is_on_the_page_once() -> None:
    assert sorted(listed()) == sorted(routes())


def test_operations_have_names_of_their_own() -> None:
    operations = [one for path in document()["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        assert one["description"], one["operationId"]
        assert {"4XX", "5XX"} <= set(one["responses"])
        assert "422" not in one["responses"]
