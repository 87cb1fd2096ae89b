"""The browser's code: modules that find each other, one element a file, nothing that the policy
forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.source import ROOT

STATIC = ROOT / "src" / "mooring" / "dashboard" / "static"
SCRIPTS = sorted((STATIC / "js").glob("*.js"))

#: What would run text as code or put it into the page as markup, or needs another host.
FORBIDDEN = (
    r"\binnerHTML\b",
    r"\bouterHTML\s*=",
    r"\binsertAdjacentHTML\b",
    r"\beval\b",
    r"\bnew Function\b",
    r"\bdocument\.write\b",
    r"""setAttribute\(\s*["'](?:style|on\w+)["']""",
    r"https?://",
)


def test_there_are_scripts() -> None:
    assert STATIC / "js" / "main.js" in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_imports_are_files_next_to_it(script: Path) -> None:
    for name in re.findall(r"""(?:^import|from)\s+["']([^"']+)["']""", script.read_text(), re.M):
        assert name.startswith("./") and (script.parent / name).is_file(), name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_nothing_that_the_policy_forbids(script: Path) -> None:
    code = re.sub(r"^\s*(//|\*|/\*).*$", "", script.read_text(), flags=re.M)
    assert [one for one in FORBIDDEN if re.search(one, code)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_element_is_defined_in_the_file_of_its_name(script: Path) -> None:
    defined = re.findall(r'customElements\.define\("([^"]+)"', script.read_text())
    assert defined in ([], [script.stem])
    if defined:
        assert f'import "./{script.name}";' in (STATIC / "js" / "main.js").read_text()


def test_vendored_files_are_found() -> None:
    named = re.findall(r'"\.\./(vendor/[^"]+)"', (STATIC / "js" / "uplot.js").read_text())
    assert named and all((STATIC / one).is_file() for one in named)
