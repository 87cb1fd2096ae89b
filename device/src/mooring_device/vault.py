"""What the device knows about itself, in one file: identity and passwords.

``credentials.json`` in the store, readable by its owner only, replaced in one step. It is
written *before* the device acts on a change, so a power cut at any moment leaves a device
that can still log in.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mooring_device.credentials import Credentials, Tls
from mooring_device.errors import StoreUnavailable
from mooring_device.files import write_atomically
from mooring_device.rotation import Passwords

__all__ = ["Vault"]


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


class Vault:
    """The identity file of one device. Used by one thread at a time.

    Raises:
        StoreUnavailable: the file cannot be read, is damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = {}
        self._saved = False
        self.passwords = Passwords(None)
        try:
            self._facts = json.loads(path.read_bytes())
            if "passwords" in self._facts:
                self.passwords = Passwords(**self._facts["passwords"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as exc:
            raise StoreUnavailable(
                f"The credentials file {path} cannot be read: {exc}.",
                hint="Restore it, or remove it and claim the device again.",
            ) from exc
        self._saved = bool(self._facts)

    # ------------------------------------------------------------------ identity

    @property
    def credentials(self) -> Credentials | None:
        """What was claimed, with the password that is in turn; ``None`` before a claim."""
        kept = self._facts.get("credentials")
        if kept is None:
            return None
        more = {
            "tls": Tls(**kept["tls"]) if kept["tls"] else None,
            "shape": self._facts.get("shape") or {},
            "password": self.passwords.current,
        }
        return Credentials(**{**kept, **more})

    def claimed_with(self, code: str) -> bool:
        """Whether the identity came from this claim code."""
        return self._facts.get("claim") == _digest(code) and "credentials" in self._facts

    def claimed(self, credentials: Credentials, code: str) -> None:
        """Keep what a claim answered with."""
        self._keep(credentials, Passwords(credentials.password), claim=_digest(code))

    def given(self, credentials: Credentials) -> Credentials:
        """Keep credentials that the application gave. A password that was rotated since they
        were given first counts more than the one in the application's configuration."""
        if credentials == self.credentials:  # they came from here
            return credentials
        mark = _digest(f"{credentials.username}\n{credentials.password}")
        same = self._facts.get("given") == mark
        passwords = self.passwords if same else Passwords(credentials.password)
        shape_mark = _digest(json.dumps([dict(credentials.topics), dict(credentials.shape)]))
        kept = self.credentials
        if same and kept is not None and self._facts.get("given_shape") == shape_mark:
            # The platform has told newer channels since the application was given these.
            credentials = replace(credentials, topics=kept.topics, shape=kept.shape)
        found = credentials.with_password(passwords.current)
        if not same or found != kept or self._facts.get("given_shape") != shape_mark:
            self._keep(credentials, passwords, given=mark, given_shape=shape_mark)
        return found

    def reshaped(self, credentials: Credentials) -> None:
        """Keep channels that the platform told. The passwords stay as they are."""
        self._keep(credentials, self.passwords, **self._marks())

    def recovered(self, credentials: Credentials, passwords: Passwords) -> None:
        """Keep what the platform answered to a recovery."""
        self._keep(credentials, passwords, **self._marks())

    def _marks(self) -> dict[str, str]:
        return {k: self._facts[k] for k in ("claim", "given", "given_shape") if k in self._facts}

    def _keep(self, credentials: Credentials, passwords: Passwords, **marks: str) -> None:
        facts = asdict(credentials)
        facts["topics"] = dict(credentials.topics)
        del facts["password"]
        # Next to the credentials, not in them: version 0.1.0 reads the file, too.
        shape = facts.pop("shape")
        self._facts = {**self._small_facts(), **marks, "credentials": facts, "shape": shape}
        self._saved = False
        self.settle(passwords)

    # ------------------------------------------------------------------ passwords, small facts

    def settle(self, passwords: Passwords) -> None:
        """Keep the state of the passwords; durable on return. The count of rejections alone
        is not worth a write: flash wears out."""
        known = replace(self.passwords, refusals=passwords.refusals) == passwords
        self.passwords = passwords
        self._facts["passwords"] = asdict(passwords)
        if not (known and self._saved):
            self._save()

    def fact(self, key: str) -> str | None:
        """A small fact such as the made client id."""
        value = self._small_facts().get(key)
        return value if isinstance(value, str) else None

    def note(self, key: str, value: str) -> None:
        self._facts[key] = value
        self._save()

    def _small_facts(self) -> dict[str, Any]:
        return {k: self._facts[k] for k in ("client_id", "hardware_id") if k in self._facts}

    def _save(self) -> None:
        try:
            write_atomically(self.path, json.dumps({"version": 1, **self._facts}).encode())
        except OSError as exc:
            raise StoreUnavailable(
                f"The credentials file {self.path} cannot be written: {exc.strerror}."
            ) from exc
        self._saved = True
