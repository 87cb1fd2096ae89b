"""What is signed: not the image, but a statement about it. Pure.

A signature of an image alone would let any old signed image be offered again under a new name.
The manifest names product, version and hardware next to the digest, so a device checks all of
them at once, before it downloads anything. It is canonical JSON: keys sorted, no spaces, UTF-8,
texts and whole numbers only (RFC 8785 for these types).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from mooring.dialects import iso
from mooring.errors import Invalid
from mooring.ota.releases.model import Artifact, Release, Signature

__all__ = [
    "ALGORITHMS",
    "FORMAT",
    "algorithm_of",
    "canonical",
    "describe",
    "generate",
    "key_id",
    "private_pem",
    "public_key",
    "public_pem",
    "read_private",
    "sign",
    "verifies",
]

FORMAT = "mooring-firmware/1"
ED25519, ECDSA = "ed25519", "ecdsa-p256-sha256"
ALGORITHMS = (ED25519, ECDSA)
"""Small devices with mbedTLS verify only the second one."""

Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def describe(release: Release, artifact: Artifact) -> dict[str, Any]:
    """The manifest of an artifact, as values."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "product": release.product,
        "kind": str(release.kind),
        "version": release.version,
        "security_version": release.security_version,
        "hardware": sorted(release.hardware),
        "requires": sorted(release.requires),
        "size": artifact.size,
        "sha256": artifact.sha256,
        "date": iso(release.created_at),
    }
    if artifact.from_sha256:
        said["from_sha256"] = artifact.from_sha256
    return said


def canonical(manifest: dict[str, Any]) -> bytes:
    """The bytes that are signed."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_id(key: Public) -> str:
    """The name of a public key in signatures: the beginning of the SHA-256 of its
    SubjectPublicKeyInfo."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:16]


def algorithm_of(key: Public | Private) -> str:
    """The name of what it signs with."""
    edwards = isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey)
    return ED25519 if edwards else ECDSA


def public_key(pem: str) -> Public:
    """A public key, in PEM.

    Raises:
        Invalid: ``invalid_key``: something else, a private key among it.
    """
    if "PRIVATE KEY" in pem:
        raise Invalid(
            "That is a private key.",
            hint="Pass the public key only. The private key stays with the person who signs.",
            code="invalid_key",
        )
    try:
        return _usable(serialization.load_pem_public_key(pem.encode()))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise _no_key("a public key") from exc


def read_private(pem: bytes, password: bytes | None = None) -> Private:
    """A private key, in PEM.

    Raises:
        Invalid: ``invalid_key``: something else, or the password does not fit.
    """
    try:
        found = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _no_key("a private key", str(exc)) from exc
    if not isinstance(found, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise _no_key("a private key")
    _usable(found.public_key())
    return found


def _usable(key: PublicKeyTypes | PrivateKeyTypes) -> Public:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise _no_key("a key")


def _no_key(what: str, detail: str = "") -> Invalid:
    return Invalid(
        f"The file does not hold {what} for Ed25519 or ECDSA P-256"
        f"{f' that can be read: {detail}' if detail else ''}.",
        hint="`mooring firmware key create NAME --out FILE` makes one.",
        code="invalid_key",
    )


def generate(algorithm: str) -> Private:
    """A new private key."""
    if algorithm == ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: Private) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: Public) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def sign(key: Private, signed: bytes) -> Signature:
    """A signature of these bytes."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        value = key.sign(signed)
    else:
        value = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return Signature(key_id(key.public_key()), algorithm_of(key), base64.b64encode(value).decode())


def verifies(key: Public, signature: Signature, signed: bytes) -> bool:
    """Whether the signature is this key's, of these bytes."""
    if signature.key != key_id(key) or signature.algorithm != algorithm_of(key):
        return False
    try:
        value = base64.b64decode(signature.value, validate=True)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(value, signed)
        else:
            key.verify(value, signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
