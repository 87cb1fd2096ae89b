"""Values of firmware releases."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "Artifact",
    "Checked",
    "Key",
    "KeyState",
    "Kind",
    "NewRelease",
    "Release",
    "Signature",
    "State",
    "Stored",
]


class Kind(StrEnum):
    """What a release replaces on the device."""

    FIRMWARE = "firmware"
    FILESYSTEM = "filesystem"
    OTHER = "other"


class State(StrEnum):
    """Where a release is; ``mooring.ota.releases.states`` has the transitions."""

    DRAFT = "draft"
    PUBLISHED = "published"
    DEPRECATED = "deprecated"
    WITHDRAWN = "withdrawn"


class KeyState(StrEnum):
    """Whether a signature of a key counts.

    A retired key signs nothing new and its signatures still count; those of a revoked one do not.
    """

    TRUSTED = "trusted"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class NewRelease:
    """A release as somebody describes it.

    Attributes:
        hardware: names of the hardware it is for; empty: any.
        requires: versions one of which must run before; empty: any.
        security_version: never goes down on a device; 0: the product does not use it.
    """

    product: str
    version: str
    tenant: str
    kind: Kind = Kind.FIRMWARE
    hardware: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    security_version: int = 0
    notes: str = ""


class Signature(NamedTuple):
    """A signature of an artifact's manifest.

    Attributes:
        key: identifier of the public key (``manifest.key_id``).
        algorithm: ``ed25519`` or ``ecdsa-p256-sha256``.
        value: base64; for ECDSA the DER form.
    """

    key: str
    algorithm: str
    value: str


class Stored(NamedTuple):
    """A file as it was received; ``size`` in bytes, digests as lower-case hexadecimal."""

    size: int
    sha256: str
    sha1: str
    md5: str
    head: bytes
    """Its first bytes, as many as ``image.HEAD_BYTES``."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a release.

    Attributes:
        name: the file's name, as devices and people see it.
        from_sha256: the file it is a difference to; empty: it is complete.
        image: what its header says, for people (``image.Image.said``).
    """

    id: int
    release: int
    name: str
    size: int
    sha256: str
    sha1: str
    md5: str
    from_sha256: str = ""
    image: str = ""
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What ``verify`` found out about one file.

    Attributes:
        whole: it is there and has not changed.
        signers: names of keys whose signatures count.
        problems: signatures that do not count, and why.
    """

    artifact: Artifact
    whole: bool
    signers: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """A release. Times are epoch milliseconds.

    Attributes:
        reason: why it was withdrawn or deprecated, or why a contradiction was accepted.
    """

    id: int
    tenant: str
    product: str
    kind: Kind
    version: str
    hardware: tuple[str, ...]
    requires: tuple[str, ...]
    security_version: int
    notes: str
    state: State
    created_at: int
    created_by: str
    published_at: int | None
    ended_at: int | None
    reason: str
    artifacts: tuple[Artifact, ...] = ()

    @property
    def reference(self) -> str:
        """As people name it."""
        return f"{self.product}:{self.version}"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that devices of a tenant trust."""

    id: int
    tenant: str
    name: str
    key: str
    algorithm: str
    pem: str
    state: KeyState
    created_at: int
    created_by: str
    ended_at: int | None
