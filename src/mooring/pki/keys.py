"""Private keys: making, writing and naming them."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from mooring.errors import Invalid
from mooring.pki.model import KeyType

__all__ = ["PrivateKey", "PublicKey", "check_public_key", "key_name", "key_pem", "make_key", "same"]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}
_RSA_BITS = range(2048, 8193)  # below is weak, above stalls the broker at each connect


def make_key(key_type: KeyType) -> PrivateKey:
    """A new private key."""
    if key_type is KeyType.RSA_2048:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM: write it to a file with mode 0600 only."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_name(key: PublicKeyTypes) -> str:
    """A public key's type in one word: ``ec-p256``, ``rsa-2048``, ``ed25519``."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, f"ec-{key.curve.name}")
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lower()


def check_public_key(key: PublicKeyTypes) -> PublicKey:
    """The key itself when a broker and its clients can be expected to take it.

    Raises:
        Invalid: the type is unknown to TLS libraries on devices, or the key is too weak.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise Invalid(
        f"A {key_name(key)} key cannot be used for a certificate here.",
        hint="Create an EC key on P-256, or an RSA key of 2048 to 8192 bits.",
        code="unusable_key",
    )


def same(one: PublicKeyTypes, other: PublicKeyTypes) -> bool:
    """Whether two public keys are one and the same."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    der = serialization.Encoding.DER
    return one.public_bytes(der, spki) == other.public_bytes(der, spki)
