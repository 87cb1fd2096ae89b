"""What the command line and HTTP answer of releases. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso, iso_or_none
from mooring.ota.releases.model import Artifact, Checked, Key, Release

__all__ = ["artifact", "checked", "key", "release"]


def artifact(one: Artifact) -> dict[str, Any]:
    """A file of a release."""
    return {
        "name": one.name,
        "size": one.size,
        "sha256": one.sha256,
        "sha1": one.sha1,
        "md5": one.md5,
        "from_sha256": one.from_sha256 or None,
        "image": one.image or None,
        "signatures": [signature._asdict() for signature in one.signatures],
    }


def release(found: Release) -> dict[str, Any]:
    """A release with its files."""
    return {
        "id": found.id,
        "tenant": found.tenant,
        "product": found.product,
        "kind": str(found.kind),
        "version": found.version,
        "hardware": list(found.hardware),
        "requires": list(found.requires),
        "security_version": found.security_version,
        "notes": found.notes,
        "state": str(found.state),
        "created_at": iso(found.created_at),
        "created_by": found.created_by,
        "published_at": iso_or_none(found.published_at),
        "ended_at": iso_or_none(found.ended_at),
        "reason": found.reason,
        "artifacts": [artifact(one) for one in found.artifacts],
    }


def checked(one: Checked) -> dict[str, Any]:
    """What a check of a file found."""
    return {
        "name": one.artifact.name,
        "sha256": one.artifact.sha256,
        "whole": one.whole,
        "signed_by": list(one.signers),
        "problems": list(one.problems),
    }


def key(found: Key) -> dict[str, Any]:
    """A public key."""
    return {
        "name": found.name,
        "tenant": found.tenant,
        "key": found.key,
        "algorithm": found.algorithm,
        "state": str(found.state),
        "public_key": found.pem,
        "created_at": iso(found.created_at),
        "created_by": found.created_by,
        "ended_at": iso_or_none(found.ended_at),
    }
