"""No table grows without end: each one of the schema has a bound, and the page shows it."""

from __future__ import annotations

import importlib
import re

from mooring.retention import tidy_store
from mooring.retention.bounds import BOUNDS, By
from mooring.settings import Settings
from mooring.store import schema
from mooring.store.schema import metadata
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (\w+) \| (\w+) \| (.*?) ?\| (.+) \|$", re.MULTILINE)


def test_every_table_has_one_bound() -> None:
    assert sorted(bound.table for bound in BOUNDS) == sorted(metadata.tables)


def test_every_limit_is_a_setting_or_a_table() -> None:
    known = set(Settings.model_fields) | set(metadata.tables)
    assert {name for bound in BOUNDS for name in bound.limits} - known == set()


def test_rows_of_a_device_do_not_outlive_it() -> None:
    """They go with the device, the clean-up finds them, or they have a term of their own."""
    for bound in BOUNDS:
        table = metadata.tables[bound.table]
        of_devices = bound.by is By.REFUSED or "devices" in bound.limits
        if "device_id" in table.c and of_devices:
            with_it = any(
                key.column.table.name == "devices" and key.ondelete == "CASCADE"
                for key in table.c.device_id.foreign_keys
            )
            found = with_it or table in tidy_store.OF_DEVICES or "records_days" in bound.rule
            assert found or table is schema.desired, table.name  # cleared on the broker first


def test_nothing_hangs_on_a_table_that_hangs_on_it() -> None:
    """Rows that belong to another table's rows end at a table that is bounded by itself."""
    by_table = {bound.table: bound for bound in BOUNDS}
    for bound in BOUNDS:
        seen, waiting = set(), [bound]
        while waiting:
            one = waiting.pop()
            assert one.table not in seen, f"{bound.table} is bounded by itself"
            seen.add(one.table)
            if one.by is By.OWNER:
                assert one.limits, one.table
                waiting += [by_table[name] for name in one.limits if name in by_table]


def test_every_bound_but_a_fixed_one_names_its_limit_or_says_how() -> None:
    for bound in BOUNDS:
        assert bound.rule.endswith(".")
        if bound.by in (By.REFUSED, By.RETENTION):
            assert bound.limits, bound.table


def test_constants_that_rules_name_exist() -> None:
    for bound in BOUNDS:
        for name in re.findall(r"`(mooring[\w.]+)`", bound.rule):
            module, _, constant = name.rpartition(".")
            assert isinstance(getattr(importlib.import_module(module), constant), int)


def test_the_page_shows_the_table() -> None:
    section = PAGE.partition("## Tables")[2].partition("\n## ")[0]
    shown = {row[0]: row[1:] for row in _ROW.findall(section) if row[0] != "table"}
    wanted = {
        bound.table: (
            bound.by.value,
            ", ".join(f"`{name}`" for name in bound.limits),
            bound.rule,
        )
        for bound in BOUNDS
    }
    assert shown == wanted
