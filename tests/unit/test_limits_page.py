"""docs/reference/limits.md lists every limit, with the value it has."""

from __future__ import annotations

import importlib
import re

from mooring.settings import Settings
from tests.support.source import ROOT, modules

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `([\w.]+)` \| ([\d,]+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
_LIMIT = re.compile(r"^((?:MAX|MOST)_\w+|[A-Z]\w*_(?:MAX|MOST)) = [\d_]+\b", re.MULTILINE)

# Bounds of what is printed, of our own made-up devices, and of what cannot be reached from
# outside: no page has to tell them.
INTERNAL = {
    "mooring.devices.changes.SPANS_MOST",  # how changes are written down, not how many
    "mooring.store.version_key.KEY_MAX",  # no version that is stored has a longer one
    "mooring.identity.policy.KNOWN_MOST",  # dialects whose rights are worked out; a cache
    "mooring.secrets.verifiers.MAX_ITERATIONS",  # of a verifier somebody else made
    "mooring.secrets.verifiers.MAX_SALT_BYTES",
    "mooring.broker.access_list.MAX_OWN_LEVELS",  # how the file is written, not what it may say
    "mooring.broker.access_list.PATTERNS_MOST",
    "mooring.broker.access_list.SHAPES_MOST",
    "mooring.broker.dynsec.BESIDE_MOST",  # which of two ways is taken
    "mooring.broker.migrate.NAMED_MOST",
    "mooring.broker.password_lines.MAX_USERNAME",  # MQTT's own
    "mooring.broker.plugin_rows.NAMED_MOST",  # which of two ways is taken
    "mooring.broker.plugin_rights.VALUES_MAX",  # how rights are stored, not what they may be
    "mooring.broker.tail.MAX_LINE_BYTES",
    "mooring.cli.broker_accounts.SHOWN_MOST",
    "mooring.cli.device_import.SHOWN_MOST",
    "mooring.devices.reconcile.REFRESH_MOST",  # which of two ways is taken
    "mooring.device_settings.pace.TENANTS_MAX",  # sizes of batches remembered
    "mooring.device_settings.schemas.COMPILED_MAX",  # schemas kept ready; a cache
    "mooring.device_settings.schemas.SECRETS_MAX",  # likewise
    "mooring.doctor.store.EVENTS_MOST",  # how much evidence is read for a verdict
    "mooring.doctor.why.SHOWN_MAX",
    "mooring.link.connection.PINGS_UNANSWERED_MOST",  # after which our connection is made again
    "mooring.link.session.MAX_PACKET_ID",  # MQTT's own
    "mooring.link.connection.QUOTA_MOST",  # further ones of ours wait
    "mooring.wiring.direct.CHANGES_MOST",  # which process applies them
    "mooring.simulate.enrol.RUNS_MOST",
    "mooring.simulate.packets.MAX_REMAINING",  # MQTT's own
}


def rows() -> list[tuple[str, int]]:
    return [(name, int(most.replace(",", ""))) for name, most, _, _ in _ROW.findall(PAGE)]


def value(name: str) -> object:
    if "." not in name:
        return Settings.model_fields[name].default
    module, _, constant = name.rpartition(".")
    return getattr(importlib.import_module(module), constant)


def limits_in_the_source() -> set[str]:
    return {
        f"{module.name}.{name}"
        for module in modules(ROOT / "src" / "mooring").values()
        for name in _LIMIT.findall(module.text)
    }


def test_every_table_row_is_read() -> None:
    body = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(body) == len(_ROW.findall(PAGE))


def test_every_limit_on_the_page_has_its_value() -> None:
    found = rows()
    assert len(found) > 40
    assert len({name for name, _ in found}) == len(found), "a limit stands there twice"
    assert {name: value(name) for name, _ in found} == dict(found)


def test_every_constant_that_is_a_limit_is_on_the_page() -> None:
    """A new one belongs there, or with a reason into ``INTERNAL``."""
    assert limits_in_the_source() - INTERNAL - {name for name, _ in rows()} == set()


def test_every_internal_limit_still_exists() -> None:
    assert INTERNAL - limits_in_the_source() == set()


def test_every_setting_that_bounds_something_is_on_the_page() -> None:
    bounds = {
        name
        for name in Settings.model_fields
        if re.search(r"(^|_)max(_|$)|_limit$|_per_minute$|_days$", name)
    }
    told = {name for name, _ in rows()}
    assert bounds - told == {"rotate_after_days"}  # a rhythm, not a bound
