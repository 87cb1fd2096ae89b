"""What devices report of updates, in their own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import Identity, check, load_all
from mooring.dialects.model import Kind
from mooring.ota.releases.model import Artifact, Release, Signature
from mooring.ota.releases.model import Kind as Of
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.updates.model import Code
from mooring.ota.updates.offers import Offer, TooLarge, reach_of, shaped
from mooring.ota.updates.reports import LOG_MAX, WORDS_MAX, code_of, cut, heard
from mooring.ota.updates.rules import Event

DIALECTS = load_all(None)
CHANNELS = {
    name: DIALECTS.get(name).of_kind(Kind.FIRMWARE_PROGRESS)[0]
    for name in ("mooring", "pulse", "mousetrap")
}
NOW = 1_771_000_000_000


def said(body: dict[str, Any], dialect: str = "mooring") -> Any:
    found = heard(CHANNELS[dialect], body, own_time=None, at=NOW)
    return None if found is None else found.said


@pytest.mark.parametrize("dialect", sorted(CHANNELS))
def test_the_examples_of_the_dialects(dialect: str) -> None:
    channel = CHANNELS[dialect]
    found = heard(channel, json.loads(channel.payload.example), own_time=None, at=NOW)
    assert found is not None
    assert (found.said.event, found.said.percent) == (Event.DOWNLOADING, 40)
    assert (found.uid, found.version) == ("r7-12", "1.5.0")


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ({"state": "Downloading"}, Event.DOWNLOADING),
        ({"progress": 12.5}, Event.DOWNLOADING),
        ({"status": "FLASHING"}, Event.INSTALLING),
        ({"phase": "rolled back"}, Event.FAILED),
        ({"result": "success"}, Event.INSTALLED),
        ({"error": "no power"}, Event.FAILED),
        ({"state": "later"}, Event.DEFERRED),
    ],
)
def test_words_of_firmware(body: dict[str, Any], event: Event) -> None:
    assert said(body).event is event


@pytest.mark.parametrize("body", [{}, {"state": "x"}, {"percent": True}, {"state": 5}, {"x": 1}])
def test_what_says_nothing(body: dict[str, Any]) -> None:
    assert said(body) is None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Not enough space for the image", Code.NO_SPACE),
        ("ENOSPC", Code.NO_SPACE),
        ("SHA-256 does not match", Code.DIGEST),
        ("the signature is of no trusted key", Code.SIGNATURE),
        ("HTTP 410", Code.LINK),
        ("HTTP 403", Code.HTTP_4XX),
        ("connection timed out", Code.NETWORK),
        ("esp_ota_begin failed", Code.INSTALL),
        ("The device restarted while it installed, and came back with 1.4.", Code.HEALTH),
        ("Another update is under way.", Code.REFUSED),
        ("this is a downgrade", Code.DOWNGRADE),
        ("image for other hardware", Code.HARDWARE),
        ("?", Code.UNKNOWN),
    ],
)
def test_a_code_for_the_devices_words(words: str, code: Code) -> None:
    assert code_of({}, words) == code
    assert code_of({"code": "no_space"}, words) is Code.NO_SPACE, "its own code counts first"


def test_words_and_log_are_bounded() -> None:
    found = said({"state": "failed", "error": "é" * 9000, "log": "x" * 99_999 + "end\0"})
    assert len(found.words.encode()) <= WORDS_MAX
    assert len(found.log.encode()) <= LOG_MAX
    assert found.log.endswith("end\ufffd"), "of a log the end is kept"
    assert said({"state": "failed", "log": ["a", "b"]}).log == "a\nb"


def test_how_long_a_device_puts_it_off() -> None:
    assert said({"state": "deferred", "seconds": 90}).later_ms == 90_000
    assert said({"state": "deferred", "until": NOW // 1000 + 60}).later_ms == 60_000
    assert said({"state": "deferred"}).later_ms is None


@given(st.text(st.characters(), max_size=300), st.integers(8, 100))
def test_a_text_is_cut_to_bytes(text: str, most: int) -> None:
    found = cut(text, most)
    assert len(found.encode()) <= most
    assert "\0" not in found


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
keys = st.sampled_from(
    "state status percent progress error code log id version until seconds kind type".split()  # noqa: SIM905
)


@given(st.dictionaries(keys, values), st.sampled_from(sorted(CHANNELS)))
def test_no_report_raises(body: dict[str, Any], dialect: str) -> None:
    heard(CHANNELS[dialect], body, own_time=None, at=NOW)


# ---------------------------------------------------------------------- offers

SIGNED = (Signature("0" * 16, "ed25519", "A" * 88),)
RELEASE = Release(
    *(1, "home", "trap", Of.FIRMWARE, "1.5.0", ("esp32",), (), 2, "", ReleaseState.PUBLISHED),
    *(NOW, "ada", NOW, None, ""),
)
FILE = Artifact(1, 1, "app.bin", 812_304, "9f" * 32, "", "", signatures=SIGNED)
OFFER = Offer("12", f"https://m.example/f/{'x' * 22}", RELEASE, FILE)
TRAP = Identity("home", "trap", "AA:BB:CC:DD:EE:FF")


def bodies(dialect: str, most: int = 0) -> list[dict[str, Any]]:
    found = shaped(DIALECTS.get(dialect), TRAP, OFFER, at=NOW, most=most)
    assert isinstance(found, tuple)
    assert not most or all(one.size <= most for one in found)
    return [json.loads(one.payload) for one in found]


def test_each_dialect_has_the_fields_in_their_place() -> None:
    (mooring,), (iotflow,) = bodies("mooring"), bodies("iotflow")
    for body in (mooring, iotflow["parameters"]):
        assert (body["version"], body["size"], body["kind"]) == ("1.5.0", 812_304, "firmware")
        assert body["url"] == OFFER.url
        assert json.loads(body["manifest"])["product"] == "trap"
        assert body["signatures"] == [SIGNED[0]._asdict()]
        assert (body["hardware"], body["security_version"]) == (["esp32"], 2)
    assert (mooring["id"], iotflow["command_id"]) == ("12", "12")


def test_a_small_packet_holds_what_firmware_needs() -> None:
    (body,) = bodies("mousetrap", 256)
    assert set(body) == {"id", "version", "url", "sha256", "size", "timestamp"}
    # Longer names: the time goes before the trap is left out.
    whole = shaped(DIALECTS.get("mousetrap"), TRAP, OFFER, at=NOW, most=256)
    assert isinstance(whole, tuple)
    smaller = shaped(DIALECTS.get("mousetrap"), TRAP, OFFER, at=NOW, most=whole[0].size - 1)
    assert isinstance(smaller, tuple)
    needed = {"id", "version", "url", "sha256", "size"}
    assert set(json.loads(smaller[0].payload)) == needed
    tiny = shaped(DIALECTS.get("mousetrap"), TRAP, OFFER, at=NOW, most=200)
    assert isinstance(tiny, TooLarge)
    assert tiny.most == 200 < tiny.size


def test_an_offer_never_goes_to_a_topic_of_several_devices() -> None:
    for dialect in DIALECTS.all():
        found = shaped(dialect, TRAP, OFFER, at=NOW, most=0)
        for message in found if isinstance(found, tuple) else ():
            assert "trap" in message.topic.split("/") or TRAP.mac in message.topic.split("/")


def test_smarthome_is_sent_a_command() -> None:
    (body,) = bodies("smarthome")
    assert (body["type"], body["payload"]["size"]) == ("UPDATE_FIRMWARE", 812_304)
    (small,) = bodies("smarthome", 256)
    assert small["payload"]["url"] == OFFER.url
    assert "sha256" not in small["payload"]
    assert reach_of(DIALECTS.get("smarthome"), Of.FIRMWARE)
    assert not reach_of(DIALECTS.get("drivesafe"), Of.FIRMWARE)


TASMOTA = """
name = "tasmota"
title = "Tasmota"
username = "{device}"
placeholders = { topic = "device", word = "name" }
[[channels]]
name = "state"
topic = "tele/{topic}/STATE"
direction = "up"
kind = "telemetry"
[[channels]]
name = "cmnd"
topic = "cmnd/{topic}/{word}"
direction = "down"
kind = "command"
payload.format = "text"
firmware = [
  { command = "OtaUrl", parameters = { value = "{url}" } },
  { command = "Upgrade", parameters = { value = 1 } },
]
"""


def test_two_commands_one_after_the_other() -> None:
    dialect, mistakes = check(TASMOTA, "test")
    assert mistakes == []
    assert dialect is not None
    found = shaped(dialect, TRAP, OFFER, at=NOW, most=0)
    assert isinstance(found, tuple)
    assert [(one.topic, one.payload) for one in found] == [
        ("cmnd/trap/OtaUrl", OFFER.url.encode()),
        ("cmnd/trap/Upgrade", b"1"),
    ]
    for wrong in ('"{url}"', '"x"'), ('kind = "command"', 'kind = "config"'):
        found_mistakes = check(TASMOTA.replace(*wrong), "test")[1]
        assert "channels[1].firmware" in [one.where for one in found_mistakes]
