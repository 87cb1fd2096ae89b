"""How numbers, ages and texts are written; the browser's rules are held to the same table."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dashboard import words
from mooring.dashboard.pages.job import JOB_WORDS
from tests.support.programs import find_program
from tests.support.source import ROOT

TABLE: dict[str, list[Any]] = json.loads(
    (ROOT / "tests" / "data" / "dashboard" / "words.json").read_text(encoding="utf-8")
)
CASES = [(name, *case) for name, cases in TABLE.items() for case in cases]
SCRIPTS = ROOT / "src" / "mooring" / "dashboard" / "static" / "js"
NOW = 1_795_953_600_000  # 2026-11-29 12:00:00 UTC


@pytest.mark.parametrize(("name", "given_", "said"), CASES)
def test_the_table(name: str, given_: list[Any], said: str) -> None:
    assert getattr(words, name)(*given_) == said


def test_the_browser_s_words_are_the_same() -> None:
    program = (
        "import * as words from {module}; import { readFileSync } from 'node:fs';"
        "const cases = JSON.parse(readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(cases.map(([name, given]) => words[name](...given))));"
    ).replace("{module}", json.dumps(str(SCRIPTS / "words.js")))
    done = subprocess.run(
        [find_program("node", package="nodejs"), "--input-type=module", "--eval", program],
        input=json.dumps(CASES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [(*case[:2], word) for case, word in zip(CASES, said, strict=True)] == CASES


def test_states_of_jobs_are_the_same() -> None:
    text = (SCRIPTS / "words.js").read_text(encoding="utf-8").partition("JOB_STATES")[2]
    found = re.findall(r'(\w+): \["(\w+)", "([^"]+)"\]', text.partition("});")[0])
    expected = [(str(state), *words_) for state, words_ in JOB_WORDS.items()]
    assert sorted(found) == sorted([*expected, ("not_approved", "warn", "Not approved")])


@given(st.one_of(st.none(), st.integers(), st.floats(), st.booleans()))
def test_every_number_has_a_word(value: Any) -> None:
    assert words.number(value)


@given(st.one_of(st.none(), st.integers(-(2**70), 2**70)))
def test_every_time_has_a_word(ms: int | None) -> None:
    assert words.moment(ms, UTC, NOW)
    assert isinstance(words.utc(ms) + words.iso(ms), str)


@given(st.text())
def test_what_hides_or_reorders_is_shown_by_its_number(text: str) -> None:
    said = words.clean(text)
    assert not set("\u202e\u2066\u200b\x00\x1b") & set(said)
    assert len(words.short(text, 10)) <= 10


def test_times_are_the_viewers() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert words.moment(NOW - 1000, UTC, NOW) == "11:59:59 UTC"
    assert words.moment(NOW - 1000, berlin, NOW) == "12:59:59"
    assert words.moment(NOW - 2 * 86_400_000, berlin, NOW) == "27 Nov 13:00"
    assert words.moment(NOW - 800 * 86_400_000, berlin, NOW) == "20 Sep 2024"
    assert words.zone_of("no/zone") is UTC and words.zone_of("../../etc/passwd") is UTC
    assert words.utc(NOW) == "2026-11-29 12:00:00 UTC"


def test_documents_are_cut_and_say_so() -> None:
    assert words.pretty({"a": 1}) == '{\n  "a": 1\n}'
    long = words.pretty("x" * 30_000)
    assert long.endswith("10,002 more characters")
