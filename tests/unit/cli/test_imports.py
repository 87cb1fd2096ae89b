"""What a command may import: start-up time is paid by everybody who scripts this."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from mooring.cli.nouns import NOUNS, Commands
from tests.support.source import ROOT, modules
from tests.unit.cli.conftest import Mooring

PROGRAM = """
import contextlib, io, sys
from mooring.cli.main import app
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    app(sys.argv[1:])
print(*sorted(sys.modules))
"""

Loaded = Callable[..., set[str]]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """The modules that a process has imported when the command is done."""

    def run(*words: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    return run


def of_cli(loaded: set[str]) -> set[str]:
    """The modules of verbs among them."""
    verbs = {module for noun in NOUNS for module in noun.modules}
    return loaded & verbs


def working(loaded: set[str]) -> set[str]:
    """The modules of Mooring among them but for each domain's part, which only names things."""
    packages = {name.rpartition(".")[0] for name in modules(ROOT / "src" / "mooring")}
    ours = {name for name in loaded if name.startswith("mooring.")}
    return {name for name in ours if name not in packages and not name.endswith(".part")}


def test_the_version_imports_no_noun(loaded: Loaded) -> None:
    found = loaded("--version")
    assert of_cli(found) == set()
    assert working(found) <= {
        "mooring.cli.complaint",
        "mooring.cli.frame",
        "mooring.cli.main",
        "mooring.cli.nouns",
        "mooring.cli.output",
        "mooring.cli.quick",
        "mooring.handover",
        "mooring.errors",
        "mooring.identity",
        "mooring.identity.scopes",
        "mooring.later",
        "mooring.leaving",
        "mooring.parts",
        "mooring.supervisor.registry",
    }


def test_a_list_of_devices_imports_no_other_domain(mooring: Mooring, loaded: Loaded) -> None:
    mooring("device", "add", "pump-1", "--dialect", "mooring", "--json")
    found = loaded("device", "list", "--json")
    assert "mooring.devices.store" in found
    assert of_cli(found) == of_cli(loaded("device", "--help"))
    heavy = {
        "alembic",
        "argon2",
        "cryptography",
        "fastapi",
        "jsonschema",
        "jwt",
        "mqtt5",
        "psycopg",
        "pydantic",
        "rich",
        "starlette",
        "uvicorn",
        "uvloop",
    }
    assert found & heavy == set()
    domains = ("bulk", "claims", "doctor", "ingest", "people", "pki", "retention", "rollups")
    others = {f"mooring.{domain}" for domain in (*domains, "run", "telemetry", "uplink")}
    assert {name for name in working(found) if ".".join(name.split(".")[:2]) in others} == set()


@pytest.mark.parametrize("noun", ["group", "discovery", "rule", "alert"])
def test_a_command_of_a_domain_imports_no_http(mooring: Mooring, loaded: Loaded, noun: str) -> None:
    mooring("device", "add", "pump-1", "--dialect", "mooring", "--json")
    found = loaded(noun, "list", "--json")
    assert "mooring.devices.service" in found
    assert found & {"fastapi", "starlette", "pydantic", "uvicorn", "mqtt5", "alembic"} == set()


def test_each_word_is_found_where_it_is_said_to_be() -> None:
    commands = Commands(NOUNS)
    assert list(commands) == [noun.name for noun in NOUNS]
    assert len(commands) == len(NOUNS)
    for name in commands:
        assert commands[name].name == name
        assert commands[name] is commands[name]
    assert "no-such-word" not in commands
    with pytest.raises(KeyError):
        commands["no-such-word"]


def test_nothing_is_imported_inside_a_function_of_the_command_line() -> None:
    """``with later()`` is the one way: the imports of a file stand at its top."""
    inside = [
        f"{name}: {line.strip()}"
        for name, module in modules(ROOT / "src" / "mooring").items()
        if name.startswith("mooring.cli.") or name == "mooring.app"
        for line in module.text.splitlines()
        if "PLC0415" in line
    ]
    assert inside == []
