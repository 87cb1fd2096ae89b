"""What pages tell people to write and to type exists: commands, options, a dialect, a unit."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mooring.cli.main import app
from mooring.dialects import check
from mooring.dialects.payload import Decoded, PayloadLimits, compile_decoder
from mooring.settings import Settings, variable_names
from tests.support.source import ROOT, tracked_files

NOW_MS = 1_767_225_600_000
HOW_TO = ROOT / "docs" / "how-to"
PAGES = [path for path in tracked_files() if path.suffix == ".md"]
_FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(mooring [^`\n]+)`")
_CALL = re.compile(r"^(?:\$ |sudo (?:-u \w+ )?|\(umask 077; )?(?:\S*/)?(mooring [a-z-].*)")


def calls(text: str) -> Iterator[str]:
    """Every call of the program on a page: lines of code blocks, and code in sentences."""
    for block in _FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = _CALL.match(line.strip())
            if found:
                yield found[1].strip()
    yield from _INLINE.findall(_FENCED.sub("", text))


def _words(call: str) -> list[str]:
    """The words of one command of a line, without what it is piped or redirected to."""
    lexer = shlex.shlex(call, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if re.fullmatch(r"[();<>|&]+", word):
            break
        words.append(word)
    return words


def fault(call: str) -> str | None:
    """What is wrong with a call, or ``None``. ``…`` and words in capitals stand for something."""
    node: Any = get_command(app)
    words = _words(re.sub(r"[\[\]…]|\.\.\.", " ", call))[1:]
    while words:
        below = getattr(node, "commands", None)
        if below is None:
            break
        known = {flag for p in node.params for flag in (*p.opts, *p.secondary_opts)}
        if words[0].startswith("-"):
            if words[0] not in known:
                return f"no option {words[0]}"
            words = words[2:] if words[0] == "--data-dir" else words[1:]
        elif re.search(r"[a-z|]+\|", words[0]) or words[0] in below:
            for one in words[0].split("|"):
                if one not in below:
                    return f"no command {one}"
            node, words = below[words[0].split("|")[0]], words[1:]
        else:
            return f"no command {words[0]}"
    known = {flag for p in node.params for flag in (*p.opts, *p.secondary_opts)}
    flags = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return next((f"no option {flag}" for flag in flags if flag not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [f"{call}: {why}" for call in calls(text) if (why := fault(call))] == []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("mooring device add NAME --dialect mooring", None),
        ("mooring --data-dir /x device list --json", None),
        ("mooring device list|show", None),
        ("mooring device explode", "no command explode"),
        ("mooring device add x --dialekt y", "no option --dialekt"),
        ("mooring --nothing", "no option --nothing"),
        ("mooring up  # mooring --nothing", None),
        ("mooring key list > --nothing", None),
        ("mooring claim new --tenant 'a b' | sort --reverse", None),
    ],
)
def test_what_a_fault_is(call: str, expected: str | None) -> None:
    assert fault(call) == expected


def test_calls_are_found_in_code_only() -> None:
    page = "mooring nothing\n`mooring status` and\n```sh\n$ mooring up  # mooring x\n```\n"
    assert list(calls(page)) == ["mooring up  # mooring x", "mooring status"]


def test_the_dialect_of_the_how_to_has_no_mistake() -> None:
    page = (HOW_TO / "add-a-fleet-of-your-own.md").read_text(encoding="utf-8")
    found = re.search(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    dialect, mistakes = check(found[1], "boats.toml")
    assert mistakes == []
    assert dialect is not None
    for channel in dialect.ups():
        decode = compile_decoder(channel.payload, PayloadLimits())
        decoded = decode(channel.payload.example.encode(), NOW_MS)
        assert isinstance(decoded, Decoded), decoded


def test_the_unit_of_the_how_to_starts_a_command_and_sets_what_exists() -> None:
    page = (HOW_TO / "run-as-a-service.md").read_text(encoding="utf-8")
    found = re.search(r"^```ini\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = [line for line in found[1].splitlines() if not line.startswith("Environment=")]
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # as written
    unit.read_string("\n".join(lines))
    start = unit["Service"]["ExecStart"]
    assert start.startswith("/opt/mooring/.venv/bin/mooring ")
    assert fault(start.rpartition("/")[2]) is None
    known = {
        v for name, field in Settings.model_fields.items() for v in variable_names(name, field)
    }
    set_here = re.findall(r"^Environment=(\w+)=", found[1], re.MULTILINE)
    assert set_here
    assert set(set_here) <= known
