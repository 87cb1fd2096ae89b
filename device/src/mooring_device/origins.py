"""Where a device's credentials come from: the environment, or a claim; the store keeps them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from mooring_device.credentials import Credentials
from mooring_device.environment import credentials_from
from mooring_device.errors import InvalidSetting
from mooring_device.http import Api
from mooring_device.identity import hardware_id as own_hardware_id
from mooring_device.vault import Vault

__all__ = ["VAULT", "claimed", "folder_of", "from_environment"]

VAULT = "credentials.json"


def folder_of(store: str | os.PathLike[str] | None) -> Path:
    """The folder of a device: the one that is named, or the default."""
    chosen = store or os.environ.get("MOORING_STORE")
    return Path(chosen) if chosen else Path.home() / ".mooring-device"


def from_environment(
    environment: Mapping[str, str], topics: Mapping[str, str] | None, folder: Path
) -> Credentials:
    """Credentials from environment variables. A client id that they do not name is made once.

    Raises:
        InvalidSetting: a variable cannot be used.
    """
    made = ""
    if not environment.get("MQTT_CLIENT_ID", "").strip():
        vault = Vault(folder / VAULT)
        made = vault.fact("client_id") or f"mooring-{uuid.uuid4().hex[:16]}"
        vault.note("client_id", made)
    return credentials_from(environment, topics=topics, made_client_id=made)


def claimed(
    code: str,
    connect: Callable[[], Api],
    folder: Path,
    *,
    hardware_id: str | None,
    patience: float,
) -> Credentials:
    """Credentials for a claim code; from the store, where the code was used before.

    Args:
        connect: makes the platform's interface, where it is needed.
        hardware_id, patience: as for ``Device.claim``.

    Raises:
        ClaimRefused, ConnectFailed, InvalidSetting: as ``Device.claim``.
    """
    vault = Vault(folder / VAULT)
    if not vault.claimed_with(code):
        answer = connect().claim(code, hardware_id or own_hardware_id(), patience=patience)
        vault.claimed(answer, code)
    kept = vault.credentials
    if kept is None:  # claimed_with checks that they exist
        raise InvalidSetting("The store has no credentials.")
    return kept
