"""The directory ``DATA_DIR/pki``: what is where, and how it is written.

    ca.key       the CA's key and, behind it, its certificate (0600): the truth
    ca-old.key   the same of the CA that a rollover is leaving (0600); only during a rollover
    ca.crt       the CA's certificate, for people and devices
    trust.crt    every CA trusted now
    server.key   the broker's key (0600)
    server.crt   the broker's certificate; during a rollover with the cross certificate behind it
    crl.pem      a revocation list of every trusted CA
    ca-ahead.crt the CA's certificate before its dates were put right; only until the ledger
                 knows the new one

All but the keys follow from the keys, the host names and the ledger, and ``ensure`` puts them
right when one is missing or stale. Every file is replaced in one ``rename``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from mooring import files
from mooring.errors import Invalid, Unavailable
from mooring.pki.authority import CertificateAuthority, load_ca
from mooring.pki.model import PkiPaths

__all__ = ["PkiFiles", "write_atomically"]

SECRET = 0o600
PUBLIC = 0o644


class PkiFiles:
    """Reads and writes ``DATA_DIR/pki``."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / "pki"
        self.ca_key = self.directory / "ca.key"
        self.old_ca_key = self.directory / "ca-old.key"
        self.ahead = self.directory / "ca-ahead.crt"
        self.paths = PkiPaths(
            ca=self.directory / "ca.crt",
            trust=self.directory / "trust.crt",
            server_cert=self.directory / "server.crt",
            server_key=self.directory / "server.key",
            crl=self.directory / "crl.pem",
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the directory meanwhile.

        Raises:
            Unavailable: the directory cannot be made or written.
        """
        try:
            # Readable by all: people give ca.crt to tools that run as somebody else.
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT, SECRET)
        except OSError as exc:
            raise _unwritable(f"{self.directory} cannot be written: {exc.strerror}.") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)  # gives the lock back

    def authority(self) -> CertificateAuthority | None:
        """The CA that signs now, or ``None`` before the first start.

        Raises:
            Invalid: the file is there but cannot be used.
            Unavailable: the file cannot be read.
        """
        return self._load(self.ca_key)

    def old_authority(self) -> CertificateAuthority | None:
        """The CA that a rollover is leaving, or ``None`` when no rollover is under way."""
        old = self._load(self.old_ca_key)
        current = self.authority()
        # A crash between the two writes of ``begin_rollover`` leaves two copies of one CA.
        if old is not None and current is not None and old.fingerprint == current.fingerprint:
            return None
        return old

    def write_authority(self, ca: CertificateAuthority) -> None:
        write_atomically(self.ca_key, ca.secret_pem, SECRET)

    def put_dates_right(self, ca: CertificateAuthority, same: CertificateAuthority) -> None:
        """Puts the same CA with other dates in its place; ``former`` remembers the one before."""
        write_atomically(self.ahead, ca.certificate_pem)
        self.write_authority(same)

    def former(self) -> x509.Certificate | None:
        """The certificate that the CA had before its dates were put right."""
        try:
            return x509.load_pem_x509_certificate(self.ahead.read_bytes())
        except FileNotFoundError:
            return None

    def forget_former(self) -> None:
        self.ahead.unlink(missing_ok=True)
        files.sync_folder(self.directory)

    def begin_rollover(self, new: CertificateAuthority) -> None:
        """Put the present CA aside and make *new* the one that signs."""
        write_atomically(self.old_ca_key, self.ca_key.read_bytes(), SECRET)
        self.write_authority(new)

    def end_rollover(self) -> None:
        """Forget the old CA; its key is gone permanently."""
        self.old_ca_key.unlink(missing_ok=True)
        files.sync_folder(self.directory)

    def _load(self, path: Path) -> CertificateAuthority | None:
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise Unavailable(
                f"{path} cannot be read: {exc.strerror}.",
                hint="Run as the user that owns the data directory.",
                code="pki_unreadable",
            ) from exc
        try:
            return load_ca(pem)
        except Invalid as exc:
            raise Invalid(f"{path}: {exc.message}", hint=exc.hint, code=exc.slug) from exc


def write_atomically(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Replace *path* in one step; a reader sees either the old file or the new one completely.

    Raises:
        Unavailable: the directory cannot be written or the disk is full.
    """
    try:
        files.write_atomically(path, data, mode=mode)
    except Unavailable as exc:
        raise _unwritable(exc.message) from exc


def _unwritable(message: str) -> Unavailable:
    return Unavailable(
        message,
        hint="Free disk space, or make the user that runs Mooring the owner of the data directory.",
        code="pki_unwritable",
    )
