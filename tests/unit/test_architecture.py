"""The shape of the source: which part may know which, how long a file is, what it may not do."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.support.source import ROOT, Module, modules, parse

SOURCE = ROOT / "src" / "mooring"
DEVICE_SOURCE = ROOT / "device" / "src" / "mooring_device"

LONGEST_FILE = 600
LONGEST_MEDIAN = 200

# Who may import whom: a module imports from its own layer and those above it in this list.
# The first pattern that fits decides, the most particular first.
LAYERS = (
    "foundations",  # knows nothing of Mooring's purpose
    "connections",  # database, broker link, the protocols the rest is written against
    "rules",  # values, decisions and single-purpose I/O of a domain
    "stores",  # SQL of a domain
    "services",  # what one can do
    "routes",  # of a domain
    "parts",  # what a domain brings
    "composition",  # builds the services of a process
    "faces",  # the processes, and how people and programs reach them
)
# Domains whose action can be done for many devices.
JOBS_OF = ("commands", "credentials.rotation", "device_settings", "ota.rollouts")

PLACES = (
    ("mooring", "foundations"),
    ("mooring.clock", "foundations"),
    ("mooring.errors", "foundations"),
    ("mooring.settings", "foundations"),
    ("mooring.hosts", "foundations"),
    ("mooring.files", "foundations"),
    ("mooring.settings.*", "foundations"),
    ("mooring.later", "foundations"),
    ("mooring.running", "foundations"),
    ("mooring.logs", "foundations"),
    ("mooring.handover", "foundations"),
    ("mooring.leaving", "foundations"),
    ("mooring.record", "foundations"),
    ("mooring.masking", "foundations"),
    ("mooring.supervisor", "foundations"),
    ("mooring.supervisor.*", "foundations"),
    ("mooring.identity.scopes", "foundations"),
    ("mooring.dialects", "foundations"),
    ("mooring.dialects.*", "foundations"),
    ("mooring.store", "connections"),
    ("mooring.store.*", "connections"),
    ("mooring.link", "connections"),
    ("mooring.link.*", "connections"),
    ("mooring.*.protocol", "connections"),
    ("mooring.identity.account", "connections"),
    ("mooring.app", "composition"),
    ("mooring.__main__", "faces"),
    ("mooring.cli", "faces"),
    ("mooring.cli.*", "faces"),
    ("mooring.web", "rules"),
    ("mooring.web.*", "rules"),
    ("mooring.serve", "faces"),
    ("mooring.serve.*", "faces"),
    ("mooring.durations", "foundations"),
    ("mooring.dashboard", "faces"),
    ("mooring.dashboard.*", "faces"),
    ("mooring.wiring", "faces"),
    ("mooring.wiring.*", "faces"),
    ("mooring.backup", "faces"),
    ("mooring.backup.*", "faces"),
    ("mooring.run", "faces"),
    ("mooring.run.*", "faces"),
    ("mooring.simulate", "faces"),
    ("mooring.simulate.*", "faces"),
    ("mooring.*.api", "routes"),
    ("mooring.*.api_levels", "routes"),
    ("mooring.device_settings.apply", "services"),
    ("mooring.device_settings.levels", "services"),
    ("mooring.device_settings.kinds", "stores"),
    ("mooring.device_settings.level_store", "stores"),
    ("mooring.*.part", "parts"),
    ("mooring.parts", "parts"),
    ("mooring.part", "foundations"),
    *(
        (f"mooring.*.{name}", "services")
        for name in ("accounts", "ending", "login", "logins", "migrate", "proof")
    ),
    ("mooring.devices.accounts", "services"),
    *((f"mooring.*.{name}", "services") for name in ("reading", "reconcile", "rehearsal")),
    *((f"mooring.*.{name}", "services") for name in ("export", "series", "sweep", "takeover")),
    *((f"mooring.retention.{name}", "services") for name in ("quota", "tidy")),
    *((f"mooring.limits.{name}", "services") for name in ("allowances", "tenants")),
    ("mooring.limits.storage_store", "stores"),
    *((f"mooring.commands.{name}", "services") for name in ("moving", "projection", "writing")),
    *((f"mooring.commands.{name}", "stores") for name in ("about", "handed_over_store")),
    ("mooring.discovery.admission", "services"),
    ("mooring.discovery.answers", "services"),
    *((f"mooring.{name}.jobs", "services") for name in JOBS_OF),
    *((f"mooring.jobs.{name}", "stores") for name in ("kinds", "model", "outcomes", "selection")),
    ("mooring.jobs.documents", "services"),
    ("mooring.jobs.starting", "services"),
    ("mooring.*.of_jobs", "stores"),
    ("mooring.device_settings.projection", "services"),
    ("mooring.doctor.documents", "services"),
    ("mooring.limits.documents", "services"),
    ("mooring.sequences.documents", "stores"),
    *((f"mooring.alerts.{name}", "stores") for name in ("changes", "removal", "rules.selecting")),
    ("mooring.alerts.platform.checks", "stores"),
    *(
        (f"mooring.alerts.{name}", "services")
        for name in ("projection", "rules.trial", "rules.trying")
    ),
    *((f"mooring.notify.{name}", "services") for name in ("documents", "planner")),
    *((f"mooring.notify.{name}", "stores") for name in ("group_store", "outbox")),
    ("mooring.*.worker", "services"),
    ("mooring.*.service", "services"),
    ("mooring.*.store", "stores"),
    ("mooring.devices.following", "stores"),
    ("mooring.people.views", "services"),
    ("mooring.presence.firmware_store", "stores"),
    ("mooring.presence.projection", "services"),
    ("mooring.people.view_api", "routes"),
    ("mooring.people.view_store", "stores"),
    ("mooring.*.password_store", "stores"),
    ("mooring.*.search_store", "stores"),
    ("mooring.*.query_store", "stores"),
    ("mooring.*.group_store", "stores"),
    ("mooring.*.order_store", "stores"),
    ("mooring.*.problem_store", "stores"),
    ("mooring.jobs.target_store", "stores"),
    ("mooring.groups.selector", "stores"),
    ("mooring.ota.releases.key_store", "stores"),
    ("mooring.ota.releases.finding", "stores"),
    ("mooring.ota.releases.key_api", "routes"),
    ("mooring.ota.updates.about", "stores"),
    *(
        (f"mooring.ota.updates.{name}", "services")
        for name in ("documents", "eligible", "handing", "moving", "projection", "starting")
    ),
    *((f"mooring.ota.releases.{name}", "services") for name in ("keys", "tidying", "documents")),
    *((f"mooring.ota.links.{name}", "services") for name in ("downloads", "sending")),
    *(
        (f"mooring.ota.rollouts.{name}", "stores")
        for name in ("asked", "condition_store", "model", "words")
    ),
    ("mooring.ota.rollouts.documents", "services"),
    ("mooring.ota.latest.rules", "stores"),
    ("mooring.ota.latest.documents", "services"),
    *((f"mooring.ota.ddi.{name}", "services") for name in ("logins", "polls")),
    ("mooring.presence.reported", "services"),
    ("mooring.downlink.attempts", "services"),
    ("mooring.downlink.connecting", "stores"),
    ("mooring.publish.broadcast", "services"),
    ("mooring.publish.fleet", "services"),
    *(
        (f"mooring.stream.{name}", "services")
        for name in ("conversation", "hub", "snapshot", "streams")
    ),
    *(
        (f"mooring.{domain}{rest}", "rules")
        for domain in (
            "audit",
            "alerts",
            "broker",
            "bulk",
            "commands",
            "device_settings",
            "devices",
            "discovery",
            "doctor",
            "fleet",
            "downlink",
            "groups",
            "ingest",
            "limits",
            "oidc",
            "ota",
            "people",
            "pki",
            "presence",
            "publish",
            "export",
            "retention",
            "credentials",
            "identity",
            "jobs",
            "notify",
            "secrets",
            "changes",
            "uplink",
            "rollups",
            "sequences",
            "stream",
            "system_topics",
            "telemetry",
            "traffic",
        )
        for rest in ("", ".*")
    ),
)


# The same for folders, from the ground up: a folder imports from its own storey and those before
# it in this list. A folder that no storey names is a domain.
STOREYS: dict[str, frozenset[str]] = {
    "ground": frozenset(
        {
            "audit",  # who changed what
            "changes",  # what the broker has still to apply
            "clock",
            "dialects",
            "errors",
            "files",
            "handover",
            "hosts",
            "identity",  # who may do what: people's roles, accounts of the broker and their rights
            "later",
            "record",
            "link",
            "logs",
            "masking",
            "part",
            "running",
            "secrets",
            "settings",
            "store",
            "supervisor",
        }
    ),
    "web, broker": frozenset({"broker", "web"}),
    "domains": frozenset(),
    "app": frozenset({"app", "parts"}),
    "above": frozenset(
        {"__main__", "backup", "cli", "dashboard", "run", "serve", "simulate", "wiring", "worker"}
    ),
}


def folder_of(name: str) -> str:
    """``mooring.devices.store`` → ``devices``; empty for the package itself."""
    return name.partition(".")[2].partition(".")[0]


def storey_of(folder: str) -> str:
    """The storey of a folder, or of a file that lies directly in the package."""
    named = (storey for storey, folders in STOREYS.items() if folder in folders)
    return next(named, "domains") if folder else "ground"


def folders(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Folder → the folders that its modules import."""
    found: dict[str, set[str]] = {}
    for name, targets in edges.items():
        mine = found.setdefault(folder_of(name), set())
        mine |= {folder_of(target) for target in targets} - {folder_of(name)}
    # The package itself says its version and is imported by everything.
    return {folder: targets - {""} for folder, targets in found.items()}


