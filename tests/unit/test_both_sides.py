"""Limits that the platform and the device SDK both have: what the SDK lets through, the platform
takes. Where they disagreed, one value could hold up a device's queue without end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mooring_device.limits
import mooring_device.options
import mooring_device.receipts
import mooring_device.sender
from mooring.commands.rules import ATTEMPTS_MAX
from mooring.device_settings.service import GUARD_MAX_MS
from mooring.devices.service import GROUPS_MAX
from mooring.dialects import (
    Decoded,
    Identity,
    PayloadLimits,
    builtin,
    compile_decoder,
    device_shape,
)
from mooring.dialects.ids import MAX_WORD_BYTES
from mooring.dialects.model import Dialect, Kind
from mooring.dialects.numbered import sequence_of
from mooring.dialects.payload import MAX_INTEGER, MAX_SEQUENCE
from mooring.ota.releases import manifest
from mooring.ota.releases.model import Artifact, Release, Signature
from mooring.ota.releases.model import Kind as ReleaseKind
from mooring.ota.releases.model import State as ReleaseState
from mooring.sequences import numbers as sequences
from mooring.sequences import worker as gap_worker
from mooring.settings import Settings
from mooring.store.version_key import KEY_MAX, version_key
from mooring.uplink.service import MESSAGES_MAX
from mooring.web.errors import BODY_MAX_BYTES
from mooring_device import configs, http_way, offers, orders, policy, shapes
from mooring_device import dialect as sdk_dialect
from mooring_device.builtin import dialect_of
from mooring_device.commands import KEEP
from mooring_device.dialect import read_shape
from mooring_device.errors import FirmwareRefused, InvalidReading
from mooring_device.limits import Limits
from mooring_device.offers import parse_offer
from mooring_device.options import Options
from mooring_device.outbox import Outbox
from mooring_device.tables import Held
from mooring_device.versions import version_key as sdk_version_key

DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}

# What the SDK allows at most, and what the platform takes at least.
PAIRS = {
    "sequence number": (mooring_device.receipts.MAX_SEQ, MAX_SEQUENCE),
    "sequence number in a receipt": (sequences.NUMBER_MAX, mooring_device.receipts.MAX_SEQ),
    "ranges in a receipt": (sequences.RECEIPT_RANGES, mooring_device.receipts.MAX_RANGES),
    "ranges asked for": (gap_worker.GAP_RANGES, mooring_device.receipts.MAX_RANGES),
    "ranges told as lost": (mooring_device.sender.TELL, sequences.RANGES_MAX),
    "bytes of a reading": (Limits().reading_bytes, DEFAULTS["payload_max_bytes"]),
    "bytes of any reading": (
        mooring_device.limits.MAX_READING_BYTES,
        DEFAULTS["message_size_limit"],
    ),
    "bytes of a request": (http_way.MAX_REQUEST_BYTES + 1_000, BODY_MAX_BYTES),
    "readings in a request": (mooring_device.options.MAX_HTTP_BATCH, MESSAGES_MAX),
    "readings in a request by default": (Options().http_batch, MESSAGES_MAX),
    "whole numbers": (shapes.MAX_INTEGER, MAX_INTEGER),
    "topics of a device in every group": (2 * GROUPS_MAX, sdk_dialect.MAX_TOPICS),
    "bytes of a word in a topic": (MAX_WORD_BYTES, sdk_dialect.MAX_KEY),
    "characters of a command's id": (MAX_WORD_BYTES, orders.MAX_ID),
    "commands without outcome": (DEFAULTS["commands_without_outcome_max"], Limits().commands),
    "commands handed over again": (ATTEMPTS_MAX * Limits().commands, KEEP),
    "seconds of a guard": (GUARD_MAX_MS // 1000, configs.GUARD_MAX),
    "nested levels": (shapes.MAX_DEPTH, PayloadLimits().max_depth),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_one_side_sends_the_other_takes(name: str) -> None:
    sent, taken = PAIRS[name]
    assert sent <= taken


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([2**63 - 1, 2**63, -(2**63), 1e308, float("nan"), float("inf"), 5e-324])
    | st.floats()
    | st.text(max_size=6),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3)
    ),
    max_leaves=12,
)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("dialect", builtin(), ids=lambda d: d.name)
@given(
    values=st.dictionaries(st.text(max_size=6), JSON | st.integers(20, 40).map(deep), max_size=4),
    ts=st.integers(0, 4_000_000_000_000),
    seq=st.sampled_from([1, 2**31, 2**52, mooring_device.receipts.MAX_SEQ]),
)
def test_a_reading_the_sdk_takes_is_stored_under_its_number(
    dialect: Dialect, values: dict[str, Any], ts: int, seq: int
) -> None:
    channel = next((c for c in dialect.ups() if c.kind is Kind.TELEMETRY), None)
    if channel is None:
        return  # traps send alerts only
    outbox = Outbox(read_shape(device_shape(dialect, Identity("t", "d"))), Limits())
    try:
        new = outbox.new("telemetry", values, ts=ts)
    except InvalidReading:
        return
    payload = outbox.outgoing(Held(seq, new.ts, *new[2:5])).payload
    found = compile_decoder(channel.payload, PayloadLimits())(payload, ts)
    assert isinstance(found, Decoded), payload
    numbered = channel.payload.sequence is not None
    assert found.seq == (seq if numbered else None)
    assert not numbered or sequence_of(payload, channel.payload.sequence) == seq


def test_the_largest_reading_is_taken_with_its_head() -> None:
    dialect = dialect_of("", {"telemetry": "t"}, {})
    outbox = Outbox(dialect, Limits(), clock=lambda: 1_790_000_000_000)
    size = Limits().reading_bytes
    while True:
        try:
            new = outbox.new("telemetry", {"x": "y" * size})
        except InvalidReading:
            size -= 1
        else:
            break
    largest = outbox.outgoing(Held(mooring_device.receipts.MAX_SEQ, new.ts, *new[2:5])).payload
    assert Limits().reading_bytes - 2 <= len(largest) <= DEFAULTS["payload_max_bytes"]


def test_the_receipt_of_what_an_older_version_stored_can_be_read() -> None:
    stored = sequences.Numbers(3, ((5, 6), (2**60, 2**63 - 1)))
    told = json.dumps(sequences.receipt(stored)).encode()
    assert mooring_device.receipts.parse_receipt(told).upto == 3
    stored = sequences.Numbers(2**63 - 1)
    told = json.dumps(sequences.receipt(stored)).encode()
    assert mooring_device.receipts.parse_receipt(told).upto == MAX_SEQUENCE


@given(st.lists(st.integers(1, 40), max_size=30))
def test_requests_are_cut_by_bytes_and_lose_nothing(sizes: list[int]) -> None:
    messages = [b"x" * size for size in sizes]
    cut = list(http_way.parts(messages, most=50))
    assert [one for some in cut for one in some] == messages
    assert all(len(some) == 1 or sum(map(len, some)) + len(some) <= 50 for some in cut)


# ------------------------------------------------------------------ firmware

TEXTS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12
)


def released(version: str, product: str, hardware: list[str]) -> tuple[Release, Artifact]:
    artifact = Artifact(1, 1, "app.bin", 812304, "a" * 64, "b" * 40, "c" * 32)
    release = Release(
        1,
        "home",
        product,
        ReleaseKind.FIRMWARE,
        version,
        tuple(hardware),
        (),
        2,
        "",
        ReleaseState.PUBLISHED,
        1_771_000_000_000,
        "ann",
        None,
        None,
        "",
        (artifact,),
    )
    return release, artifact


def offered(said: dict[str, Any], *signatures: Signature) -> bytes:
    """An offer of the platform, as it is on the wire."""
    return json.dumps(
        {
            **{key: said[key] for key in ("version", "sha256", "size", "kind", "hardware")},
            "url": "https://mooring.example/f/" + "A" * 22,
            "manifest": manifest.canonical(said).decode(),
            "signatures": [one._asdict() for one in signatures],
        }
    ).encode()


@pytest.mark.parametrize("algorithm", manifest.ALGORITHMS)
@given(version=TEXTS, product=TEXTS, hardware=st.lists(TEXTS, max_size=3))
@settings(max_examples=15, deadline=None)
def test_what_the_platform_signs_the_device_accepts(
    algorithm: str, version: str, product: str, hardware: list[str]
) -> None:
    release, artifact = released(version, product, hardware)
    said = manifest.describe(release, artifact)
    key = KEYS[algorithm]
    signature = manifest.sign(key, manifest.canonical(said))
    assert policy.FORMAT == manifest.FORMAT
    assert offers.canonical(said).encode() == manifest.canonical(said)
    trusting = policy.FirmwarePolicy(
        keys=(manifest.public_pem(key.public_key()),),
        hardware=hardware[0] if hardware else "",
    )
    offer = parse_offer(offered(said, signature), sdk_dialect.Payload())
    assert trusting.check(offer, running="") == 2
    revoked = policy.FirmwarePolicy(
        keys=(manifest.public_pem(key.public_key()),), revoked=(signature.key,)
    )
    with pytest.raises(FirmwareRefused):
        revoked.check(offer, running="")


KEYS = {algorithm: manifest.generate(algorithm) for algorithm in manifest.ALGORITHMS}

VECTOR = (
    '{"date":"2026-02-13T16:26:40.000Z","format":"mooring-firmware/1","hardware":["esp32-c3"],'
    '"kind":"firmware","product":"Türöffner","requires":[],"security_version":2,"sha256":"'
    + "a" * 64
    + '","size":812304,"version":"1.4.0"}'
)


def test_the_manifest_as_bytes() -> None:
    """Neither side may change what devices in the field verify."""
    release, artifact = released("1.4.0", "Türöffner", ["esp32-c3"])
    said = manifest.describe(release, artifact)
    assert manifest.canonical(said) == offers.canonical(said).encode() == VECTOR.encode()


@given(st.lists(TEXTS | st.from_regex(r"v?\d{1,3}(\.\d{1,3}){0,2}(-rc\d|\+b)?", fullmatch=True)))
def test_versions_have_one_order(versions: list[str]) -> None:
    for version in versions:
        assert version_key(version) == sdk_version_key(version)[:KEY_MAX]


@pytest.mark.parametrize("name", ["mooring", "pulse", "mousetrap", "iotflow"])
def test_the_device_reads_an_offer_in_each_dialect(name: str) -> None:
    """iotflow has its fields under ``parameters``, and its id under ``command_id``."""
    (dialect,) = [one for one in builtin() if one.name == name]
    identity = Identity("t", "d", mac="aa:bb:cc:dd:ee:ff")
    shape = read_shape(device_shape(dialect, identity))
    (channel, *_) = [one for one in dialect.channels if one.kind is Kind.FIRMWARE]
    found = shape.find(next(one.topics[0] for one in shape.channels if one.name == channel.name))
    assert found is not None
    release, artifact = released("1.4.0", "trap", [])
    body = json.loads(offered(manifest.describe(release, artifact)))
    whole: dict[str, Any] = {}
    shapes.put(whole, found.channel.payload.identifier or ("id",), "r7")
    if found.channel.payload.values:
        shapes.put(whole, found.channel.payload.values, body)
    else:
        whole.update(body)
    offer = parse_offer(json.dumps(whole).encode(), found.channel.payload)
    assert (offer.id, offer.version, offer.size) == ("r7", "1.4.0", 812304)
    assert offer.manifest == manifest.canonical(manifest.describe(release, artifact)).decode()
