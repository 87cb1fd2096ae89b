"""Payloads: what is accepted, what is refused and why, times, and that nothing ever raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import (
    BadPayload,
    Decoded,
    Format,
    PayloadLimits,
    PayloadShape,
    Reason,
    TimeNumbers,
    TimeSource,
    builtin,
    compile_decoder,
    iso,
    parse_time,
    readings,
)
from mooring.dialects.payload import _too_deep

NOW = 1_780_000_000_000  # 2026-05-28
SHAPE = PayloadShape(
    time=(("ts",), ("meta", "time")), sequence=("seq",), required=(("meta", "id"),)
)
PLAIN = PayloadShape(time=(("ts",),), sequence=("seq",))


def decode(payload: bytes | str, shape: PayloadShape = PLAIN, **limits: int) -> Any:
    data = payload.encode() if isinstance(payload, str) else payload
    return compile_decoder(shape, PayloadLimits(**limits))(data, NOW)


def nested(depth: int, opening: str = '{"a":', closing: str = "}") -> str:
    return opening * depth + "1" + closing * depth


REFUSED = [
    (b"", Reason.EMPTY),
    (b" \n", Reason.EMPTY),
    (b"{", Reason.NOT_JSON),
    (b"online", Reason.NOT_JSON),
    (b'{"a":1}x', Reason.NOT_JSON),
    (b"NaN", Reason.NOT_JSON),
    (b'{"a":NaN', Reason.NOT_JSON),
    (b'{"a":NaNs}', Reason.NOT_JSON),
    (b"{nan:1}", Reason.NOT_JSON),
    (b'{"a":NaN,"b":1e400}', Reason.NUMBER_TOO_LARGE),
    (b'{"a":NaN,"b":"\\u0000"}', Reason.NUL_CHARACTER),
    (b'{"a":01}', Reason.NOT_JSON),
    (b"{'a':1}", Reason.NOT_JSON),
    (b'// x\n{"a":1}', Reason.NOT_JSON),
    (b'\xef\xbb\xbf{"a":1}', Reason.NOT_JSON),
    (b'{"a":"\x00"}', Reason.NOT_JSON),
    (b'{"a":"\\ud800"}', Reason.NOT_JSON),
    (b'{"a":"\xff"}', Reason.NOT_UTF8),
    (b'{"\xed\xa0\x80":1}', Reason.NOT_UTF8),
    (b"\xff\xfe", Reason.NOT_UTF8),
    (b"[1]", Reason.WRONG_TYPE),
    (b"1", Reason.WRONG_TYPE),
    (b'"a"', Reason.WRONG_TYPE),
    (b"null", Reason.WRONG_TYPE),
    (b"true", Reason.WRONG_TYPE),
    (b'{"a":1e400}', Reason.NUMBER_TOO_LARGE),
    (b'{"a":[-1e400]}', Reason.NUMBER_TOO_LARGE),
    (b'{"a":9223372036854775808}', Reason.NUMBER_TOO_LARGE),
    (b'{"a":{"b":[-9223372036854775809]}}', Reason.NUMBER_TOO_LARGE),
    (b'{"a":' + b"7" * 5000 + b"}", Reason.NUMBER_TOO_LARGE),
    (b'{"a":"x\\u0000"}', Reason.NUL_CHARACTER),
    (b'{"a":[{"\\u0000":1}]}', Reason.NUL_CHARACTER),
    (b'{"a":"\\u0000","a":1}', Reason.NUL_CHARACTER),
    (b'{"a":"\\\\\\u0000"}', Reason.NUL_CHARACTER),
    (nested(33).encode(), Reason.TOO_DEEP),
    (nested(17, '{"a":[', "]}").encode(), Reason.TOO_DEEP),
    (b"[" * 100_000, Reason.TOO_DEEP),
    (b'{"a":' * 40_000, Reason.TOO_DEEP),
    (b'"' + b"x" * 262_143, Reason.NOT_JSON),
    (b'"' + b"x" * 262_144, Reason.TOO_LARGE),
]


@pytest.mark.parametrize(
    ("payload", "reason"), REFUSED, ids=lambda v: repr(v)[:40] if isinstance(v, bytes) else None
)
def test_refused(payload: bytes, reason: Reason) -> None:
    found = decode(payload)
    assert isinstance(found, BadPayload)
    assert found.reason is reason
    assert found.detail.endswith(".")


@pytest.mark.parametrize(
    "payload",
    [
        '{"a":9223372036854775807,"b":-9223372036854775808}',
        '{"a":0.1234567890123456789012345}',
        '{"a":"99999999999999999999999"}',
        '{"a":1e19}',
        r'{"a":"\\u0000"}',
        r'{"a":"\\\\u0000\n"}',
        r'{"a":"\ud83d\ude00"}',
        nested(32),
        nested(16, '{"a":[', "]}"),
        '{"a":"' + "{[" * 500 + '"}',
        '{"a":"\\"' + "{[" * 500 + '\\\\"}',
        '{"a":[' + ",".join(["{}"] * 500) + "]}",
        " {} ",
    ],
)
def test_accepted_and_kept_as_sent(payload: str) -> None:
    found = decode(payload)
    assert isinstance(found, Decoded)
    assert found.text == payload
    assert found.body == json.loads(payload)


@given(
    st.integers(-(2**70), 2**70) | st.integers(2**63 - 3, 2**63 + 3) | st.integers(-5, 5),
    st.integers(0, 30),
    st.sampled_from(
        ['{{"{pad}":{n}}}', '{{"{pad}":[true,{{"x":{n},"y":1}}]}}', '{{"":{n},"_{pad}":2}}']
    ),
)
def test_integers_are_judged_exactly_wherever_they_stand(n: int, pad: int, form: str) -> None:
    found = decode(form.format(n=n, pad="x" * pad))
    assert isinstance(found, Decoded) == (-(2**63) <= n < 2**63)
    assert isinstance(found, Decoded) or found.reason is Reason.NUMBER_TOO_LARGE


def test_a_repeated_key_counts_by_its_last_value() -> None:
    assert decode('{"seq":1,"seq":2}').seq == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"meta":{"id":1}}', None),
        ('{"meta":{"id":null}}', Reason.MISSING_FIELD),
        ('{"meta":{}}', Reason.MISSING_FIELD),
        ('{"meta":3}', Reason.MISSING_FIELD),
        ("{}", Reason.MISSING_FIELD),
    ],
)
def test_required_keys(payload: str, reason: Reason | None) -> None:
    found = decode(payload, SHAPE)
    assert getattr(found, "reason", None) == reason
    if reason:
        assert "meta.id" in found.detail


@pytest.mark.parametrize(
    ("given_seq", "expected"),
    [
        ("0", 0),
        ("17", 17),
        ("17.0", 17),
        ("9007199254740991", 2**53 - 1),
        ("9007199254740992", None),
        ("9223372036854775807", None),
        ("-1", None),
        ("1.5", None),
        ('"17"', None),
        ("true", None),
        ("null", None),
        ("1e300", None),
        ("[]", None),
    ],
)
def test_sequence(given_seq: str, expected: int | None) -> None:
    assert decode(f'{{"seq":{given_seq}}}').seq == expected


# ----------------------------------------------------------------------- not a number


@pytest.mark.parametrize(
    "word", ["NaN", "nan", "-nan", "NAN", "+NaN", "inf", "-inf", "INF", "Infinity", "-nan(ind)"]
)
def test_a_value_that_is_no_number_costs_that_value_alone(word: str) -> None:
    payload = f'{{"seq":7,"t":{word},"h":51.5,"x":[1, {word}],"say":"NaN: {word}, \\"{word}"}}'
    found = decode(payload)
    assert isinstance(found, Decoded)
    assert found.text == payload
    assert (found.seq, found.not_numbers) == (7, 2)
    assert readings(PLAIN, found.body) == {"h": 51.5, "x.0": 1, "say": f'NaN: {word}, "{word}'}


def test_a_required_value_that_is_no_number_is_missing() -> None:
    assert decode('{"meta":{"id":NaN}}', SHAPE).reason is Reason.MISSING_FIELD


def test_without_such_a_word_nothing_is_counted() -> None:
    assert decode('{"nan":"nan, inf","x":1}').not_numbers == 0


@given(st.text('{}[]":,nafiNAF \\-1', max_size=40))
def test_the_lenient_reader_takes_all_that_the_strict_one_does_and_never_raises(text: str) -> None:
    found = decode(text)
    try:
        strict = json.loads(text, parse_constant=lambda _word: pytest.fail("strict"))
    except (ValueError, RecursionError, pytest.fail.Exception):
        return
    assert not isinstance(found, Decoded) or (found.body, found.not_numbers) == (strict, 0)


# ----------------------------------------------------------------------------------- times

NOON = 1_770_984_000_000  # 2026-02-13T12:00:00Z
TIMES = [
    ('"2026-02-13T12:00:00.000Z"', NOON),
    ('"2026-02-13T12:00:00Z"', NOON),
    ('"2026-02-13T12:00:00"', NOON),
    ('"2026-02-13 12:00:00"', NOON),
    ('"2026-02-13T14:00:00+02:00"', NOON),
    ('"2026-02-13T06:30:00-05:30"', NOON),
    ('"20260213T120000Z"', NOON),
    ('" 2026-02-13T12:00:00Z "', NOON),
    ('"2026-02-13T12:00:00.123456Z"', NOON + 123),
    ('"2026-02-13T12:00:00.999999Z"', NOON + 999),
    ('"2026-02-13"', NOON - 12 * 3_600_000),
    ("1770984000", NOON),
    ("1770984000.25", NOON + 250),
    ("1770984000000", NOON),
    ("1770984000000000", NOON),
    ("1770984000000000000", NOON),
    ('"1770984000"', NOON),
    ('" 1770984000.5 "', NOON + 500),
    ('"1770984000000"', NOON),
    ("1.770984e9", NOON),
]
IMPLAUSIBLE = [
    '"184467"',  # millis() since boot
    "184467",
    '"20150812"',  # millis() that would pass for a date
    "0",
    "-5",
    '"-5"',
    "true",
    "[]",
    "{}",
    '""',
    '"soon"',
    '"nan"',
    '"1_770_984_000"',
    '"' + "9" * 400 + '"',
    "1e308",
    '"2014-12-31T23:59:59Z"',
    '"2026-13-01T00:00:00Z"',
    '"0001-01-01T00:00:00+14:00"',
    '"9999-12-31T23:59:59-14:00"',
    str(NOW + 86_400_001),
]


@pytest.mark.parametrize(("given_time", "expected"), TIMES)
def test_times_of_every_form(given_time: str, expected: int) -> None:
    found = decode(f'{{"ts":{given_time}}}')
    assert (found.time_ms, found.time_source) == (expected, TimeSource.DEVICE)


@pytest.mark.parametrize("given_time", IMPLAUSIBLE)
def test_implausible_times_give_way_to_the_receive_time(given_time: str) -> None:
    found = decode(f'{{"ts":{given_time}}}')
    assert (found.time_ms, found.time_source) == (NOW, TimeSource.IMPLAUSIBLE)


QUEUED = [
    ("2026-02-13t12:00:00z", NOON),
    ("2026-02-13T12:00:00 UTC", NOON),
    ("2026-02-13 12:00:00 utc", NOON),
    ("2026-02-13T12:00:00.250 GMT", NOON + 250),
    ("2026-02-13 13:00:00 +0100", NOON),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ("2017-01-01t00:59:60.5+01:00", 1_483_228_800_500),
    ("2026-02-12T24:00:00Z", NOON - 43_200_000),
    ("2026-02-12T24:00", NOON - 43_200_000),
    ("2026-044T12:00:00Z", NOON),
    ("2026044T120000Z", NOON),
    ("2024-366T00:00:00Z", 1_735_603_200_000),
    ("2026-044", NOON - 43_200_000),
]
NEVER = [
    "2026-02-13T12:00:60Z",
    "2026-02-13T24:00:01Z",
    "2026-02-13T24:00:00.1Z",
    "2026-366T00:00:00Z",
    "2026-000T00:00:00Z",
    "2026-02-13T12:00:00 CET",
    "9999-12-31T24:00:00Z",
    "2026-02-30t12:00:00z",
]


@pytest.mark.parametrize(("text", "expected"), QUEUED)
def test_times_as_queues_keep_them(text: str, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", NEVER)
def test_times_that_never_were(text: str) -> None:
    assert parse_time(text) is None


@given(st.from_regex(r"\s*\d{4}-?\d{2,3}(-?\d\d)?[Tt ]?\d{0,2}:?\d{0,2}:?\d{0,2}[.,]?\d*.{0,6}"))
def test_no_text_raises(text: str) -> None:
    assert parse_time(text) is None or isinstance(parse_time(text), int)


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        ("12345", (NOW, "received")),
        ('"1500000000"', (NOW, "received")),  # 17.4 days, or July 2017
        ("1780000000", (NOW, "received")),
        ('"1500000000.5"', (NOW, "received")),
        (str(NOON), (NOON, "device")),
        (f'"{NOON}"', (NOON, "device")),
        ('"2026-02-13T12:00:00Z"', (NOON, "device")),
        ('"soon"', (NOW, "implausible")),
    ],
)
def test_a_dialect_can_say_that_numbers_are_uptime(
    given_time: str, expected: tuple[int, str]
) -> None:
    shape = PayloadShape(time=(("ts",),), time_numbers=TimeNumbers.UPTIME)
    found = decode(f'{{"ts":{given_time}}}', shape)
    assert (found.time_ms, found.time_source) == expected


@pytest.mark.parametrize("payload", ["{}", '{"ts":null}', '{"meta":{"ts":1770984000}}'])
def test_no_time_means_the_receive_time(payload: str) -> None:
    found = decode(payload)
    assert (found.time_ms, found.time_source) == (NOW, TimeSource.RECEIVED)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"ts":1770984000,"meta":{"id":1,"time":1770984001}}', (NOON, "device")),
        ('{"meta":{"id":1,"time":1770984001}}', (NOON + 1000, "device")),
        ('{"ts":5,"meta":{"id":1,"time":1770984001}}', (NOON + 1000, "device")),
        ('{"ts":5,"meta":{"id":1,"time":6}}', (NOW, "implausible")),
        ('{"ts":5,"meta":{"id":1}}', (NOW, "implausible")),
    ],
)
def test_places_of_the_time_are_tried_in_order(payload: str, expected: tuple[int, str]) -> None:
    found = decode(payload, SHAPE)
    assert (found.time_ms, found.time_source) == expected


@pytest.mark.parametrize(("offset", "source"), [(0, "device"), (5000, "device"), (5001, None)])
def test_the_plausible_window_can_be_set(offset: int, source: str | None) -> None:
    found = decode(f'{{"ts":{NOW + offset}}}', future_ms=5000)
    assert found.time_source == (source or "implausible")
    found = decode(f'{{"ts":{NOW - 10}}}', earliest_ms=NOW - 9)
    assert found.time_source is TimeSource.IMPLAUSIBLE


@given(st.integers(1_420_070_400_000, 4_102_444_800_000))
def test_a_time_written_by_us_is_read_back_exactly(time_ms: int) -> None:
    assert parse_time(iso(time_ms)) == time_ms
    assert parse_time(time_ms) == time_ms
    assert parse_time(str(time_ms)) == time_ms
    assert parse_time(time_ms * 1000) == time_ms
    assert parse_time(time_ms * 1_000_000) == time_ms


# --------------------------------------------------------------------------- other formats


@pytest.mark.parametrize(
    ("form", "payload", "expected"),
    [
        (Format.TEXT, b"online", "online"),
        (Format.TEXT, b"", Reason.EMPTY),
        (Format.TEXT, b"\xff", Reason.NOT_UTF8),
        (Format.TEXT, b"a\0b", Reason.NUL_CHARACTER),
        (Format.ANY, b"{not json", "{not json"),
        (Format.ANY, b"\xff\x00", "data:;base64,/wA="),
        (Format.ANY, b"a\0b", "data:;base64,YQBi"),
        (Format.ANY, b"", Reason.EMPTY),
        (Format.EITHER, b"online", "online"),
        (Format.EITHER, b"1", "1"),
        (Format.EITHER, b"{half", "{half"),
        (Format.EITHER, b"", Reason.EMPTY),
        (Format.EITHER, b"\xff", Reason.NOT_UTF8),
        (Format.EITHER, b"a\0b", Reason.NUL_CHARACTER),
        (Format.EITHER, b'{"a":1e400}', Reason.NUMBER_TOO_LARGE),
    ],
)
def test_formats(form: Format, payload: bytes, expected: str) -> None:
    found = decode(payload, PayloadShape(format=form))
    if isinstance(expected, Reason):
        assert found.reason is expected
    else:
        assert (found.text, found.body) == (expected, None)
        assert (found.time_ms, found.time_source) == (NOW, TimeSource.RECEIVED)


@pytest.mark.parametrize("form", list(Format))
def test_every_format_has_the_size_limit(form: Format) -> None:
    assert decode(b"x" * 11, PayloadShape(format=form), max_bytes=10).reason is Reason.TOO_LARGE


def test_either_reads_an_object_like_json() -> None:
    found = decode('{"ts":1770984000}', PayloadShape(format=Format.EITHER, time=(("ts",),)))
    assert (found.time_ms, found.body) == (NOON, {"ts": 1770984000})


@pytest.mark.parametrize("payload", ["[1,2]", '[{"a":1}]', "17", "true", '"on"', "null"])
def test_either_takes_what_is_no_object_as_text(payload: str) -> None:
    """It has no readings: an array is not taken apart."""
    shape = PayloadShape(format=Format.EITHER, time=(("ts",),))
    found = decode(payload, shape)
    assert (found.text, found.body, found.time_source) == (payload, None, TimeSource.RECEIVED)
    assert readings(shape, found.body) == {}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below),
    max_leaves=12,
)
ALL_SHAPES = [c.payload for d in builtin() for c in d.channels] + [
    PayloadShape(format=form) for form in Format
]


@given(
    st.one_of(
        st.binary(max_size=64),
        JSON_VALUES.map(lambda v: json.dumps(v).encode()),
        st.dictionaries(st.sampled_from(["timestamp", "ts", "seq", "id", "a"]), JSON_VALUES).map(
            lambda v: json.dumps(v, ensure_ascii=False).encode(errors="surrogatepass")
        ),
    ),
    st.sampled_from(ALL_SHAPES),
)
def test_nothing_a_device_sends_raises(payload: bytes, shape: PayloadShape) -> None:
    found = compile_decoder(shape, PayloadLimits())(payload, NOW)
    assert isinstance(found, Decoded | BadPayload)
    if isinstance(found, Decoded):
        assert "\0" not in found.text
        found.text.encode()
        assert 1_420_070_400_000 <= found.time_ms <= NOW + 86_400_000
        if found.body is not None:
            assert found.text.encode() == payload
            assert "\\u0000" not in json.dumps(found.body).replace("\\\\", "")


def depth_by_hand(payload: bytes) -> int:
    depth = deepest = 0
    text = False
    skip = False
    for byte in payload:
        if text:
            if skip:
                skip = False
            elif byte == ord("\\"):
                skip = True
            elif byte == ord('"'):
                text = False
        elif byte == ord('"'):
            text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


@given(
    value=st.recursive(
        st.none() | st.integers(0, 9) | st.text('[]{}"\\a', max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("[{", max_size=2), inner)
        ),
        max_leaves=30,
    ),
    most=st.integers(1, 6),
)
def test_depth_is_that_of_a_count_by_hand(value: object, most: int) -> None:
    payload = json.dumps(value).encode()
    assert _too_deep(payload, most) == (depth_by_hand(payload) > most)


@pytest.mark.parametrize(
    "payload",
    [
        b"{" * 250_000,
        b"[" * 250_000,
        b'{"a":' * 50_000,
        b"[" + b"[]," * 80_000 + b"[]]",
        b"[" * 32 + b'"' + b'\\"' * 100_000,  # a string that never ends
        b"[" * 33 + b'"' + b'\\"' * 100_000,
    ],
)
def test_brackets_without_end_are_judged_whole(payload: bytes) -> None:
    assert _too_deep(payload, 32) == (depth_by_hand(payload) > 32)
