"""Dialect files with mistakes: every one is found, named with its line, in one pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import Attribute, Direction, Format, Kind, Mistake, TimeFormat, check

GOOD = """\
name = "boats"
title = "Boats"
description = "Things that float."
username = "boat:{tenant}:{device}"
client_id = "{tenant}-{device}"

[placeholders]
port = "tenant"
hull = "device"
word = "name"

[payload]
time = "at"
sequence = "n"

[[channels]]
name = "telemetry"
topic = "boats/{port}/{hull}/data"
direction = "up"
kind = "telemetry"
qos = 0
payload.time = ["when", 'a\\.b.c']
payload.time_format = "s"
payload.values = "readings"
payload.metadata = ""
payload.required = "readings"
payload.example = '''
{"when": 1767225600,
 "readings": {"speed": 4.5}}
'''

[[channels]]
name = "command"
topic = "boats/{port}/{hull}/do/{word}"
direction = "down"
kind = "command"
retain = true
description = "Do it."
payload.fixed = { "by.whom" = "us", v = 2 }

[[channels]]
name = "health"
topic = "boats/health"
direction = "down"
kind = "system"
operator_only = true

  [channels.payload]
  format = "text"
"""


def mistakes(text: str) -> list[Mistake]:
    dialect, found = check(text, "test.toml")
    assert (dialect is None) == bool(found)
    return found


def test_a_good_file() -> None:
    dialect, found = check(GOOD, "boats.toml")
    assert found == []
    assert dialect is not None
    assert (dialect.name, dialect.title, dialect.source) == ("boats", "Boats", "boats.toml")
    assert dialect.username == "boat:{tenant}:{device}"
    assert (dialect.tenanted, dialect.needs_mac) == (True, False)
    telemetry, command, health = dialect.channels
    assert telemetry.direction is Direction.UP
    assert telemetry.kind is Kind.TELEMETRY
    assert (telemetry.qos, telemetry.retain, telemetry.operator_only) == (0, False, False)
    assert telemetry.placeholders == {"port": Attribute.TENANT, "hull": Attribute.DEVICE}
    shape = telemetry.payload
    assert shape.time == (("when",), ("a.b", "c"))
    assert shape.time_format is TimeFormat.SECONDS
    assert shape.sequence == ("n",)
    assert (shape.values, shape.metadata) == (("readings",), ())
    assert shape.required == (("readings",),)
    assert (command.qos, command.retain, command.description) == (1, True, "Do it.")
    assert command.payload.time == (("at",),)
    assert command.payload.metadata is None
    assert command.payload.fixed == ((("by", "whom"), "us"), (("v",), 2))
    assert health.operator_only
    assert health.payload.format is Format.TEXT


# What to change in the good file, the line and key to be named, words to be said.
BAD = [
    ('name = "boats"', 'nmae = "boats"', 1, "nmae", "Did you mean 'name'?"),
    ('name = "boats"\n', "", None, "name", "missing"),
    ('name = "boats"', 'name = "Boats"', 1, "name", "lower-case"),
    ('name = "boats"', 'name = "all"', 1, "name", "reserved"),
    ('name = "boats"', "name = 3", 1, "name", "must be a text"),
    ('title = "Boats"', 'title = ""', 2, "title", "empty"),
    ('title = "Boats"\n', "", None, "title", "missing"),
    ("{tenant}:{device}", "{tenant}", 4, "username", "Use {device} or {mac}"),
    ("{tenant}:{device}", "{hull}", 4, "username", "{hull} is not an attribute"),
    ("{tenant}:{device}", "{devise}", 4, "username", "Did you mean 'device'?"),
    ("{tenant}:{device}", "{tenant}{device}", 4, "username", "touch"),
    ("{tenant}:{device}", "{device", 4, "username", "brace"),
    ("boat:{tenant}", "boat\\n{tenant}", 4, "username", "control character"),
    ("{tenant}-{device}", "{device}", 5, "client_id", "Use {tenant}"),
    ('port = "tenant"', 'port = "tennant"', 8, "placeholders.port", "Did you mean 'tenant'?"),
    ('word = "name"', 'word = "name"\nx = "mac"', 11, "placeholders.x", "No topic uses"),
    ('word = "name"', '"w-d" = "name"', 10, "placeholders.w-d", "not a valid placeholder name"),
    ('sequence = "n"', 'sequenze = "n"', 14, "payload.sequenze", "Did you mean 'sequence'?"),
    ('sequence = "n"', 'sequence = "a..b"', 14, "payload.sequence", "not a valid path"),
    ('name = "telemetry"', 'name = "command"', 17, "channels[0].name", "reserved"),
    ('name = "health"', 'name = "command"', 42, "channels[2].name", "taken by channels[1]"),
    ("boats/{port}/{hull}/data", "boats/+/{hull}/data", 18, "channels[0].topic", "wildcard"),
    ("boats/{port}/{hull}/data", "boats/{hull}/#", 18, "channels[0].topic", "wildcard"),
    ("boats/{port}/{hull}/data", "boats/{port}/x{hull}", 18, "channels[0].topic", "fill"),
    ("boats/{port}/{hull}/data", "boats/{port}/{hull", 18, "channels[0].topic", "fill"),
    ("boats/{port}/{hull}/data", "b/{port}/{bow}", 18, "channels[0].topic", "not declared"),
    ("boats/{port}/{hull}/data", "b/{port}/{}", 18, "channels[0].topic", "not declared"),
    ("boats/{port}/{hull}/data", "", 18, "channels[0].topic", "empty"),
    (
        "boats/{port}/{hull}/data",
        "$b/{port}/{hull}",
        18,
        "channels[0].topic",
        "reserved for the broker",
    ),
    ("boats/{port}/{hull}/data", "/b/{port}/{hull}", 18, "channels[0].topic", "level is empty"),
    ("boats/{port}/{hull}/data", "b/{port}/{hull}/", 18, "channels[0].topic", "level is empty"),
    ("boats/{port}/{hull}/data", "b/{port}/{hull}\\u0000", 18, "channels[0].topic", "U+0000"),
    ("boats/{port}/{hull}/data", "{port}/{hull}/{hull}", 18, "channels[0].topic", "same attr"),
    ("boats/{port}/{hull}/data", "b/{port}/data", 18, "channels[0].topic", "sending device"),
    ("boats/{port}/{hull}/data", "b/{hull}/data", 18, "channels[0].topic", "not name the tenant"),
    ("boats/{port}/{hull}/data", "{port}/{hull}" + "/x" * 200, 18, "channels[0].topic", "200"),
    ("/{hull}/data", "/{hull}/" + "x" * 65520, 18, "channels[0].topic", "65535"),
    ("/{hull}/data", "/{hull}/" + "x" * 65400, 18, "channels[0].topic", "long ids"),
    ("boats/health", "boats/{port}/{hull}/data", 43, "channels[2].topic", "overlaps"),
    ('direction = "up"', 'direction = "upp"', 19, "channels[0].direction", "'up'"),
    ('direction = "up"', 'direction = "down"', 19, "channels[0].direction", "has the direction up"),
    ('direction = "up"\n', "", 16, "channels[0].direction", "missing"),
    ('kind = "telemetry"', 'kind = "telemetri"', 20, "channels[0].kind", "'telemetry'"),
    ("operator_only = true", "", 45, "channels[2].kind", "operator_only = true"),
    ("operator_only = true", "operator_only = 1", 46, "channels[2].operator_only", "true or"),
    ("qos = 0", "qos = 3", 21, "channels[0].qos", "between 0 and 2"),
    ("qos = 0", "qos = true", 21, "channels[0].qos", "whole number"),
    ("qos = 0", "QoS = 1", 21, "channels[0].QoS", "'qos'"),
    ('"s"\n', '"ns"\n', 23, "channels[0].payload.time_format", "not known"),
    ('"readings"\n', '".a"\n', 24, "channels[0].payload.values", "not a valid path"),
    ('["when",', '["when", 3,', 22, "channels[0].payload.time", "must be a text"),
    ('metadata = ""', "metadata = []", 25, "channels[0].payload.metadata", "must be a text"),
    ("4.5", "NaN", 27, "channels[0].payload.example", "not valid JSON"),
    ('"readings": {', '"r": {', 27, "channels[0].payload.example", "missing_field"),
    ("v = 2 }", "at = 2 }", 39, "channels[1].payload.fixed", "reserved meaning"),
    ("v = 2 }", "v = [] }", 39, "channels[1].payload.fixed", "must be a text, a number"),
    ('format = "text"', 'format = "xml"', 49, "channels[2].payload.format", "json"),
    (
        'format = "text"',
        'format = "text"\nrequired = ["x"]',
        50,
        "channels[2].payload.required",
        "has no keys",
    ),
    (
        '[[channels]]\nname = "telemetry"',
        '[[x]]\nname = "telemetry"',
        16,
        "x",
        "key does not exist",
    ),
    ("title = ", "title == ", 2, "file", "not valid TOML"),
    ("[placeholders]", "[placeholders", 7, "file", "not valid TOML"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "where", "words"), BAD, ids=lambda v: str(v)[:30] if v else ""
)
def test_one_mistake(old: str, new: str, line: int | None, where: str, words: str) -> None:
    assert old in GOOD
    found = mistakes(GOOD.replace(old, new, 1))
    said = [m for m in found if m.where == where and words in f"{m.message} {m.hint}"]
    assert said, found
    assert said[0].line == line
    assert all(m.message.endswith(".") for m in found)


def test_every_mistake_in_one_pass() -> None:
    text = GOOD
    for old, new in (
        ('title = "Boats"', "titel = 1"),
        ('port = "tenant"', 'port = "tennant"'),
        ("qos = 0", "qos = 9"),
        ("boats/{port}/{hull}/do/{word}", "boats/{port}/{hull}/do/#"),
        ('kind = "system"', 'kind = "sistem"'),
    ):
        text = text.replace(old, new, 1)
    found = mistakes(text)
    assert {m.where for m in found} >= {
        "titel",
        "title",
        "placeholders.port",
        "channels[0].qos",
        "channels[1].topic",
        "channels[2].kind",
    }
    lines = [m.line or 0 for m in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "channels = 3",
        "channels = [3]",
        "channels = []",
        "[[channels]]",
        "[channels]",
        "payload = 3\nplaceholders = 4\nusername = []\n[[channels]]\npayload = 'x'",
        "a = " + "[" * 5000,
    ],
)
def test_hopeless_files_are_explained(text: str) -> None:
    assert mistakes(text)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_a_device_may_send_to_is_never_what_it_listens_to(direction: str) -> None:
    """A device that could publish its own commands, or the platform hearing itself."""
    text = GOOD.replace('"boats/{port}/{hull}/do/{word}"', '"boats/{port}/{hull}/{word}"')
    if direction == "up":
        text = text.replace('name = "command"', 'name = "do"').replace(
            'direction = "down"\nkind = "command"', 'direction = "up"\nkind = "event"'
        )
    assert [m.where for m in mistakes(text)] == ["channels[1].topic"]


def test_two_channels_down_may_lie_in_one_another() -> None:
    """The platform knows what it sends: a free word and one fixed word beside it."""
    more = '\n[[channels]]\nname = "stop"\ntopic = "boats/{port}/{hull}/do/stop"\n'
    more += 'direction = "down"\nkind = "command"\n'
    assert mistakes(GOOD + more) == []
    same = more.replace("do/stop", "do/{word}")
    assert "overlaps" in mistakes(GOOD + same)[0].message


def test_two_channels_up_may_differ_in_how_they_name_the_device() -> None:
    """Firmware that writes its MAC address where others write their name."""
    text = GOOD.replace('word = "name"', 'word = "name"\nmac = "mac"')
    body = text[
        text.index('[[channels]]\nname = "telemetry"') : text.index(
            '[[channels]]\nname = "command"'
        )
    ]
    twin = body.replace('"telemetry"\ntopic', '"by_mac"\ntopic').replace("{hull}", "{mac}")
    assert mistakes(text + twin) == []
    other = twin.replace('kind = "telemetry"', 'kind = "event"')
    assert "overlaps" in mistakes(text + other)[0].message
    elsewhere = twin.replace('payload.values = "readings"', 'payload.values = "about"')
    assert "overlaps" in mistakes(text + elsewhere)[0].message


def test_lines_are_right_after_long_texts_and_comments() -> None:
    text = GOOD.replace(
        'description = "Things that float."',
        'description = """\nqos = 7\n[[channels]]\n\\"""x"""  # """\n# \'\'\'\n',
    ).replace("qos = 0", "qos = 9 # [")
    found = mistakes(text)
    assert [(m.line, m.where) for m in found] == [
        (text.splitlines().index("qos = 9 # [") + 1, "channels[0].qos")
    ]
    crlf = mistakes(text.replace("\n", "\r\n"))
    assert [m.line for m in crlf] == [m.line for m in found]


def test_a_mistake_reads_as_one_line() -> None:
    assert str(Mistake(3, "qos", "It is 9.", "Use 1.")) == "line 3: qos: It is 9. Use 1."
    assert str(Mistake(None, "name", "It is missing.")) == "name: It is missing."


LINES = GOOD.splitlines()


@given(
    st.integers(0, len(LINES) - 1),
    st.one_of(st.none(), st.text(max_size=20), st.sampled_from(LINES)),
)
def test_no_edit_makes_the_checker_fail(position: int, line: str | None) -> None:
    edited = [*LINES]
    edited[position : position + 1] = [] if line is None else [line]
    dialect, found = check("\n".join(edited), "edited")
    assert (dialect is None) == bool(found)
    lines = "\n".join(edited).count("\n") + 1
    assert all(mistake.line is None or 1 <= mistake.line <= lines for mistake in found)
