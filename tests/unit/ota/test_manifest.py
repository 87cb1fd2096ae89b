"""What is signed, and by whom."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.ota.releases import checks, manifest
from mooring.ota.releases.model import (
    Artifact,
    Key,
    KeyState,
    Kind,
    NewRelease,
    Release,
    Signature,
    State,
)

FILE = Artifact(1, 1, "app.bin", 100, "a" * 64, "b" * 40, "c" * 32)
PAIRS = {name: manifest.generate(name) for name in manifest.ALGORITHMS}


def release(**values: object) -> Release:
    facts: dict[str, object] = {
        "id": 1,
        "tenant": "home",
        "product": "trap",
        "kind": Kind.FIRMWARE,
        "version": "1.4.0",
        "hardware": ("b", "a"),
        "requires": (),
        "security_version": 2,
        "notes": "",
        "state": State.DRAFT,
        "created_at": 1_771_000_000_000,
        "created_by": "ada",
        "published_at": None,
        "ended_at": None,
        "reason": "",
        "artifacts": (FILE,),
    }
    return Release(**{**facts, **values})  # type: ignore[arg-type]


def signed(**values: object) -> bytes:
    return manifest.canonical(manifest.describe(release(**values), FILE))


def key(private: manifest.Private, state: KeyState = KeyState.TRUSTED) -> Key:
    public = private.public_key()
    return Key(
        *(1, "home", "mine", manifest.key_id(public), manifest.algorithm_of(public)),
        *(manifest.public_pem(public), state, 0, "ada", None),
    )


def test_the_bytes_are_canonical() -> None:
    assert signed() == (
        b'{"date":"2026-02-13T16:26:40.000Z","format":"mooring-firmware/1","hardware":["a","b"],'
        b'"kind":"firmware","product":"trap","requires":[],"security_version":2,"sha256":"'
        + b"a" * 64
        + b'","size":100,"version":"1.4.0"}'
    )


@pytest.mark.parametrize("algorithm", manifest.ALGORITHMS)
def test_signatures(algorithm: str) -> None:
    private = PAIRS[algorithm]
    made = manifest.sign(private, signed())
    assert made.algorithm == algorithm
    assert manifest.verifies(private.public_key(), made, signed())
    for other in ({"version": "1.4.1"}, {"product": "x"}, {"hardware": ("a",)}, {"id": 2}):
        same = other == {"id": 2}
        assert manifest.verifies(private.public_key(), made, signed(**other)) is same
    stranger = manifest.generate(algorithm)
    assert not manifest.verifies(stranger.public_key(), made, signed())
    # Another's signature under one's own name.
    false = manifest.sign(stranger, signed())._replace(key=made.key)
    assert not manifest.verifies(private.public_key(), false, signed())
    for value in ("", "!", "AAAA", made.value[:-4]):
        assert not manifest.verifies(private.public_key(), made._replace(value=value), signed())


def test_an_algorithm_is_not_a_matter_of_the_signature() -> None:
    private = PAIRS[manifest.ED25519]
    made = manifest.sign(private, signed())._replace(algorithm=manifest.ECDSA)
    assert not manifest.verifies(private.public_key(), made, signed())


def test_openssl_verifies_them(tmp_path: Path) -> None:
    """Whoever has the public key needs nothing of ours."""
    import base64

    private = PAIRS[manifest.ECDSA]
    made = manifest.sign(private, signed())
    (tmp_path / "public.pem").write_text(manifest.public_pem(private.public_key()))
    (tmp_path / "manifest").write_bytes(signed())
    (tmp_path / "signature").write_bytes(base64.b64decode(made.value))
    done = subprocess.run(
        [
            *("openssl", "dgst", "-sha256", "-verify", "public.pem"),
            *("-signature", "signature", "manifest"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"Verified OK\n"), done.stderr


def test_keys_in_pem() -> None:
    for private in PAIRS.values():
        again = manifest.read_private(manifest.private_pem(private))
        assert manifest.key_id(again.public_key()) == manifest.key_id(private.public_key())
        pem = manifest.public_pem(private.public_key())
        assert manifest.key_id(manifest.public_key(pem)) == manifest.key_id(private.public_key())


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "nonsense",
        manifest.private_pem(PAIRS[manifest.ED25519]).decode(),
        manifest.public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
        manifest.public_pem(rsa.generate_private_key(65537, 2048).public_key()),  # type: ignore[arg-type]
    ],
    ids=["empty", "nonsense", "private", "another curve", "RSA"],
)
def test_no_public_keys(pem: str) -> None:
    with pytest.raises(Invalid) as caught:
        manifest.public_key(pem)
    assert caught.value.slug == "invalid_key"
    assert "PRIVATE" not in caught.value.message


@pytest.mark.parametrize(
    ("state", "accepted", "counts"),
    [
        (KeyState.TRUSTED, True, True),
        (KeyState.RETIRED, False, True),
        (KeyState.REVOKED, False, False),
    ],
)
def test_what_a_key_is_good_for(state: KeyState, accepted: bool, counts: bool) -> None:
    private = PAIRS[manifest.ED25519]
    made = manifest.sign(private, signed())
    keys = [key(private, state)]
    if accepted:
        assert checks.accepts(release(), FILE, made, keys) == "mine"
    else:
        with pytest.raises(Invalid, match="signs nothing new"):
            checks.accepts(release(), FILE, made, keys)
    one = Artifact(1, 1, "app.bin", 100, "a" * 64, "b" * 40, "c" * 32, signatures=(made,))
    good, bad = checks.signers(release(), one, keys)
    assert (good == ["mine"], bool(bad)) == (counts, not counts)


def test_signatures_of_strangers() -> None:
    made = manifest.sign(PAIRS[manifest.ED25519], signed())
    with pytest.raises(Invalid, match="not known to the tenant home"):
        checks.accepts(release(), FILE, made, [])
    keys = [key(PAIRS[manifest.ED25519])]
    with pytest.raises(Invalid, match=r"not of the manifest of app\.bin"):
        checks.accepts(release(version="9"), FILE, made, keys)


@given(st.text(), st.text(), st.text())
def test_any_signature(name: str, algorithm: str, value: str) -> None:
    one = Artifact(1, 1, "f", 1, "a" * 64, "", "", signatures=(Signature(name, algorithm, value),))
    private = PAIRS[manifest.ED25519]
    own = Signature(manifest.key_id(private.public_key()), algorithm, value)
    assert checks.signers(release(), one, [key(private)])[0] == []
    assert not manifest.verifies(private.public_key(), own, signed())


@pytest.mark.parametrize(
    "values",
    [
        {"product": ""},
        {"product": "a:b"},
        {"product": "a/b"},
        {"version": ""},
        {"version": " 1"},
        {"version": "1\n2"},
        {"version": "1" * 65},
        {"hardware": ("a b/c",)},
        {"hardware": tuple(map(str, range(33)))},
        {"requires": ("",)},
        {"requires": tuple(map(str, range(33)))},
        {"security_version": -1},
        {"security_version": 2**31},
        {"notes": "x" * 2001},
        {"notes": "a\u202eb"},
    ],
)
def test_what_no_release_may_have(values: dict[str, object]) -> None:
    facts: dict[str, object] = {"product": "trap", "version": "1", "tenant": "home"}
    with pytest.raises(Invalid):
        checks.checked(NewRelease(**{**facts, **values}))  # type: ignore[arg-type]


def test_repeated_hardware_counts_once() -> None:
    new = NewRelease("trap", "1", "home", hardware=("a", "b", "a"), notes="two\nlines")
    assert checks.checked(new).hardware == ("a", "b")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "x" * 129, "a\0b"])
def test_no_file_names(name: str) -> None:
    with pytest.raises(Invalid):
        checks.file_name(name)


@pytest.mark.parametrize("name", ["app.bin", "app 1.2.3+4 (final).swu", "größe.bin"])
def test_file_names(name: str) -> None:
    checks.file_name(name)


@pytest.mark.parametrize("text", ["", "a" * 63, "g" * 64, "a" * 65])
def test_no_digests(text: str) -> None:
    with pytest.raises(Invalid):
        checks.digest(text)
    assert checks.digest("AB" * 32) == "ab" * 32


def test_the_manifest_of_a_difference_names_its_origin() -> None:
    one = Artifact(1, 1, "d.bin", 1, "a" * 64, "", "", from_sha256="d" * 64)
    assert (
        json.loads(manifest.canonical(manifest.describe(release(), one)))["from_sha256"] == "d" * 64
    )
    assert "from_sha256" not in manifest.describe(release(), FILE)
