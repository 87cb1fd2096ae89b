"""docs/reference/settings.md lists every setting with its variables and default, and no other."""

from __future__ import annotations

import re
import tomllib

import pytest

from mooring.settings import Settings, variable_names
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[list[str], str, str]]:
    """Setting → its variables, its default as written, its meaning."""
    return {
        name: (re.findall(r"`(\w+)`", variables), default, meaning)
        for name, variables, default, meaning in _ROW.findall(PAGE)
    }


def shown(name: str) -> str:
    """The default of a setting as the page writes it."""
    default = Settings.model_fields[name].default
    if default is None or default == ():
        return "none"
    if isinstance(default, int):
        return f"{default:,}" if default >= 10_000 else str(default)
    return f"{default:g}" if isinstance(default, float) else f"`{default}`"


def test_every_setting_is_on_the_page_and_exists() -> None:
    names = [found[0] for found in _ROW.findall(PAGE)]
    assert names == list(dict.fromkeys(names)), "a setting stands there twice"
    assert set(names) == set(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_variables_and_default_are_right(name: str) -> None:
    variables, default, meaning = rows()[name]
    assert tuple(variables) == variable_names(name, Settings.model_fields[name])
    assert default == shown(name)
    assert meaning.startswith(Settings.model_fields[name].description or "no description")


def test_the_example_file_can_be_read() -> None:
    example = re.search(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert example is not None
    values = tomllib.loads(example[1])
    assert values
    Settings(**values)
