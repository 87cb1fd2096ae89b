"""Reading certificate files so that a fault becomes a ``Problem`` and not an exception."""

from __future__ import annotations

import re
import ssl
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["Problem", "not_pem", "read", "read_certificates", "read_key", "read_roots"]

_MAX_BYTES = 1024 * 1024
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
#: Where Debian, Fedora and macOS keep the public CAs in one file.
_SYSTEM_CAS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault.

    Attributes:
        code: a stable machine word (``key_mismatch``).
        message: one sentence that names the file and the fault.
        hint: what to do.
        fatal: the broker or its clients would reject it; ``False``: worth a warning.
    """

    code: str
    message: str
    hint: str
    fatal: bool = True


def read(path: Path, what: str, problems: list[Problem]) -> bytes | None:
    """The file's bytes, or ``None`` and one more problem."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            problems.append(not_pem(path, what, "it is larger than 1 MiB"))
            return None
        return path.read_bytes()
    except FileNotFoundError:
        problems.append(
            Problem(
                "missing",
                f"The {what} file {path} does not exist.",
                "Correct the path in the settings, or create the file.",
            )
        )
    except PermissionError:
        problems.append(
            Problem(
                "unreadable",
                f"The {what} file {path} is not readable for this user.",
                "Give the user that runs Mooring and the broker permission to read the file and "
                "to enter every directory above it.",
            )
        )
    except OSError as exc:
        problems.append(
            Problem(
                "unreadable",
                f"The {what} file {path} cannot be read: {exc.strerror}.",
                "Give the path of a readable file.",
            )
        )
    return None


def not_pem(path: Path, what: str, why: str) -> Problem:
    """What to say of a file that is not what it should be."""
    return Problem(
        "not_pem",
        f"The file {path} contains no {what} in PEM form: {why}.",
        f"Use a text file that starts with -----BEGIN. Convert DER with: openssl "
        f"{'pkey' if what == 'key' else 'x509'} -inform der -in FILE -out FILE.pem.",
    )


def read_certificates(path: Path, what: str, problems: list[Problem]) -> list[x509.Certificate]:
    """Every certificate in the file, or none and one more problem."""
    data = read(path, what, problems)
    if data is None:
        return []
    if b"CERTIFICATE-----" not in data:
        why = "it contains a private key" if b"PRIVATE KEY-----" in data else "it has no BEGIN line"
        problems.append(not_pem(path, what, why))
        return []
    try:
        found = x509.load_pem_x509_certificates(data)
        for certificate in found:
            _ = certificate.extensions, certificate.public_key()  # parsed only when asked for
    except (ValueError, UnsupportedAlgorithm):
        problems.append(not_pem(path, what, "the text is damaged"))
        return []
    return found


def read_key(path: Path, problems: list[Problem]) -> PrivateKeyTypes | None:
    """The private key in the file, or ``None`` and one more problem."""
    data = read(path, "key", problems)
    if data is None:
        return None
    if path.stat().st_mode & 0o007:
        problems.append(
            Problem(
                "key_open",
                f"The key file {path} is readable for every user of this machine.",
                f"Run: chmod o-rwx {path}.",
                fatal=False,
            )
        )
    if b"PRIVATE KEY-----" not in data:
        why = (
            "it contains a certificate"
            if b"CERTIFICATE-----" in data
            else "there is no private key in it"
        )
        problems.append(not_pem(path, "key", why))
        return None
    try:
        return serialization.load_pem_private_key(data, password=None)
    except TypeError:  # what cryptography raises for a key that wants a password
        problems.append(
            Problem(
                "encrypted_key",
                f"The key in {path} is protected by a password.",
                "The broker cannot ask for the password. Create a copy without one, readable "
                "only for the broker: openssl pkey -in KEY -out KEY.plain.",
            )
        )
    except (ValueError, UnsupportedAlgorithm):
        problems.append(not_pem(path, "key", "the text is damaged"))
    return None


def read_roots(ca: Path | None, problems: list[Problem]) -> list[x509.Certificate]:
    """The CAs in the file, or those this machine trusts; none and one more problem."""
    if ca is not None:
        return read_certificates(ca, "CA", problems)
    for system in (ssl.get_default_verify_paths().cafile, *_SYSTEM_CAS):
        if system and Path(system).is_file():
            return _system_cas(Path(system))
    problems.append(
        Problem(
            "no_system_cas",
            "This machine has no list of public CAs, so the chain was not checked.",
            "Install the package ca-certificates, or name the CA's file.",
            fatal=False,
        )
    )
    return []


def _system_cas(path: Path) -> list[x509.Certificate]:
    found = []
    with warnings.catch_warnings():
        # Old public CAs break today's rules (a serial of zero); that is not our user's business.
        warnings.simplefilter("ignore")
        for block in re.findall(_CERTIFICATE, path.read_bytes()):
            with suppress(ValueError):  # one CA we cannot read must not hide the others
                found.append(x509.load_pem_x509_certificate(block))
    return found
