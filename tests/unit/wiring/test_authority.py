"""Which authority a data directory gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.errors import BrokerUnavailable, NotFound
from mooring.settings import Settings
from mooring.wiring import authority
from mooring.wiring.authority import choose
from mooring.wiring.broker import plugin_library
from mooring.wiring.choice import Choice, read_choice, write_choice


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the trial was made; ``fails`` in it makes the next one fail."""
    made: list[str] = []
    library = tmp_path / "library.so"
    library.write_bytes(b"one")

    def prove(_settings: Settings) -> None:
        made.append("trial")
        if "fails" in made:
            raise BrokerUnavailable("It does not load.")

    monkeypatch.setattr(authority, "prove", prove)
    monkeypatch.setattr("mooring.wiring.broker.plugin_library", lambda _settings: library)
    return made


def settings(tmp_path: Path, **more: object) -> Settings:
    return Settings(data_dir=tmp_path / "data", **more)


def test_a_new_data_directory_gets_the_plugin_once_it_is_proved(
    tmp_path: Path, trials: list[str]
) -> None:
    before = settings(tmp_path)
    assert before.authority == "dynamic_security"
    assert choose(before).auth_mode == "plugin"
    assert settings(tmp_path).authority == "plugin"  # for every other process
    assert choose(settings(tmp_path)).auth_mode == "plugin"
    assert trials == ["trial"]  # the second start had the proof


def test_a_relative_data_directory_gets_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``make up`` has it: with a real trial of a real broker."""
    monkeypatch.chdir(tmp_path)
    before = Settings(data_dir=Path(".mooring"))
    assert choose(before).auth_mode == "plugin", read_choice(Path(".mooring"))


def test_another_library_is_proved_again(tmp_path: Path, trials: list[str]) -> None:
    choose(settings(tmp_path))
    (tmp_path / "library.so").write_bytes(b"another")
    choose(settings(tmp_path))
    assert trials == ["trial", "trial"]


def test_without_a_proof_it_is_dynamic_security_and_the_reason_is_kept(
    tmp_path: Path, trials: list[str]
) -> None:
    trials.append("fails")
    assert choose(settings(tmp_path)).auth_mode == "dynamic_security"
    kept = read_choice(tmp_path / "data")
    assert kept is not None
    assert (kept.mode, kept.why) == ("dynamic_security", "It does not load.")
    trials.clear()
    assert choose(settings(tmp_path)).auth_mode == "dynamic_security"  # no move of its own
    assert trials == []


@pytest.mark.parametrize(
    ("had_it", "then"),
    [(False, "run `mooring broker migrate --to plugin`"), (True, "start Mooring again")],
)
def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, had_it: bool, then: str
) -> None:
    """A clean clone on a machine without a compiler: no library, no trial, and a way out."""
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr("mooring.broker.plugin.build.LIBRARY_FOLDER", tmp_path / "package")
    if had_it:
        write_choice(tmp_path / "data", Choice("plugin", "plugin", proof="p", proved=True))
    assert choose(settings(tmp_path)).auth_mode == "dynamic_security"
    kept = read_choice(tmp_path / "data")
    assert kept is not None
    assert "'no-such-compiler' was not found" in kept.why
    assert "apt-get install gcc" in kept.remedy
    assert kept.remedy.endswith(f"Then {then}.")
    with pytest.raises(BrokerUnavailable) as caught:
        choose(settings(tmp_path, auth_mode="plugin"))
    assert "apt-get install gcc" in caught.value.hint


def test_what_had_the_plugin_runs_without_it_and_gets_it_back(
    tmp_path: Path, trials: list[str]
) -> None:
    choose(settings(tmp_path))
    (tmp_path / "library.so").write_bytes(b"broken")
    trials.append("fails")
    assert choose(settings(tmp_path)).auth_mode == "dynamic_security"
    trials.clear()
    assert choose(settings(tmp_path)).auth_mode == "plugin"


@pytest.mark.parametrize(
    ("file", "mode"), [("dynamic-security.json", "dynamic_security"), ("passwd", "password_file")]
)
def test_an_older_data_directory_keeps_what_it_has(
    tmp_path: Path, trials: list[str], file: str, mode: str
) -> None:
    folder = tmp_path / "data" / "broker"
    folder.mkdir(parents=True)
    (folder / file).write_text("{}")
    assert choose(settings(tmp_path)).auth_mode == mode
    assert trials == []


def test_asked_for_by_name_it_works_or_the_start_fails(tmp_path: Path, trials: list[str]) -> None:
    assert choose(settings(tmp_path, auth_mode="plugin")).auth_mode == "plugin"
    (tmp_path / "library.so").write_bytes(b"broken")
    trials.append("fails")
    with pytest.raises(BrokerUnavailable) as caught:
        choose(settings(tmp_path, auth_mode="plugin"))
    assert caught.value.slug == "authority_not_proved"


def test_another_one_asked_for_is_kept_for_auto(tmp_path: Path, trials: list[str]) -> None:
    choose(settings(tmp_path))
    assert choose(settings(tmp_path, auth_mode="password_file")).auth_mode == "password_file"
    assert choose(settings(tmp_path)).auth_mode == "password_file"


def test_an_attached_broker_is_not_tried(tmp_path: Path, trials: list[str]) -> None:
    assert choose(settings(tmp_path, broker="attached")).auth_mode == "dynamic_security"
    assert trials == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"mode": "magic", "in_force": "magic"}'])
def test_a_choice_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "authority.json").write_text(text)
    assert read_choice(tmp_path) is None
    assert Settings(data_dir=tmp_path).authority == "dynamic_security"


def test_a_choice_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Choice("plugin", "dynamic_security", why="x", proof="p", reason="x")
    write_choice(tmp_path, made)
    assert read_choice(tmp_path) == made


def test_a_library_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.so"):
        plugin_library(settings(tmp_path, authority_library=tmp_path / "nothing.so"))
