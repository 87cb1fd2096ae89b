"""Compiling the plugin: where it goes, what its name says, and what is said without a compiler."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mooring.broker.plugin import build as building
from mooring.broker.plugin.build import build, find_library, library_name
from mooring.errors import Internal, Unavailable
from tests.support.source import ROOT


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own folder stays as it is."""
    monkeypatch.setattr(building, "LIBRARY_FOLDER", tmp_path / "package")
    monkeypatch.delenv("CC", raising=False)


def fake_compiler(folder: Path, script: str) -> str:
    path = folder / "fake cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}'"


COPIES = 'while [ "$1" != -o ]; do shift; done; echo built > "$2"'


def test_it_is_built_once_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, f"{COPIES}; echo x >> '{tmp_path}/runs'"))
    target = tmp_path / "new" / "folder"
    assert find_library(target) is None
    path = build(target)
    assert path == target / library_name() == build(target) == find_library(target)
    assert (tmp_path / "runs").read_text() == "x\n"
    assert list(target.iterdir()) == [path]
    package = tmp_path / "package"
    build(package)
    assert find_library(target) == package / path.name  # what was installed comes first


def test_its_name_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = library_name()
    sources = tmp_path / "native"
    sources.mkdir()
    for path in building.NATIVE.rglob("*.[ch]"):
        (sources / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(building, "NATIVE", sources)
    with (sources / "plugin.c").open("a") as file:
        file.write("/* another */\n")
    assert library_name() != before


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O3")
    with pytest.raises(Unavailable, match="'no-such-compiler' was not found") as found:
        build(tmp_path / "lib")
    assert (found.value.slug, "gcc" in found.value.hint) == ("no_compiler", True)


@pytest.mark.parametrize(("script", "why"), [("echo 'a.h missing' >&2; exit 1", "a.h missing")])
def test_a_compiler_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, script))
    with pytest.raises(Unavailable, match=why) as found:
        build(tmp_path / "lib")
    assert found.value.slug == "compiler_failed"
    assert list((tmp_path / "lib").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, COPIES))
    (tmp_path / "file").write_text("")
    with pytest.raises(Internal, match="cannot be written"):
        build(tmp_path / "file" / "lib")


# --- the wheel


class App:
    warnings: list[str]

    def __init__(self) -> None:
        self.warnings = []

    def display_warning(self, text: str) -> None:
        self.warnings.append(text)


def hook(app: App) -> Any:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PluginHook(str(ROOT), {}, None, None, "", "wheel", app)


def test_a_wheel_has_the_library_and_its_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, COPIES))
    monkeypatch.setenv("MOORING_WHEEL_PLATFORM", "macosx-11.0-arm64")
    data: dict[str, Any] = {"force_include": {}, "pure_python": True}
    built = hook(App())
    built.initialize("standard", data)
    [(source, place)] = data["force_include"].items()
    assert Path(source).read_text() == "built\n"
    assert place == f"mooring/broker/plugin/lib/{library_name()}"
    assert (data["pure_python"], data["tag"]) == (False, "py3-none-macosx_11_0_arm64")
    built.finalize("standard", data, "")
    assert not Path(source).exists()


def test_a_wheel_without_a_compiler_is_for_every_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    data: dict[str, Any] = {"force_include": {}, "pure_python": True}
    app = App()
    hook(app).initialize("standard", data)
    assert data == {"force_include": {}, "pure_python": True}
    assert "no compiled plugin" in app.warnings[0]
    monkeypatch.setenv("MOORING_REQUIRE_PLUGIN", "1")
    with pytest.raises(Unavailable):
        hook(app).initialize("standard", data)


def test_an_editable_install_leaves_it_to_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    app = App()
    hook(app).initialize("editable", {})
    assert app.warnings == []