def climbing(edges: Mapping[str, set[str]]) -> list[str]:
    """Imports of a folder above one's own, in words."""
    storeys = list(STOREYS)
    return [
        f"{name} ({storey_of(folder_of(name))}) imports {target} ({storey_of(folder_of(target))})"
        for name, targets in sorted(edges.items())
        for target in sorted(targets)
        if storeys.index(storey_of(folder_of(target))) > storeys.index(storey_of(folder_of(name)))
    ]


def layer_of(name: str) -> str:
    """The layer of a module.

    Raises:
        LookupError: no pattern fits: a package this list has not heard of.
    """
    for pattern, layer in PLACES:
        if fnmatchcase(name, pattern):
            return layer
    raise LookupError(f"{name} has no layer: add its package to PLACES in {Path(__file__).name}.")


def graph(found: Mapping[str, Module]) -> dict[str, set[str]]:
    """Module → the modules of ``found`` it imports."""
    return {name: (module.imports() & set(found)) - {name} for name, module in found.items()}


def cycles(edges: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Each import cycle once, as the walk that closes it.

    A package that imports its own modules (to offer them under a shorter name) is no cycle
    while those modules do not import the package.
    """
    done: set[str] = set()
    for start in sorted(edges):
        path: list[str] = []
        waiting: list[tuple[str, Iterator[str]]] = []

        def enter(name: str, path: list[str] = path, waiting: list = waiting) -> None:  # type: ignore[type-arg]
            path.append(name)
            waiting.append((name, iter(sorted(edges[name]))))

        if start not in done:
            enter(start)
        while waiting:
            name, rest = waiting[-1]
            target = next(rest, None)
            if target is None:
                done.add(name)
                path.pop()
                waiting.pop()
            elif target in path:
                yield [*path[path.index(target) :], target]
            elif target not in done:
                enter(target)


def upward(edges: Mapping[str, set[str]]) -> list[str]:
    """Imports against the direction, in words."""
    return [
        f"{name} ({layer_of(name)}) imports {target} ({layer_of(target)})"
        for name, targets in sorted(edges.items())
        for target in sorted(targets)
        if LAYERS.index(layer_of(target)) > LAYERS.index(layer_of(name))
    ]


def silent_handlers(module: Module) -> list[str]:
    """``except …: pass`` that does not say why, and ``except:`` without a class."""
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        last = node.body[-1].end_lineno or node.lineno
        said = comments & set(range(node.lineno, last + 1))
        empty = all(
            isinstance(line, ast.Pass | ast.Continue)
            or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            for line in node.body
        )
        if node.type is None or (empty and not said):
            found.append(f"{module.name}:{node.lineno}")
    return found


def prints(module: Module) -> list[str]:
    """Calls of the built-in ``print``."""
    return [
        f"{module.name}:{node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


# ------------------------------------------------------------------------- Mooring's source


def test_every_module_has_a_layer() -> None:
    for name in modules(SOURCE):
        assert layer_of(name) in LAYERS


def test_imports_point_one_way() -> None:
    assert upward(graph(modules(SOURCE))) == []


def test_there_are_no_import_cycles() -> None:
    assert [" → ".join(cycle) for cycle in cycles(graph(modules(SOURCE)))] == []


def test_folders_have_no_cycles() -> None:
    circles = cycles(folders(graph(modules(SOURCE))))
    assert [" → ".join(circle) for circle in circles] == []


def test_folders_import_downwards() -> None:
    assert climbing(graph(modules(SOURCE))) == []


def test_each_storey_names_what_exists() -> None:
    known = {folder_of(name) for name in modules(SOURCE)} | {"dashboard", "worker"}
    assert {folder for named in STOREYS.values() for folder in named} <= known


def test_files_stay_short() -> None:
    lengths = {
        module.name: module.lines
        for module in modules(SOURCE).values()
        # Generated from the schema, and read by nobody who does not look for one table.
        if not module.name.startswith("mooring.store.migrations.versions.")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}
    written = [lines for lines in lengths.values() if lines]  # empty __init__.py files say nothing
    assert statistics.median(written) <= LONGEST_MEDIAN


def test_only_the_command_line_prints() -> None:
    found = [
        place
        for name, module in modules(SOURCE).items()
        if not name.startswith("mooring.cli")
        for place in prints(module)
    ]
    assert found == []


def test_no_error_is_swallowed_in_silence() -> None:
    assert [place for m in modules(SOURCE).values() for place in silent_handlers(m)] == []


def test_device_sdk_and_platform_do_not_know_each_other() -> None:
    platform = {word for m in modules(SOURCE).values() for word in m.imports()}
    assert {word for word in platform if word.split(".")[0] == "mooring_device"} == set()
    sdk = modules(DEVICE_SOURCE)
    assert "mooring_device" in sdk
    known = {word for module in sdk.values() for word in module.imports()}
    assert {word for word in known if word.split(".")[0] == "mooring"} == set()


# ------------------------------------------------------------------------- the rules above


def module(text: str, name: str = "mooring.devices.store") -> Module:
    return parse(name, Path(f"{name.rpartition('.')[2]}.py"), text)


def test_an_unknown_package_has_no_layer() -> None:
    with pytest.raises(LookupError, match=r"mooring\.utils has no layer"):
        layer_of("mooring.utils")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mooring.dialects.match", "foundations"),
        ("mooring.broker.protocol", "connections"),
        ("mooring.devices.model", "rules"),
        ("mooring.devices.store", "stores"),
        ("mooring.devices.service", "services"),
        ("mooring.devices.api", "routes"),
        ("mooring.devices.part", "parts"),
    ],
)
def test_layers(name: str, layer: str) -> None:
    assert layer_of(name) == layer


def test_an_import_against_the_direction_is_found() -> None:
    edges: dict[str, set[str]] = {
        "mooring.devices.model": {"mooring.devices.store"},
        "mooring.devices.store": {"mooring.store.engine"},
        "mooring.store.engine": set(),
    }
    assert upward(edges) == ["mooring.devices.model (rules) imports mooring.devices.store (stores)"]


def test_a_cycle_is_found() -> None:
    assert list(cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()})) == [["b", "c", "b"]]
    assert list(cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()})) == []


def test_a_cycle_of_folders_is_found() -> None:
    edges: dict[str, set[str]] = {
        "mooring.a.one": {"mooring.b.one"},
        "mooring.b.one": set(),
        "mooring.b.two": {"mooring.a.two", "mooring.errors"},
        "mooring.a.two": {"mooring"},
        "mooring": set(),
        "mooring.errors": set(),
    }
    assert list(cycles(edges)) == []
    assert list(cycles(folders(edges))) == [["a", "b", "a"]]


def test_a_folder_that_imports_from_above_is_found() -> None:
    edges = {
        "mooring.devices.service": {"mooring.web.auth", "mooring.people.service"},
        "mooring.web.auth": {"mooring.devices.store"},
    }
    assert climbing(edges) == [
        "mooring.web.auth (web, broker) imports mooring.devices.store (domains)"
    ]


def test_every_form_of_import_is_seen() -> None:
    text = (
        "import mooring.errors\nfrom mooring.store import engine\nfrom . import model\n"
        "from ..identity.policy import rights_of\ndef late():\n    from mooring import app\n"
    )
    assert module(text).imports() >= {
        "mooring.errors",
        "mooring.store.engine",
        "mooring.devices.model",
        "mooring.identity.policy",
        "mooring.app",
    }


@pytest.mark.parametrize(
    ("handler", "silent"),
    [
        ("except OSError:\n    pass", True),
        ("except OSError:\n    continue", True),
        ("except:\n    raise", True),
        ("except OSError:\n    ...", True),
        ("except OSError:  # it is gone already\n    pass", False),
        ("except OSError:\n    # it is gone already\n    pass", False),
        ("except OSError:\n    count += 1", False),
    ],
)
def test_a_silent_handler_is_found(handler: str, silent: bool) -> None:
    indented = f"try:\n    work()\n{handler}\n".replace("\n", "\n    ")
    text = f"for item in items:\n    {indented}\n"
    assert bool(silent_handlers(module(text))) is silent


def test_a_print_is_found() -> None:
    assert prints(module("print(1)\nlog.print(2)\n")) == ["mooring.devices.store:1"]
