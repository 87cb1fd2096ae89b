"""Rules about releases and signatures. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from mooring.dialects import check_text, check_word
from mooring.errors import Invalid
from mooring.ota.releases import image, manifest
from mooring.ota.releases.model import Artifact, Key, KeyState, NewRelease, Release, Signature

__all__ = [
    "FILE_NAME_MAX",
    "HARDWARE_MAX",
    "NOTES_MAX",
    "REQUIRES_MAX",
    "SECURITY_VERSION_MAX",
    "VERSION_MAX",
    "accepts",
    "checked",
    "digest",
    "file_name",
    "fits",
    "no_reason",
    "signers",
]

VERSION_MAX = 64
"""Characters of a version."""
HARDWARE_MAX = 32
"""Names of hardware of one release."""
REQUIRES_MAX = 32
"""Versions that one release requires."""
FILE_NAME_MAX = 128
"""Characters of a file's name."""
NOTES_MAX = 2000
"""Characters of the notes on a release."""
SECURITY_VERSION_MAX = 2**31 - 1

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def checked(new: NewRelease) -> NewRelease:
    """A description of a release, as it is stored.

    Raises:
        Invalid: a name, version, list or number is not valid.
    """
    check_word(new.product, "product")
    if ":" in new.product:
        raise Invalid(
            f"The product {new.product!r} contains a colon.",
            hint="A release is named product:version, so the product has no colon.",
            code="invalid_name",
        )
    _version(new.version)
    for one in new.requires:
        _version(one)
    for one in new.hardware:
        check_word(one, "hardware")
    for what, values, most in (
        ("hardware names", new.hardware, HARDWARE_MAX),
        ("required versions", new.requires, REQUIRES_MAX),
    ):
        if len(values) > most:
            raise Invalid(f"A release has at most {most} {what}.", code="too_many_values")
    if not 0 <= new.security_version <= SECURITY_VERSION_MAX:
        raise Invalid(
            f"The security version is not between 0 and {SECURITY_VERSION_MAX}.",
            code="invalid_number",
        )
    for line in new.notes.splitlines():
        check_text(line, "notes")
    if len(new.notes) > NOTES_MAX:
        raise Invalid(f"The notes have more than {NOTES_MAX} characters.", code="text_too_long")
    return replace(
        new,
        hardware=tuple(dict.fromkeys(new.hardware)),
        requires=tuple(dict.fromkeys(new.requires)),
    )


def _version(text: str) -> None:
    plain = text.strip()
    if not plain or plain != text or len(text) > VERSION_MAX or not text.isprintable():
        raise Invalid(
            f"{text!r} is not a version.",
            hint=f"A version has 1 to {VERSION_MAX} characters, such as 1.4.0 or 1.4.0-rc1.",
            code="invalid_version",
        )


def file_name(name: str) -> None:
    """Checks the name of a file, which is part of its address.

    Raises:
        Invalid: ``invalid_name``.
    """
    check_text(name, "file name")
    is_path = bool(set(name) & set("/\\"))
    if is_path or not name.strip(". ") or name[0] == "." or len(name) > FILE_NAME_MAX:
        raise Invalid(
            f"{name!r} is not a file name.",
            hint=f"1 to {FILE_NAME_MAX} characters, without / and \\, and no dot in front.",
            code="invalid_name",
        )


def digest(text: str) -> str:
    """A SHA-256 in hexadecimal, in lower case.

    Raises:
        Invalid: it is none.
    """
    plain = text.lower()
    if not _SHA256.fullmatch(plain):
        raise Invalid(f"{text!r} is not a SHA-256 of 64 hexadecimal digits.", code="invalid_digest")
    return plain


def fits(release: Release, found: image.Image | None, *, force: bool, reason: str) -> None:
    """Checks that the header of a file does not contradict its release.

    Args:
        force: although it does; takes a reason.

    Raises:
        Invalid: ``image_contradicts``; ``reason_needed``.
    """
    if force and not reason.strip():
        raise no_reason("--force")
    if found is None or force:
        return
    wrong = image.contradictions(
        found,
        product=release.product,
        version=release.version,
        hardware=release.hardware,
        security_version=release.security_version,
    )
    if wrong:
        raise Invalid(
            f"The file contradicts the release: {'; '.join(wrong)}.",
            hint="Correct the release, or use --force with a --reason.",
            code="image_contradicts",
        )


def no_reason(what: str) -> Invalid:
    """The error for an action without its reason."""
    return Invalid(f"{what} needs a reason.", hint="Add --reason.", code="reason_needed")


def signers(
    release: Release, artifact: Artifact, keys: Sequence[Key]
) -> tuple[list[str], list[str]]:
    """Names of the keys whose signatures of a file count, and why others do not."""
    signed = manifest.canonical(manifest.describe(release, artifact))
    known = {key.key: key for key in keys}
    good, bad = [], []
    for signature in artifact.signatures:
        key = known.get(signature.key)
        if key is None:
            bad.append(f"the key {signature.key} is not known")
        elif key.state is KeyState.REVOKED:
            bad.append(f"the key {key.name} is revoked")
        elif not manifest.verifies(manifest.public_key(key.pem), signature, signed):
            bad.append(f"the signature of the key {key.name} is not of this file")
        else:
            good.append(key.name)
    return good, bad


def accepts(release: Release, artifact: Artifact, signature: Signature, keys: Sequence[Key]) -> str:
    """Whether a new signature may be added; the name of its key.

    Raises:
        Invalid: ``signature_invalid``: of no trusted key, or of something else.
    """
    key = next((one for one in keys if one.key == signature.key), None)
    if key is None:
        problem = f"The key {signature.key[:16]} is not known to the tenant {release.tenant}"
        hint = "Add it with `mooring firmware key add`."
    elif key.state is not KeyState.TRUSTED:
        problem = f"The key {key.name} is {key.state} and signs nothing new"
        hint = "Sign with another key."
    elif not manifest.verifies(
        manifest.public_key(key.pem),
        signature,
        manifest.canonical(manifest.describe(release, artifact)),
    ):
        problem = f"The signature is not of the manifest of {artifact.name}"
        hint = "Sign the output of `mooring firmware manifest` unchanged."
    else:
        return key.name
    raise Invalid(f"{problem}.", hint=hint, code="signature_invalid")
