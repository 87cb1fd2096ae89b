"""Which firmware a device accepts: signatures of a set of keys, hardware, versions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mooring_device.errors import FirmwareRefused, InvalidSetting
from mooring_device.offers import Offer, Signature, canonical, parse_offer
from mooring_device.policy import FORMAT, FirmwarePolicy, key_id
from mooring_device.versions import version_key

ED, STRANGE = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
MANIFEST: dict[str, Any] = {
    "format": FORMAT,
    "product": "trap",
    "kind": "firmware",
    "version": "1.10.0",
    "security_version": 3,
    "hardware": ["esp32-c3", "esp32-s3"],
    "requires": [],
    "size": 5,
    "sha256": "a" * 64,
    "date": "2026-01-01T00:00:00.000Z",
}


def pem(key: Any) -> str:
    return str(
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def name(key: Any) -> str:
    return key_id(
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def sign(key: Any, signed: bytes) -> Signature:
    how = (ec.ECDSA(hashes.SHA256()),) if isinstance(key, ec.EllipticCurvePrivateKey) else ()
    return Signature(name(key), base64.b64encode(key.sign(signed, *how)).decode())


def offer(*keys: Any, manifest: dict[str, Any] | None = None, **more: Any) -> Offer:
    said = {**MANIFEST, **(manifest or {})}
    text = canonical(said)
    given: dict[str, Any] = {
        "version": said["version"],
        "url": "https://x/fw",
        "sha256": said["sha256"],
        "size": said["size"],
        "kind": said["kind"],
        "manifest": text,
        "signatures": tuple(sign(key, text.encode()) for key in keys),
    }
    return Offer(**{**given, **more})


def policy(**more: Any) -> FirmwarePolicy:
    given: dict[str, Any] = {"keys": (pem(ED) + pem(EC),), "hardware": "ESP32-C3"}
    return FirmwarePolicy(**{**given, **more})


def code(one: FirmwarePolicy, given: Offer, running: str = "1.9.0", **more: Any) -> str:
    try:
        one.check(given, running=running, **more)
    except FirmwareRefused as exc:
        return exc.code
    return ""


@pytest.mark.parametrize("keys", [(ED,), (EC,), (STRANGE, EC), (ED, EC)])
def test_one_signature_of_a_known_key_is_enough(keys: tuple[Any, ...]) -> None:
    assert policy().check(offer(*keys), running="1.9.0") == 3


def test_signatures_that_do_not_count() -> None:
    assert code(policy(), offer()) == "signature"
    assert code(policy(), offer(STRANGE)) == "signature"
    assert code(policy(revoked=(name(ED),)), offer(ED)) == "signature"
    assert code(policy(revoked=(name(ED),)), offer(ED, EC)) == ""
    good = offer(ED)
    changed = canonical({**MANIFEST, "product": "other"})
    assert code(policy(), Offer(**{**vars(good), "manifest": changed})) == "signature"
    swapped = (Signature(name(EC), good.signatures[0].value),)
    assert code(policy(), Offer(**{**vars(good), "signatures": swapped})) == "signature"
    nonsense = (Signature(name(ED), "not base64!"), Signature(name(EC), ""))
    assert code(policy(), Offer(**{**vars(good), "signatures": nonsense})) == "signature"
    # Signatures without the manifest they are of, and the other way round.
    assert code(policy(), Offer(**{**vars(good), "manifest": ""})) == "signature"
    for text in ("{}", "[]", "x", canonical({**MANIFEST, "format": "other/1"})):
        assert code(policy(), Offer(**{**vars(good), "manifest": text})) == "signature"


@pytest.mark.parametrize(
    "lie",
    [
        {"version": "2.0"},
        {"sha256": "b" * 64},
        {"size": 6},
        {"kind": "filesystem"},
    ],
)
def test_an_old_signed_image_under_a_new_name(lie: dict[str, Any]) -> None:
    assert code(policy(kinds=("firmware", "filesystem")), offer(ED, **lie)) == "signature"
    # Also where signatures are not needed: the manifest contradicts its own offer.
    assert code(FirmwarePolicy(unsigned=True, hardware="esp32-c3"), offer(**lie)) != ""


def test_other_hardware() -> None:
    assert code(policy(hardware="esp32"), offer(ED)) == "hardware"
    assert code(policy(hardware=""), offer(ED)) == "hardware"
    assert code(policy(hardware=""), offer(ED, manifest={"hardware": []})) == ""
    assert code(policy(product="lamp"), offer(ED)) == "hardware"
    assert code(policy(product="trap"), offer(ED)) == ""
    # What the offer says next to its signed manifest does not count.
    assert code(policy(hardware="esp32"), offer(ED, hardware=("esp32",))) == "hardware"


def test_downgrades() -> None:
    assert code(policy(), offer(ED), running="1.10.1") == "downgrade"
    assert code(policy(), offer(ED, manifest={"version": "1.9"}), running="1.10") == "downgrade"
    assert code(policy(), offer(ED), running="1.10.0-rc1") == ""
    assert code(policy(downgrade=True), offer(ED), running="2.0") == ""
    assert code(policy(), offer(ED), running="") == ""
    assert code(policy(downgrade=True), offer(ED), security_version=4) == "downgrade"
    assert code(policy(security_version=4, downgrade=True), offer(ED)) == "downgrade"
    assert code(policy(security_version=3), offer(ED), security_version=3) == ""
    other = offer(ED, manifest={"kind": "filesystem", "version": "0.1"})
    assert code(policy(), other) == "refused"
    assert code(policy(kinds=("filesystem",)), other) == ""  # counts its versions for itself


def test_versions_that_have_to_run_before() -> None:
    bridge = offer(ED, manifest={"requires": ["1.8", "v1.9"]})
    assert code(policy(), bridge, running="1.9.0") == ""
    assert code(policy(), bridge, running="1.7") == "refused"


def test_unsigned_only_if_the_program_allows_it() -> None:
    plain = Offer("1.10", "https://x/fw", "a" * 64, 5)
    assert code(FirmwarePolicy(), plain) == "signature"
    assert code(policy(), plain) == "signature"
    assert code(FirmwarePolicy(unsigned=True), plain) == ""
    assert code(policy(unsigned=True), plain) == ""
    assert code(policy(unsigned=True), offer(STRANGE)) == "signature"
    assert code(FirmwarePolicy(unsigned=True, hardware="esp32-c3"), offer(STRANGE)) == ""
    assert not FirmwarePolicy().accepts_anything
    # The checks that need no signature are made all the same.
    other = Offer("1.10", "https://x/fw", "a" * 64, 5, hardware=("x",), security_version=1)
    assert code(FirmwarePolicy(unsigned=True), other) == "hardware"
    assert code(FirmwarePolicy(unsigned=True, security_version=2), plain) == "downgrade"
    assert code(FirmwarePolicy(unsigned=True), plain, running="2") == "downgrade"


def test_keys_that_cannot_be_used() -> None:
    small = rsa.generate_private_key(65537, 2048)
    p384 = ec.generate_private_key(ec.SECP384R1())
    begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    for text in ("", "x", pem(small), pem(p384), f"{begin}\nAAAA\n{end}"):
        with pytest.raises(InvalidSetting):
            FirmwarePolicy(keys=(text,))
    with pytest.raises(InvalidSetting):
        FirmwarePolicy(keys=pem(ED))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hardware": 5},
        {"hardware": [5]},
        {"hardware": ["x"] * 65},
        {"security_version": -1},
        {"security_version": "3"},
        {"manifest": 5},
        {"manifest": "x" * 16_385},
        {"signatures": {}},
        {"signatures": [{}]},
        {"signatures": [{"key": "k", "value": "v"}] * 33},
    ],
)
def test_offers_that_are_not_read(wrong: dict[str, Any]) -> None:
    from mooring_device.dialect import Payload

    plain = {"version": "1", "url": "https://x/y", "sha256": "a" * 64, "size": 5}
    assert parse_offer(json.dumps(plain).encode(), Payload())
    with pytest.raises(FirmwareRefused):
        parse_offer(json.dumps({**plain, **wrong}).encode(), Payload())


def test_an_offer_survives_the_store() -> None:
    given = offer(ED, EC, hardware=("a", "b"), id="r1")
    from dataclasses import asdict

    assert Offer.kept(json.loads(json.dumps(asdict(given)))) == given
    old = {"version": "1", "url": "u", "sha256": "s", "size": 1, "id": "", "signature": ""}
    assert Offer.kept(old) == Offer("1", "u", "s", 1)


def test_the_manifest_may_come_as_an_object() -> None:
    from mooring_device.dialect import Payload

    given = offer(ED)
    body = {
        "version": given.version,
        "url": given.url,
        "sha256": given.sha256,
        "size": given.size,
        "manifest": json.loads(given.manifest),
        "signatures": [one._asdict() for one in given.signatures],
    }
    read = parse_offer(json.dumps(body).encode(), Payload())
    assert read.manifest == given.manifest
    assert code(policy(), read) == ""


def test_versions_in_order() -> None:
    order = ["1.4.0-rc1", "1.4", "1.4.0b", "1.9", "v1.10.0+7", "2"]
    assert sorted(order, key=version_key) == order
    assert version_key("1.4") == version_key("v1.4.0") == version_key("1.4.0+build")


def test_what_a_signed_manifest_leaves_out_is_not_taken_from_the_offer() -> None:
    said = {key: value for key, value in MANIFEST.items() if key != "security_version"}
    text = canonical(said)
    signed = offer(manifest=None)
    replayed = Offer(
        **{
            **vars(signed),
            "manifest": text,
            "signatures": (sign(ED, text.encode()),),
            "security_version": 99,
        }
    )
    assert code(policy(security_version=5), replayed) == "downgrade"


def test_a_revoked_key_has_a_name() -> None:
    for wrong in (name(ED).upper(), f" {name(ED)}", f"{name(ED)}00", ""):
        with pytest.raises(InvalidSetting):
            policy(revoked=(wrong,))
