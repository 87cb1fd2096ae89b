"""Which firmware a device accepts, decided before anything is downloaded.

Pure, apart from the keys. Signatures need ``cryptography``: ``pip install mooring-device[key]``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_device.errors import FirmwareRefused, InvalidSetting
from mooring_device.offers import Offer, Signature
from mooring_device.versions import version_key

__all__ = ["FORMAT", "FirmwarePolicy", "key_id"]

FORMAT = "mooring-firmware/1"
_KEY_ID = re.compile("[0-9a-f]{16}")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def key_id(der: bytes) -> str:
    """The name of a public key: the beginning of the SHA-256 of its SubjectPublicKeyInfo."""
    return hashlib.sha256(der).hexdigest()[:16]


@dataclass(frozen=True)
class FirmwarePolicy:
    """What a device accepts.

    Args:
        keys: public keys in PEM whose signatures count, Ed25519 or ECDSA P-256; each text may
            hold several. One valid signature is enough.
        revoked: names of keys (16 hexadecimal digits) whose signatures do not count.
        unsigned: accept offers without a signature.
        hardware: name of this hardware, compared with those of the release.
        product: name of the product; empty: not compared.
        kinds: kinds of releases that the application can install.
        security_version: of the firmware that runs; a lower one is rejected.
        downgrade: accept versions older than the one that runs.
        confirm_within: seconds within which the application calls ``confirm()`` after it has
            started with the new version; 0: an update is done when the new version runs.

    Raises:
        InvalidSetting: a key cannot be used, or ``cryptography`` is not installed.
    """

    keys: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    unsigned: bool = False
    hardware: str = ""
    product: str = ""
    kinds: tuple[str, ...] = ("firmware",)
    security_version: int = 0
    downgrade: bool = False
    confirm_within: float = 0.0
    _known: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("keys", "revoked", "kinds"):
            if isinstance(getattr(self, name), str):
                raise InvalidSetting(f"The policy's {name} are a text, not a list of texts.")
        if not all(_KEY_ID.fullmatch(name) for name in self.revoked):
            raise InvalidSetting(
                "A revoked key is not the name of a key.",
                hint="Names are 16 hexadecimal digits in lower case: `mooring firmware key list`.",
            )
        for text in self.keys:
            found = _PEM.findall(text)
            if not found:
                raise InvalidSetting(
                    "A firmware key is not a public key in PEM.",
                    hint="`mooring firmware key create` writes one.",
                )
            for pem in found:
                name, key = _load(pem)
                self._known[name] = key

    @property
    def accepts_anything(self) -> bool:
        """Whether an offer can be accepted at all."""
        return self.unsigned or bool(self._known)

    def check(self, offer: Offer, *, running: str, security_version: int = 0) -> int:
        """Checks an offer before it is downloaded.

        Args:
            running: the version that runs, or "".
            security_version: the highest one that was installed.

        Returns:
            The security version of the offer.

        Raises:
            FirmwareRefused: with the code ``signature``, ``hardware``, ``downgrade`` or
                ``refused``.
        """
        said = self._said(offer)
        if offer.kind not in self.kinds:
            raise FirmwareRefused(
                f"The offer is of the kind {offer.kind}, which this device does not install.",
                code="refused",
            )
        hardware = said["hardware"]
        if hardware and self.hardware.casefold() not in [one.casefold() for one in hardware]:
            own = f"is {self.hardware}" if self.hardware else "does not name its hardware"
            raise FirmwareRefused(
                f"The firmware is for {', '.join(hardware)}, and this device {own}.",
                code="hardware",
            )
        if self.product and said["product"] and said["product"] != self.product:
            raise FirmwareRefused(
                f"The firmware is of the product {said['product']}, not of {self.product}.",
                code="hardware",
            )
        least = max(self.security_version, security_version)
        own_version = int(said["security_version"])
        if own_version < least:
            raise FirmwareRefused(
                f"The security version {said['security_version']} is lower than {least}.",
                code="downgrade",
            )
        if not running or offer.kind != "firmware":
            return own_version
        now = version_key(running)
        if version_key(offer.version) < now and not self.downgrade:
            raise FirmwareRefused(
                f"The version {offer.version} is older than {running}, which runs. The program "
                "accepts older ones with FirmwarePolicy(downgrade=True) only.",
                code="downgrade",
            )
        requires = said["requires"]
        if requires and now not in [version_key(one) for one in requires]:
            raise FirmwareRefused(
                f"The version {offer.version} needs one of {', '.join(requires)} before it; "
                f"{running} runs.",
                code="refused",
            )
        return own_version

    def _said(self, offer: Offer) -> dict[str, Any]:
        """What the offer says of itself; of a signed one, what its manifest says.

        Raises:
            FirmwareRefused: the signature does not count, or the manifest is of another image.
        """
        plain = {
            "hardware": list(offer.hardware),
            "requires": [],
            "product": "",
            "security_version": offer.security_version,
        }
        manifest = _read(offer.manifest) if offer.manifest else {}
        if manifest:
            _same(offer, manifest)
        if self._known and (offer.signatures or not self.unsigned):
            self._verify(offer)
        elif not self.unsigned:
            raise FirmwareRefused(
                "This device knows no firmware key and does not accept unsigned firmware.",
                hint="Give the device a FirmwarePolicy with keys.",
                code="signature",
            )
        if not manifest:
            return plain
        nothing = {"hardware": [], "requires": [], "product": "", "security_version": 0}
        return {key: manifest.get(key, nothing[key]) for key in nothing}

    def _verify(self, offer: Offer) -> None:
        if not offer.signatures or not offer.manifest:
            raise FirmwareRefused("The firmware is not signed.", code="signature")
        problems = []
        for signature in offer.signatures:
            problem = self._problem(signature, offer.manifest.encode())
            if not problem:
                return
            problems.append(problem)
        raise FirmwareRefused(
            f"No signature of the firmware counts: {'; '.join(problems)}.", code="signature"
        )

    def _problem(self, signature: Signature, signed: bytes) -> str:
        name = signature.key[:16]
        if name in self.revoked:
            return f"the key {name} is revoked"
        key = self._known.get(signature.key)
        if key is None:
            return f"the key {name} is not known"
        if not _verifies(key, signature.value, signed):
            return f"that of the key {name} is not of this firmware"
        return ""


def _read(text: str) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
        kinds = {"hardware": list, "requires": list, "product": str, "security_version": int}
        right = all(isinstance(manifest.get(key, kind()), kind) for key, kind in kinds.items())
        lists = [*manifest.get("hardware", []), *manifest.get("requires", [])]
        right = right and all(isinstance(one, str) for one in lists)
    except (ValueError, RecursionError, AttributeError, TypeError) as exc:
        raise FirmwareRefused("The manifest cannot be read.", code="signature") from exc
    if not right or manifest.get("format") != FORMAT:
        raise FirmwareRefused(f"The manifest is not of the format {FORMAT}.", code="signature")
    return dict(manifest)


def _same(offer: Offer, manifest: Mapping[str, Any]) -> None:
    """An old manifest with a valid signature may be offered under a new name."""
    for name in ("version", "kind", "sha256", "size"):
        if manifest.get(name) != getattr(offer, name):
            raise FirmwareRefused(
                f"The signed {name} is {str(manifest.get(name))[:80]}, and the offer says "
                f"{getattr(offer, name)}.",
                code="signature",
            )


def _load(pem: str) -> tuple[str, Any]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  an extra
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415  an extra
    except ImportError as exc:
        raise InvalidSetting(
            "Firmware keys need the package cryptography.",
            hint="pip install 'mooring-device[key]'",
        ) from exc
    try:
        key: Any = serialization.load_pem_public_key(pem.encode())
    except Exception as exc:
        raise InvalidSetting("A firmware key cannot be read.") from exc
    curve = getattr(getattr(key, "curve", None), "name", "")
    is_ec = isinstance(key, ec.EllipticCurvePublicKey) and curve == "secp256r1"
    if not is_ec and not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidSetting("A firmware key is neither of Ed25519 nor of ECDSA P-256.")
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key_id(der), key


def _verifies(key: Any, value: str, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  an extra
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  an extra
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  an extra

    # The algorithm is a matter of the key, not of what the offer says.
    how = (ec.ECDSA(hashes.SHA256()),) if isinstance(key, ec.EllipticCurvePublicKey) else ()
    try:
        key.verify(base64.b64decode(value, validate=True), signed, *how)
    except (InvalidSignature, ValueError):
        return False
    return True
