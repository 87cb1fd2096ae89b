"""docs/reference/cli.md lists every command and option there is, and none that is not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from mooring.cli.frame import GLOBAL_OPTIONS
from mooring.cli.main import app
from tests.support.source import ROOT
from tests.unit.cli.conftest import Mooring

PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
_COMMAND = re.compile(r"^### `(mooring [^`]*)`$", re.MULTILINE)
_OPTION_ROW = re.compile(r"^\| (`-.*?) \|", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def commands(command: Any, path: str = "mooring") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        if not command.hidden:  # former names
            yield path, command
    else:
        for name, one in below.items():
            yield from commands(one, f"{path} {name}")


def flags(command: Any) -> set[str]:
    """The options of a command but those that all have."""
    everywhere = {f"--{name.replace('_', '-')}" for name in GLOBAL_OPTIONS}
    found = {
        flag
        for parameter in command.params
        if parameter.param_type_name == "option"
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    assert everywhere <= found
    return found - everywhere


COMMANDS = dict(commands(get_command(app)))


def sections() -> dict[str, str]:
    """Command → what the page says of it."""
    parts = _COMMAND.split(re.sub(r"^## .*$", "", PAGE, flags=re.MULTILINE))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def listed(text: str) -> set[str]:
    return {flag for row in _OPTION_ROW.findall(text) for flag in _FLAG.findall(row)}


def test_every_command_is_documented_and_exists() -> None:
    assert list(sections()) == list(dict.fromkeys(sections()))
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_exists(name: str) -> None:
    assert listed(sections()[name]) == flags(COMMANDS[name])


def test_the_options_that_go_anywhere_are_documented() -> None:
    everywhere = PAGE.split("## Running the platform")[0]
    root = {
        flag
        for parameter in get_command(app).params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    assert listed(everywhere) == root | {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert re.search(r"[.;]", command.help)
    for parameter in command.params:
        assert parameter.help, parameter.name


def test_help_names_the_nouns(mooring: Mooring) -> None:
    text = mooring("--help").out
    for name in COMMANDS:
        assert name.split()[1] in text
    assert mooring("device", "--help").out.startswith("Usage: mooring device")


def test_a_noun_alone_prints_its_help(mooring: Mooring) -> None:
    said = mooring("device", code=2)
    assert said.out == ""
    assert "unknown" in said.err
    assert "simulate" in mooring(code=2).err


def test_the_version(mooring: Mooring) -> None:
    from mooring import __version__

    assert mooring("--version").out == f"mooring {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """Start-up time: what every call pays for."""
    program = (
        "import sys, contextlib, io\n"
        "from mooring.cli.main import app\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    app(['device', 'add', '--help'])\n"
        "print(*sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "mooring.cli.device" in loaded
    heavy = {"sqlalchemy", "alembic", "rich", "cryptography", "fastapi", "asyncio", "mooring.app"}
    assert loaded & heavy == set()


def test_reading_telemetry_imports_no_more_than_it_needs(mooring: Mooring) -> None:
    program = (
        "import sys, contextlib\n"
        "from mooring.cli.main import app\n"
        "with contextlib.suppress(SystemExit):\n"
        "    app(['telemetry', 'latest', '--all'])\n"
        "print(*sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "sqlalchemy" in loaded
    heavy = {"alembic", "rich", "fastapi", "uvicorn", "uvloop", "psycopg", "mooring.pki.ensure"}
    assert loaded & heavy == set()
