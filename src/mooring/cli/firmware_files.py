"""``mooring firmware upload``, ``download``, ``manifest``, ``sign`` and ``verify``: its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.firmware import (
    Force,
    OfTenant,
    Reference,
    app,
    put,
    releases_of,
    size_of,
)
from mooring.cli.frame import Session, command
from mooring.cli.words import Reason
from mooring.errors import Conflict, Invalid, Unavailable
from mooring.later import later

with later():
    from mooring import files
    from mooring.ota.releases import documents, manifest, model

__all__ = ["app", "download", "drop", "manifest_", "sign", "upload", "verify"]

FileName = Annotated[
    str, typer.Option("--file", help="Name of the file, if the release has several.")
]


@command(app, "upload")
def upload(
    session: Session,
    release: Reference,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.")],
    *,
    name: Annotated[
        str, typer.Option("--name", help="Its name in the release. Default: as it is.")
    ] = "",
    from_sha256: Annotated[
        str,
        typer.Option("--base", metavar="DIGEST", help="SHA-256 of the file it is a difference to."),
    ] = "",
    force: Force = False,
    reason: Reason = "",
) -> None:
    """Add a file to a draft."""
    if not file.is_file():
        raise Unavailable(f"{file} is not a file.", code="file_unreadable")
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release)
        done = put(
            session,
            releases,
            found,
            file,
            name=name,
            from_sha256=from_sha256,
            force=force,
            reason=reason,
        )
    if session.out.as_json:
        session.out.document(documents.release(done))
    else:
        one = releases.artifact(done, name or file.name)
        session.out.say(f"{one.name} is added: {size_of(one.size)}, SHA-256 {one.sha256}.")


@command(app, "drop")
def drop(session: Session, release: Reference, name: FileName = "", reason: Reason = "") -> None:
    """Take a file out of a draft."""
    with session.open() as platform:
        done = releases_of(platform).drop_file(session.actor, release, name, reason=reason)
    if session.out.as_json:
        session.out.document(documents.release(done))
    else:
        session.out.say(f"{done.reference} has {len(done.artifacts)} files now.")


@command(app, "download")
def download(
    session: Session,
    release: Reference,
    out: Annotated[Path, typer.Option("--out", help="Write to this file.")],
    *,
    name: FileName = "",
    tenant: OfTenant = None,
) -> None:
    """Write a file of a release to disk."""
    with session.open() as platform:
        releases = releases_of(platform)
        one = releases.artifact(releases.get(session.actor, release, tenant=tenant), name)
        try:
            with (
                out.open("xb") as target,
                session.out.progress(f"Writing {out.name}", one.size) as progress,
            ):
                done = 0
                for piece in releases.files.read(one.sha256):
                    target.write(piece)
                    done += len(piece)
                    progress(done)
        except OSError as exc:
            raise Unavailable(
                f"{out} cannot be written: {exc.strerror}.", code="file_unwritable"
            ) from exc
    if session.out.as_json:
        session.out.document({**documents.artifact(one), "file": str(out)})
    else:
        session.out.say(f"{out} is written: {size_of(one.size)}.")


@command(app, "manifest")
def manifest_(
    session: Session, release: Reference, name: FileName = "", tenant: OfTenant = None
) -> None:
    """Print the manifest of a file: exactly the bytes that are signed, without a line end."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release, tenant=tenant)
        said = manifest.describe(found, releases.artifact(found, name))
    sys.stdout.write(manifest.canonical(said).decode())
    sys.stdout.flush()


@command(app, "sign")
def sign(
    session: Session,
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE", help="Release: product:version, its number, or a manifest's file."
        ),
    ],
    *,
    key: Annotated[
        Path | None, typer.Option("--key", help="Private key (PEM) that signs here and now.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", help="Signature that was made elsewhere (JSON).")
    ] = None,
    name: FileName = "",
) -> None:
    """Sign every file of a release, or print the signature of a manifest.

    The private key is only read. With a manifest's file no installation is needed: sign on a
    machine of its own, and pass the result with --signature.
    """
    if (key is None) == (signature is None):
        raise Invalid("Either --key or --signature is needed.", code="key_missing")
    private = None if key is None else manifest.read_private(_read(key))
    if private is not None and Path(release).is_file():
        made = manifest.sign(private, _read(Path(release)))
        sys.stdout.write(json.dumps(made._asdict()) + "\n")
        return
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release)
        wanted = [releases.artifact(found, name)] if name or signature else found.artifacts
        for one in wanted:
            if private is not None:
                signed = manifest.canonical(manifest.describe(found, one))
                given = manifest.sign(private, signed)
            else:
                assert signature is not None
                given = _signature(signature)
            done = releases.sign(session.actor, str(found.id), one.name, given)
    if not wanted:
        raise Conflict(
            f"{found.reference} has no file.",
            hint="Upload one with `mooring firmware upload`.",
            code="release_empty",
        )
    if session.out.as_json:
        session.out.document(documents.release(done))
    else:
        names = ", ".join(one.name for one in wanted)
        session.out.say(f"{names}: signed with the key {given.key}.")


@command(app, "verify")
def verify(session: Session, release: Reference, tenant: OfTenant = None) -> int:
    """Read every file again, and check digests and signatures."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release, tenant=tenant)
        total, done = sum(one.size for one in found.artifacts), 0
        with session.out.progress("Reading", total) as progress:

            def more(count: int) -> None:
                nonlocal done
                done += count
                progress(done)

            checked = releases.verify(session.actor, found, more)
    good = all(one.whole and one.signers and not one.problems for one in checked)
    if session.out.as_json:
        session.out.document(
            {"verified": good, "files": [documents.checked(one) for one in checked]}
        )
    else:
        session.out.table(
            ["File", "Content", "Signed by", "Problems"],
            [
                [
                    one.artifact.name,
                    "unchanged" if one.whole else "missing or changed",
                    ", ".join(one.signers) or "nobody",
                    "; ".join(one.problems),
                ]
                for one in checked
            ],
            empty="No files.",
            optional=("Problems",),
        )
    return 0 if good else 1


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Unavailable(
            f"{file} cannot be read: {exc.strerror}.", code="file_unreadable"
        ) from exc


def _signature(file: Path) -> model.Signature:
    try:
        said = json.loads(_read(file))
        return model.Signature(str(said["key"]), str(said["algorithm"]), str(said["value"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise Invalid(
            f"{file} does not hold a signature.",
            hint="Pass the output of `mooring firmware sign MANIFEST --key FILE`.",
            code="signature_invalid",
        ) from exc


def private_file(path: Path, content: bytes) -> None:
    """Writes a new private file; one that is there is left alone.

    Raises:
        Conflict: ``file_exists``.
    """
    if path.exists():
        raise Conflict(f"{path} exists already.", hint="Choose another file.", code="file_exists")
    files.write_atomically(path, content)
