"""Imports that wait for their first use."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``shelf`` with a module ``book`` that nobody has imported."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "book.py").write_text("class Torn(Exception): ...\ntitle = 'Emma'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for name in ("shelf", "shelf.book"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def module(text: str) -> ModuleType:
    """What a file with this text becomes."""
    made = ModuleType("reader")
    exec("from mooring.later import later\n" + text, made.__dict__)  # noqa: S102 - our own text
    return made


@pytest.mark.usefixtures("package")
def test_a_module_is_imported_when_it_is_used() -> None:
    reader = module("with later():\n    from shelf import book\n")
    assert "shelf" not in sys.modules
    assert reader.book.title == "Emma"
    assert "shelf.book" in sys.modules


@pytest.mark.usefixtures("package")
def test_it_is_the_module_that_everybody_else_has() -> None:
    reader = module("with later():\n    from shelf import book as novel\n")
    book = importlib.import_module("shelf.book")
    assert reader.novel.Torn is book.Torn
    book.title = "Persuasion"  # type: ignore[attr-defined]
    assert reader.novel.title == "Persuasion"
    reader.novel.title = "Sanditon"
    assert book.title == "Sanditon"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("package")
def test_a_plain_import_and_an_exception_class() -> None:
    reader = module(
        "with later():\n    import shelf\n    from shelf import book\n"
        "def read():\n    try:\n        raise book.Torn\n    except book.Torn:\n        return 1\n"
    )
    assert reader.read() == 1
    assert reader.shelf.__name__ == "shelf"


@pytest.mark.usefixtures("package")
def test_only_the_body_waits() -> None:
    """What the body runs imports as ever, and so does the file after it."""
    reader = module(
        "import importlib\n"
        "with later():\n    import shelf\n    before = importlib.import_module('shelf.book')\n"
        "from shelf.book import title\n"
    )
    assert reader.title == "Emma"
    assert reader.before is sys.modules["shelf.book"]


def test_a_module_that_does_not_exist_is_missed_at_its_first_use() -> None:
    reader = module("with later():\n    from shelf_of_nobody import book\n")
    with pytest.raises(ModuleNotFoundError, match="shelf_of_nobody"):
        _ = reader.book.title


@pytest.mark.parametrize("line", ["import os.path", "from . import near"])
def test_forms_that_cannot_wait_are_refused(line: str) -> None:
    with pytest.raises(ImportError, match="from package import module"):
        module(f"with later():\n    {line}\n")
    import json.decoder  # the ordinary import is back

    assert json.decoder
