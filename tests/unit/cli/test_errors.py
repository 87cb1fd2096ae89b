"""Every error is a sentence with what to do, an exit code, and JSON when JSON was asked for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mooring.cli.complaint import complaint_of
from mooring.errors import InvalidDialect, MooringError, NotFound
from tests.support.golden import check_sentences
from tests.unit.cli.conftest import Mooring


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (["device", "show", "nobody"], 3, "mooring device list"),
        (["device", "add", "a/b", "-d", "pulse"], 2, "'/'"),
        (["device", "add", "a", "-d", "morse"], 3, "'morse'"),
        (["device", "add", "a", "-d", "mousetrap"], 2, "--mac"),
        (["telemetry", "latest"], 2, "--all"),
        (["telemetry", "history", "x", "--from", "soon"], 2, "'soon'"),
        (["user", "password", "nobody"], 3, "user list"),
        (["key", "revoke", "none"], 3, "key list"),
        (["key", "new", "ci", "--expires", "later"], 2, "90d"),
        (["dialect", "show", "morse"], 3, "'morse'"),
        (["simulate"], 2, "--demo"),
        (["simulate", "-d", "pulse", "--rate", "0"], 2, "more than 0"),
        (["device", "frobnicate"], 2, "`mooring device --help`"),
        (["device", "add", "x"], 2, "--help"),
        (["device", "list", "--limit", "0"], 2, "--help"),
        (["device", "list", "--limti", "1"], 2, "--limti"),
    ],
)
def test_an_error_is_a_sentence_and_a_hint(
    mooring: Mooring, words: list[str], code: int, fact: str
) -> None:
    said = mooring(*words, code=code)
    assert said.out == ""
    first, *rest = said.err.strip().split("\n")
    assert first.endswith((".", "?"))
    assert rest
    assert fact in said.err
    assert "Traceback" not in said.err
    check_sentences(f"error: {' '.join(words)}", said.err)


@pytest.mark.parametrize("place", ["before", "after"])
def test_json_errors_are_json_on_standard_error(mooring: Mooring, place: str) -> None:
    words = ["device", "show", "nobody"]
    words = ["--json", *words] if place == "before" else [*words, "--json"]
    said = mooring(*words, code=3)
    assert said.out == ""
    error = said.error()
    check_sentences("error: device show nobody", f"{error.pop('message')}\n{error.pop('hint')}")
    assert error == {
        "code": "device_not_found",
        "exit_code": 3,
    }


def test_json_usage_errors_are_json_too(mooring: Mooring) -> None:
    error = mooring("device", "frobnicate", "--json", code=2).error()
    assert error["code"] == "usage"
    assert error["exit_code"] == 2


def test_a_directory_without_mooring_is_left_alone(nothing: Mooring) -> None:
    said = nothing("device", "list", code=3)
    assert str(nothing.data_dir) in said.err
    assert "mooring up" in said.err
    assert not nothing.data_dir.exists()


def test_an_old_database_says_what_to_run(nothing: Mooring) -> None:
    nothing.data_dir.mkdir()
    (nothing.data_dir / "mooring.db").touch()
    said = nothing("device", "list", code=4)
    assert "mooring db migrate" in said.err


def test_a_bad_setting_names_itself(mooring: Mooring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_HTTP_PORT", "99999")
    said = mooring("config", "show", code=2)
    assert "http_port (MOORING_HTTP_PORT)" in said.err


# ------------------------------------------------------------------------- what nobody expected


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mooring.fleet.service.DeviceLists.page", fail)


def test_an_unexpected_error_is_a_sentence_and_a_file(
    mooring: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, RuntimeError("the moon is in the way"))
    said = mooring("device", "list", code=1)
    first, second, *_ = said.err.split("\n")
    assert "(RuntimeError)" in first
    check_sentences("error: unexpected", first)
    kept = mooring.data_dir / "logs" / "cli-errors.log"
    assert str(kept) in second
    assert "Traceback" not in said.err
    text = kept.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "the moon is in the way" in text
    assert kept.stat().st_mode & 0o777 == 0o600


def test_debug_shows_the_traceback(mooring: Mooring, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, RuntimeError("the moon is in the way"))
    said = mooring("device", "list", "--debug", code=1)
    assert "Traceback" in said.err
    assert "the moon is in the way" in said.err


def test_debug_shows_the_traceback_of_an_expected_error(mooring: Mooring) -> None:
    assert "Traceback" in mooring("--debug", "device", "show", "nobody", code=3).err


def test_no_value_of_a_statement_gets_into_the_file(
    mooring: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import ProgrammingError

    secret = "$7$101$very-secret"
    error = ProgrammingError("INSERT INTO credentials", {"verifier": secret}, Exception("no"))
    broken(monkeypatch, error)
    mooring("device", "list", code=1)
    text = (mooring.data_dir / "logs" / "cli-errors.log").read_text(encoding="utf-8")
    assert "INSERT INTO credentials" in text
    assert secret not in text


def test_ctrl_c_is_130(mooring: Mooring, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, KeyboardInterrupt())
    said = mooring("device", "list", code=130)
    assert said.out == said.err == ""


def test_a_reader_that_went_away_is_no_error_of_ours(
    mooring: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
    assert "Traceback" not in mooring("device", "list", code=None).err


def test_every_class_of_error_has_its_exit_code() -> None:
    def classes(cls: type[MooringError]) -> set[type[MooringError]]:
        return {cls, *(c for child in cls.__subclasses__() for c in classes(child))}

    for cls in classes(MooringError):
        if cls.__module__ != "mooring.errors":
            continue
        complaint = complaint_of(cls("It broke.", hint="Mend it."), Path("nowhere"))
        assert (complaint.message, complaint.hint) == ("It broke.", "Mend it.")
        assert complaint.exit_code == cls.exit_code != 0
        assert complaint.code == cls.code


def test_facts_of_an_error_are_in_its_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = InvalidDialect("It is bad.", mistakes=[{"line": 3}])
    complaint_of(error, Path("nowhere")).show(as_json=True)
    assert '"context": {"mistakes": [{"line": 3}]}' in capsys.readouterr().err


def test_an_error_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complaint_of(NotFound("There is no \x1b[31mred."), Path("nowhere")).show(as_json=False)
    assert capsys.readouterr().err == "There is no \\x1b[31mred.\n"


# ------------------------------------------------------------------------- questions


def test_removing_without_a_person_needs_yes(mooring: Mooring) -> None:
    mooring("device", "add", "a", "-d", "pulse")
    said = mooring("device", "remove", "a", code=2)
    assert "--yes" in said.err
    mooring("device", "show", "a")
    mooring("device", "remove", "a", "--yes")
    mooring("device", "show", "a", code=3)


def test_a_person_may_say_no(mooring: Mooring, monkeypatch: pytest.MonkeyPatch) -> None:
    mooring("device", "add", "a", "-d", "pulse")
    asked: list[str] = []

    def refuse(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("mooring.cli.frame.sys", type("S", (), {"stdin": Terminal()}))
    monkeypatch.setattr("mooring.cli.frame.typer.confirm", refuse)
    said = mooring("device", "remove", "a", code=1)
    check_sentences("question: device remove a", "\n".join(asked))
    assert len(asked) == 1
    assert "Nothing was removed." in said.err
    mooring("device", "show", "a")
