"""The parts bring everything there is, each thing once."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterable

import pytest

from mooring.parts import DOMAINS, PARTS, PLATFORM
from mooring.retention.bounds import BOUNDS
from mooring.settings import Settings
from mooring.store.schema import metadata
from mooring.supervisor import registry
from mooring.supervisor.registry import Entry
from tests.support.source import ROOT, modules


def twice(found: Iterable[object]) -> list[object]:
    return [one for one, times in Counter(found).items() if times > 1]


def test_every_package_with_routes_or_a_part_is_in_the_list() -> None:
    source = modules(ROOT / "src" / "mooring")
    packages = {name.split(".")[1] for name in source if re.search(r"\.\w+\.(api|part)$", name)}
    assert {part.name for part in DOMAINS} == packages
    assert twice(part.name for part in PARTS) == []
    assert (*DOMAINS, PLATFORM) == PARTS


def test_each_table_has_one_owner() -> None:
    tables = [table.name for part in PARTS for table in part.tables()]
    assert twice(tables) == []
    assert set(tables) == set(metadata.tables)
    assert set(tables) == {bound.table for bound in BOUNDS}


def test_each_setting_has_one_owner() -> None:
    names = [name for part in PARTS if part.settings for name in part.settings().names()]
    assert twice(names) == []
    assert set(names) == set(Settings.model_fields)


def test_each_route_belongs_to_one_part() -> None:
    routers = [id(router) for part in PARTS for router in part.routers()]
    assert len(routers) > 10
    assert twice(routers) == []


def test_each_word_worker_and_counter_is_there_once() -> None:
    assert twice(noun.name for part in PARTS for noun in part.nouns) == []
    assert twice((e.role, e.name) for part in PARTS for e in part.workers) == []
    assert twice(name for part in PARTS for name in part.counters) == []


def test_each_counter_of_refusals_is_one_that_the_code_counts() -> None:
    text = "".join(
        module.text
        for name, module in modules(ROOT / "src" / "mooring").items()
        if not name.endswith(".part")
    )
    named = [name for part in PARTS for name in part.counters]
    assert named
    assert [name for name in named if f'"{name}"' not in text] == []


@pytest.mark.parametrize("name", [name for part in PARTS for n in part.nouns for name in n.modules])
def test_each_module_of_a_noun_exists(name: str) -> None:
    assert importlib.import_module(name)


def test_two_workers_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_declared", {})
    registry.declare([Entry("hens", "serve", "counts hens")])
    registry.declare([Entry("hens", "serve", "counts hens"), Entry("hens", "up", "feeds hens")])
    assert registry.names("serve") == {"hens"}
    assert len(registry.declared()) == 2
    with pytest.raises(ValueError, match="called 'hens'"):
        registry.declare([Entry("hens", "serve", "sells hens")])
