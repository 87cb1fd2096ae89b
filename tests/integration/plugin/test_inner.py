"""The plugin's parsers and its matcher, against Python's and libmosquitto's."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import json
import random

import pytest

from mooring.broker.topic_rules import is_filter, is_topic, within
from mooring.errors import Invalid
from mooring.secrets import verifiers
from tests.support.accounts_db import verifier
from tests.support.plugin_stub import c_call


class Text(ctypes.Structure):
    _fields_ = (
        ("at", ctypes.c_char_p),
        ("room", ctypes.c_size_t),
        ("used", ctypes.c_size_t),
        ("full", ctypes.c_bool),
        ("cut", ctypes.c_bool),
    )


class Verifier(ctypes.Structure):
    _fields_ = (
        ("rounds", ctypes.c_int),
        ("salt_len", ctypes.c_size_t),
        ("salt", ctypes.c_uint8 * 64),
        ("hash", ctypes.c_uint8 * 64),
    )


def written(
    inner: ctypes.CDLL, function: str, data: bytes, most: int, room: int
) -> tuple[str, Text]:
    buffer = ctypes.create_string_buffer(room)
    out = Text()
    c_call(inner, "text_start", None, ctypes.byref(out), buffer, ctypes.c_size_t(room))
    size, limit = ctypes.c_size_t(len(data)), ctypes.c_size_t(most)
    c_call(inner, function, None, ctypes.byref(out), data, size, limit)
    return buffer.value.decode(), out


def inside(inner: ctypes.CDLL, rule: str, values: str, topic: str, *, subscribing: bool) -> bool:
    raw = rule.encode()
    return bool(
        c_call(
            inner,
            "topics_within",
            ctypes.c_bool,
            raw,
            ctypes.c_size_t(len(raw)),
            values.encode(),
            topic.encode(),
            ctypes.c_bool(subscribing),
        )
    )


LEVELS = ["", "a", "b", "ab", "+", "#", "$a", "$SYS", "ü", "\x01", "x\x02", "\x02\x01"]


def test_the_matcher_is_python_s(inner: ctypes.CDLL) -> None:
    chance = random.Random(3)
    found = 0
    for _ in range(40_000):
        rule = "/".join(chance.choices(LEVELS, k=chance.randint(1, 4)))
        topic = "/".join(chance.choices(LEVELS[:9], k=chance.randint(1, 4)))
        subscribing = chance.random() < 0.5
        if not is_filter(rule) or not (is_filter if subscribing else is_topic)(topic):
            continue
        values = [chance.choice(["", "a", "a/b", "+", "b/#", "$a", "/"]) for _ in range(2)]
        expected = within(rule, values, topic, subscribing=subscribing)
        got = inside(inner, rule, "\n".join(values), topic, subscribing=subscribing)
        assert got == expected, (rule, values, topic, subscribing)
        found += got
    assert found > 500


def test_the_matcher_is_the_broker_s(inner: ctypes.CDLL) -> None:
    name = ctypes.util.find_library("mosquitto")
    if name is None:
        pytest.fail("libmosquitto is missing; install it with scripts/setup.sh --for test")
    mosquitto = ctypes.CDLL(name)
    chance = random.Random(5)
    levels = [level for level in LEVELS[:9] if level != ""] * 2 + [""]
    differ = 0
    for _ in range(40_000):
        rule = "/".join(chance.choices(levels, k=chance.randint(1, 4)))
        topic = "/".join(chance.choices(levels, k=chance.randint(1, 4)))
        if not is_filter(rule) or not is_topic(topic):
            continue
        answer = ctypes.c_bool()
        code = mosquitto.mosquitto_topic_matches_sub(
            rule.encode(), topic.encode(), ctypes.byref(answer)
        )
        assert code == 0, (rule, topic)
        got = inside(inner, rule, "", topic, subscribing=False)
        assert got == answer.value, (rule, topic)
        differ += got
    assert differ > 500


def test_verifiers_are_read_as_python_reads_them(inner: ctypes.CDLL) -> None:
    chance = random.Random(17)
    good = verifier("secret")
    accepted = 0
    for _ in range(5_000):
        text = good
        for _ in range(chance.choice([0, 1, 1, 2])):
            at = chance.randrange(len(text) + 1)
            piece = chance.choice(["", "$", "=", "A", "9", "-", "+", "é", "0", " "])
            text = text[:at] + piece + text[at + chance.choice([0, 1, 1]) :]
        try:
            parts = verifiers.parse(text)
            expected = all(len(b64) % 4 == 0 for b64 in text.split("$")[3:])
            expected = expected and text.count("=") == str(parts).count("=")
        except Invalid:
            expected = False
        out = Verifier()
        got = c_call(inner, "verifier_parse", ctypes.c_bool, text.encode(), ctypes.byref(out))
        assert got == expected, text
        if got:
            accepted += 1
            assert (out.rounds, bytes(out.salt)[: out.salt_len], bytes(out.hash)) == (
                parts.iterations,
                parts.salt,
                parts.hash,
            )
    assert accepted > 500


def test_base64_goes_both_ways(inner: ctypes.CDLL) -> None:
    chance = random.Random(19)
    for size in range(300):
        raw = chance.randbytes(size)
        text, _ = written(inner, "text_base64", raw, 256, 1024)
        assert json.loads(text) == base64.b64encode(raw[:256]).decode()
        encoded = base64.b64encode(raw)
        out = ctypes.create_string_buffer(400)
        length, most = ctypes.c_size_t(len(encoded)), ctypes.c_size_t(size)
        assert c_call(inner, "base64_decode", ctypes.c_int, encoded, length, out, most) == size
        assert out.raw[:size] == raw
        if size:
            less = ctypes.c_size_t(size - 1)
            assert c_call(inner, "base64_decode", ctypes.c_int, encoded, length, out, less) == -1


def test_any_bytes_become_a_json_string(inner: ctypes.CDLL) -> None:
    chance = random.Random(23)
    pieces = [b'"', b"\\", b"\0", b"\x1f", b"\x7f", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a"]
    pieces += ["é".encode(), "€".encode(), "😀".encode(), b"\xf4\x90\x80\x80", b"\xe2\x82"]
    for _ in range(3_000):
        data = b"".join(chance.choices(pieces, k=chance.randint(0, 40)))
        most = chance.choice([10, 64, 1000])
        text, out = written(inner, "text_string", data, most, 4096)
        decoded = json.loads(text)
        assert not out.full
        assert out.cut == (len(data) > most)
        try:
            plain = data.decode()
        except UnicodeDecodeError:
            assert "\ufffd" in decoded or out.cut
            continue
        if not out.cut:
            assert decoded == plain
        else:
            assert plain.startswith(decoded)
            assert most - 4 < len(decoded.encode()) <= most


def test_a_full_buffer_says_so_and_keeps_its_end(inner: ctypes.CDLL) -> None:
    for room in range(1, 40):
        text, out = written(inner, "text_string", b"\x01" * 10, 1000, room)
        assert len(text) < room
        assert out.full == (room < 63)


@pytest.mark.parametrize(
    ("request_", "username"),
    [
        (b'{"nonce":"1","about":"70c3bc"}', "p\u00fc".encode()),
        (b'{"about" : "61" , "nonce":"x"}', b"a"),
        (b'{"about":"6"}', None),
        (b'{"about":"6g"}', None),
        (b'{"about":"6A"}', None),
        (b'{"about":""}', None),
        (b'{"about":"61', None),
        (b'{"about":61}', None),
        (b'{"about":"' + b"61" * 31 + b'"}', b"a" * 31),
        (b'{"about":"' + b"61" * 32 + b'"}', None),
        (b'"about"', None),
        (b"", None),
        (None, None),
    ],
)
def test_who_a_request_is_about(
    inner: ctypes.CDLL, request_: bytes | None, username: bytes | None
) -> None:
    room = ctypes.create_string_buffer(32)
    n = ctypes.c_size_t(len(request_ or b""))
    found = c_call(
        inner, "control_asks_about", ctypes.c_bool, request_, n, room, ctypes.c_size_t(32)
    )
    assert found is (username is not None)
    assert username is None or room.value == username


class Limits(ctypes.Structure):
    _fields_ = (
        ("connections", ctypes.c_int64),
        ("messages", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
    )


class Meter(ctypes.Structure):
    _fields_ = (
        ("limits", Limits),
        ("messages", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("at_ms", ctypes.c_uint64),
    )


class Account(ctypes.Structure):
    """What limits look at, and what is before it."""

    _fields_ = (
        ("before", ctypes.c_void_p * 3),
        ("tenant", ctypes.c_void_p),
        ("meter", ctypes.POINTER(Meter)),
        ("other", ctypes.c_int64 * 3),
        ("proofs", ctypes.c_uint64 * 4),
        ("numbers", ctypes.c_uint64 * 4),
        ("slots", ctypes.c_uint32 * 2),
        ("connections", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 256),
    )


def test_what_a_device_kept_while_it_was_offline_has_an_allowance(inner: ctypes.CDLL) -> None:
    """One message a second: a burst of 10, and what an hour without a connection makes."""
    meter = Meter(Limits(-1, 1, -1), 10_000, 0, 0)
    account = Account(meter=ctypes.pointer(meter))

    def sent(now: int, most: int = 10_000) -> int:
        for number in range(most):
            arguments = (ctypes.byref(account), ctypes.c_uint64(10), ctypes.c_uint64(now))
            if c_call(inner, "limits_charge", ctypes.c_char_p, *arguments) is not None:
                return number
        return most

    def back(now: int) -> None:
        c_call(inner, "limits_back", None, ctypes.byref(account), ctypes.c_uint64(now))

    minute = 60_000
    assert sent(0) == 10
    account.connections = 1
    back(5 * minute)  # another session of it was there all the time
    assert sent(5 * minute) == 10
    account.connections = 0
    back(15 * minute)
    assert sent(15 * minute, 200) == 200
    assert sent(15 * minute + 500) == 400  # the rest is still there, and grows no more
    assert sent(16 * minute) == 10
    back(16 * minute + 1000)  # coming back often gives no more than the rate
    assert sent(16 * minute + 1000) == 1
    back(600 * minute)
    assert sent(600 * minute) == 3600
