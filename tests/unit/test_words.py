"""The word list of ``make lint`` finds what it should and leaves plain technical English alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import check_words

TO_REWRITE = """
    The list is made anew.
    It waits for ever.
    A small file beside the plugin.
    The session ends at once.
    Tell it at once when this happens.
    The other one goes on.
    It stands in the log.
    The folder it lies in.
    The answer comes behind it.
    Sent one behind the other.
    The next step mends it.
    After so many days.
    Nothing of it is repeated.
    – of it parsing
    The device is told of it.
    The device has said so.
    It says that it is online.
    The database says no.
    Each process says it lives.
    The broker lets it in.
    What came in since is lost.
    The broker does not take over its files.
    That is no error.
    Some are written when there is none.
    Whoever has the key can read it.
    Who cannot afford that uses the SDK.
    For the way back, stop it.
    A stranger is listed.
    The code is good until then.
    A code good for one device.
    Remove it for good?
    Two changes wait for the broker.
    Hashes in place of passwords.
    What one can do with devices.
    With a made-up fleet.
    Tried without end.
    It looks now and then.
    Whatever came is kept.
    A name nobody heard of.
    Who may is its matter.
    A flood of logins is turned away.
    The way of a message.
    Stores what devices say.
    Everything is read once more.
    A device that is no more.
    The file as it stands.
    All was in vain.
    A file that is not there.
"""

PLAIN = """
    There is no device kitchen.
    It is no longer valid. This is no different on PostgreSQL.
    Many devices at once. All files are read at once.
    Besides, an indefinite number of devices may connect.
    A placeholder stands for one level. A stand-in for the broker.
    The broker puts the lock on the disk, and the value goes on the command line.
    A proxy in front of the broker; devices behind one address.
    Who may do what, and what remains open
    Who can read the file?
    The list of people who can log in is short.
    So many topics match that the search takes a second.
    Let in-flight messages finish, and let the device wait in the queue.
    A client that takes over the session of another one.
    Good practice: good for debugging; good enough.
    The broker waits for the database. A call waits for an answer.
    The device comes in two sizes, and requests came in batches.
    All of it is valid. What became of it?
    Whatever happens, the lock is released.
    The file is not therefore invalid.
    The amendment is recommended.
    No more than three. It is no more than a hint.
    Two can be told apart: the devices are told apart by their names.
"""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("sentence", lines(TO_REWRITE))
def test_found(sentence: str) -> None:
    assert check_words.findings("page.md", sentence)


def test_every_rule_has_a_sentence_that_only_it_may_find() -> None:
    found = {
        rule.pattern
        for sentence in lines(TO_REWRITE)
        for pattern, rule in check_words.COMPILED
        if pattern.search(sentence)
    }
    assert found == {rule.pattern for rule in check_words.RULES}


@pytest.mark.parametrize("sentence", lines(PLAIN))
def test_left_alone(sentence: str) -> None:
    assert check_words.findings("page.md", sentence) == []


PYTHON = '''\
"""First line.

It is made anew
beside the file.
"""
NAME = "anew"  # for
# ever
SQL = "SELECT a FROM strangers WHERE anew"
other = (
    "It is tried "
    f"for {NAME} and for "
    "ever."
)  # `whoever` is code
'''


def test_python_strings_and_comments_with_their_lines() -> None:
    found = check_words.findings("x.py", PYTHON)
    assert [(one.line, one.words) for one in found] == [
        (3, "anew"),
        (4, "beside"),
        (6, "for ever"),
        (10, "for ever"),
    ]
    assert str(found[0]) == 'x.py:3: "anew": write again'


MARKDOWN = """\
# Anew

Text that goes
on, with `anew` and [a link](strangers.md).

| name | beside |
| --- | --- |

- one for
- ever

```sh
echo anew
```

```
1 stranger
```
"""


def test_markdown_wrapped_lines_and_output_but_no_code() -> None:
    found = check_words.findings("x.md", MARKDOWN)
    assert [(one.line, one.words) for one in found] == [
        (1, "Anew"),
        (3, "goes on"),
        (6, "beside"),
        (17, "stranger"),
    ]


def test_comments_and_sentences_of_toml_and_make() -> None:
    source = 'help = "made anew"\nname = "anew"\n# for\n# ever\nup: setup ## mend it\n'
    found = check_words.findings("x.toml", source)
    assert [(one.line, one.words) for one in found] == [(1, "anew"), (3, "for ever"), (5, "mend")]


def test_the_list_of_files_not_gone_over_only_gets_shorter() -> None:
    """A pattern that matches no file with something to rewrite is removed from the list."""
    for pattern in check_words.NOT_YET:
        paths = [path for path in check_words.ROOT.glob(pattern) if path.is_file()]
        assert any(
            check_words.findings(str(path), path.read_text(encoding="utf-8")) for path in paths
        ), f"{pattern} has nothing to rewrite: remove it from NOT_YET"


def test_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_text("It is made anew.\n")
    (tmp_path / "good.md").write_text("It is made again.\n")
    program = [sys.executable, check_words.__file__]
    bad = subprocess.run(
        [*program, tmp_path / "bad.md"], check=False, capture_output=True, text=True
    )
    assert bad.returncode == 1
    assert 'bad.md:1: "anew": write again' in bad.stdout
    good = subprocess.run(
        [*program, tmp_path / "good.md"], check=False, capture_output=True, text=True
    )
    assert (good.returncode, good.stdout) == (0, "")
