"""The secrets of one installation, and sealing with the instance key.

They live in one file (mode 0600) in the data directory, made at first use. The instance key
encrypts the few secrets that must be read back before they are settled: a password on its way
to the broker, a rotation in flight.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mooring.errors import Internal, InvalidSetting, Unavailable
from mooring.files import write_atomically
from mooring.later import later
from mooring.running import make_private

with later():
    from cryptography import fernet

__all__ = ["Instance", "forget_former_ingest", "open_instance"]

FILE = "secrets.json"
KEY_BYTES = 32  # Fernet's

FORMER_INGEST_CLIENT_ID = "mooring-ingest"
"""What every installation used before it was random."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Attributes are secrets: none may be logged or shown."""

    instance_key: str = field(repr=False)  # Fernet: AES-128-CBC with HMAC-SHA256
    service_password: str = field(repr=False)  # the platform's own broker login
    session_key: str = field(repr=False)  # signs login tokens
    ingest_client_id: str = field(repr=False)  # anyone who knows it could end ingest's session
    former_ingest_client_id: str | None = None  # its session is still to be emptied

    @property
    def audience(self) -> str:
        """What names this installation in the tokens of devices; no secret."""
        mark = hashlib.sha256(f"audience of devices' tokens\0{self.session_key}".encode())
        return f"mooring:{mark.hexdigest()[:32]}"

    def seal(self, secret: str | bytes) -> bytes:
        content = secret.encode() if isinstance(secret, str) else secret
        return fernet.Fernet(self.instance_key).encrypt(content)

    def unseal(self, sealed: bytes) -> str:
        """Raises ``Internal`` when it was sealed with another installation's key."""
        return self.unseal_bytes(sealed).decode()

    def unseal_bytes(self, sealed: bytes) -> bytes:
        """As ``unseal``, for content that is not text."""
        try:
            return fernet.Fernet(self.instance_key).decrypt(sealed)
        except fernet.InvalidToken as exc:
            raise Internal(
                "A sealed secret was made with another instance key.",
                hint="Restore secrets.json from the backup that belongs to this database.",
            ) from exc


@contextmanager
def _creating(directory: Path) -> Iterator[None]:
    """Only one process makes the file; the directory itself is for its owner alone."""
    import fcntl  # noqa: PLC0415 - POSIX only, like everything that runs a broker

    make_private(directory)
    with (directory / ".secrets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_instance(data_dir: Path) -> Instance:
    """Reads the installation's secrets, making them at first use.

    Raises:
        InvalidSetting: the file cannot be read or is damaged.
    """
    path = data_dir / FILE
    try:
        if not path.exists():
            with _creating(data_dir):
                if not path.exists():
                    _write(path, _fresh())
        content = _read(path)
        if "ingest_client_id" not in content:
            with _creating(data_dir):
                content = _read(path)
                if "ingest_client_id" not in content:
                    content["ingest_client_id"] = _fresh()["ingest_client_id"]
                    content["former_ingest_client_id"] = FORMER_INGEST_CLIENT_ID
                    _write(path, content)
        _check_key(content["instance_key"])
        return Instance(
            instance_key=content["instance_key"],
            service_password=content["service_password"],
            session_key=content["session_key"],
            ingest_client_id=content["ingest_client_id"],
            former_ingest_client_id=content.get("former_ingest_client_id"),
        )
    except (OSError, Unavailable, ValueError, KeyError, TypeError) as exc:
        raise InvalidSetting(
            f"The secrets file {path} cannot be used: {type(exc).__name__}.",
            hint="Restore it from a backup; without it sealed secrets and sessions are lost.",
        ) from exc


def _check_key(key: str) -> None:
    """``cryptography`` says the same, at the price of its import.

    Raises:
        ValueError: it is not a Fernet key.
    """
    if len(base64.urlsafe_b64decode(key)) != KEY_BYTES:
        raise ValueError("not a Fernet key")


def forget_former_ingest(data_dir: Path) -> None:
    """The session that older versions used is empty."""
    path = data_dir / FILE
    with _creating(data_dir):
        content = _read(path)
        if content.pop("former_ingest_client_id", None) is not None:
            _write(path, content)


def _fresh() -> dict[str, str]:
    return {
        "instance_key": fernet.Fernet.generate_key().decode(),
        "service_password": secrets.token_urlsafe(24),
        "session_key": secrets.token_urlsafe(32),
        "ingest_client_id": f"mooring-{secrets.token_hex(16)}",
    }


def _read(path: Path) -> dict[str, str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return dict(content)


def _write(path: Path, content: dict[str, str]) -> None:
    write_atomically(path, json.dumps(content, indent=1) + "\n")
