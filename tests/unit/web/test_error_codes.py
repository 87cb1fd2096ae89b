"""docs/reference/errors.md lists every code there is, with its status, and no other."""

from __future__ import annotations

import ast
import re

import pytest

from mooring import errors
from mooring.errors import MooringError
from mooring.web import errors as http_errors
from tests.support.source import ROOT, modules

PAGE = ROOT / "docs" / "reference" / "errors.md"
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, MooringError)
}


def used() -> dict[str, set[int]]:
    """Code → the HTTP statuses it is raised with; none where a face alone uses it."""
    found: dict[str, set[int]] = {}
    for one in CLASSES.values():
        found.setdefault(one.code, set()).add(one.status)
    for status, (code, *_) in http_errors.REFUSALS.items():
        found.setdefault(code, set()).add(status)
    for module in modules(ROOT / "src" / "mooring").values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                for code in codes_of(node):
                    raised = CLASSES.get(called(node))
                    found.setdefault(code, set()).update({raised.status} if raised else ())
    return found


def codes_of(call: ast.Call) -> list[str]:
    return [
        word.value.value
        for word in call.keywords
        if word.arg == "code"
        and isinstance(word.value, ast.Constant)
        and isinstance(word.value.value, str)
    ]


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def listed() -> dict[str, tuple[str, str]]:
    """Code → its HTTP status and exit code, as the page says."""
    rows = re.findall(r"^\| `(\w+)` \| (\d*) ?\| (\d*) ?\|", PAGE.read_text(encoding="utf-8"), re.M)
    assert len(rows) == len({code for code, *_ in rows}), "a code is listed twice"
    return {code: (status, exit_code) for code, status, exit_code in rows}


def test_every_code_is_on_the_page() -> None:
    assert sorted(set(used()) - set(listed())) == []


def test_no_code_on_the_page_is_unused() -> None:
    assert sorted(set(listed()) - set(used())) == []


def test_the_page_gives_the_right_status() -> None:
    said = listed()
    wrong = {
        code: (said[code][0], statuses)
        for code, statuses in used().items()
        if code in said and said[code][0] and {int(said[code][0])} != statuses
    }
    assert wrong == {}


@pytest.mark.parametrize("one", CLASSES.values(), ids=CLASSES)
def test_the_page_gives_the_right_exit_code(one: type[MooringError]) -> None:
    assert listed()[one.code] == (str(one.status), str(one.exit_code))
