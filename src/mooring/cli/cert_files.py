"""Files that ``mooring cert`` reads and writes."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mooring.cli.words import read_password
from mooring.errors import Conflict, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from mooring.pki.bundle import DeviceBundle

__all__ = ["CertificateTarget", "pkcs12_password", "read_request", "write_certificate"]

PASSWORD_VARIABLE = "MOORING_PKCS12_PASSWORD"  # noqa: S105 - a variable's name
REQUEST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CertificateTarget:
    """Where a new key goes: ``device.key`` with its certificate, or one PKCS#12 file."""

    folder: Path
    secret: Path
    pkcs12: bool

    @classmethod
    def of(cls, folder: Path, *, pkcs12: bool) -> CertificateTarget:
        return cls(folder, folder / ("device.p12" if pkcs12 else "device.key"), pkcs12)

    def prepare(self) -> None:
        """Makes the folder.

        Raises:
            Conflict: a key exists there; it is never overwritten.
            Unavailable: the folder cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise _unwritable(self.folder, exc) from exc
        if self.secret.exists():
            raise Conflict(
                f"{self.secret} already exists.",
                hint="Give another folder with --out, or move the old file away.",
                code="key_exists",
            )
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise _unwritable(self.folder, PermissionError(13, "permission denied"))

    def write(self, bundle: DeviceBundle, password: str | None) -> dict[str, Path]:
        """Writes the key with mode 0600 and the other files; returns name → path."""
        if self.pkcs12:
            _write_secret(self.secret, bundle.pkcs12(password or ""))
            return {"PKCS#12": self.secret}
        key = bundle.key_pem
        assert key is not None  # it was made here
        _write_secret(self.secret, key)
        return {"key": self.secret, **write_certificate(bundle, self.folder, "device")}


def write_certificate(bundle: DeviceBundle, folder: Path, stem: str) -> dict[str, Path]:
    """Writes ``STEM.crt`` and ``ca.crt``; both are public, and existing files are replaced.

    Raises:
        Unavailable: the folder cannot be made or written.
    """
    certificate, trust = folder / f"{stem}.crt", folder / "ca.crt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate.write_bytes(bundle.certificate)
        trust.write_bytes(bundle.trust)
    except OSError as exc:
        raise _unwritable(folder, exc) from exc
    return {"certificate": certificate, "CA": trust}


def read_request(path: Path) -> bytes:
    """Signing request; ``-`` is standard input.

    Raises:
        NotFound: there is no such file.
        Unavailable: it cannot be read.
    """
    if str(path) == "-":
        return sys.stdin.buffer.read(REQUEST_BYTES + 1)
    try:
        with path.open("rb") as file:
            return file.read(REQUEST_BYTES + 1)
    except FileNotFoundError as exc:
        raise NotFound(
            f"The file {path} does not exist.",
            hint="Give the path of the request. docs/how-to/certificates.md shows how to create "
            "one.",
            code="file_not_found",
        ) from exc
    except OSError as exc:
        raise Unavailable(
            f"{path} cannot be read: {exc.strerror}.",
            hint="Correct its owner or mode.",
            code="file_unreadable",
        ) from exc


def pkcs12_password(*, from_stdin: bool) -> str:
    """From standard input, from the variable ``MOORING_PKCS12_PASSWORD``, or asked for.

    Raises:
        Invalid: no password was given and there is no terminal.
    """
    password = read_password(from_stdin=from_stdin) or os.environ.get(PASSWORD_VARIABLE)
    if password:
        return password
    if not sys.stdin.isatty():
        raise Invalid(
            "A PKCS#12 bundle needs a password.",
            hint=f"Set {PASSWORD_VARIABLE}, or use --password-stdin.",
            code="empty_password",
        )
    answer: str = typer.prompt(
        "Password of the PKCS#12 file", hide_input=True, confirmation_prompt=True, err=True
    )
    return answer


def _write_secret(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _unwritable(path: Path, exc: OSError) -> Unavailable:
    return Unavailable(
        f"{path} cannot be written: {exc.strerror}.",
        hint="Give another folder with --out.",
        code="file_unwritable",
    )
