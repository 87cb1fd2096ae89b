"""Settings of TLS and certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mooring.settings.field import Declared, setting

__all__ = ["PkiSettings"]


class PkiSettings(Declared):
    """Units are in the names or descriptions."""

    certificates_max_per_device: int = setting(
        20, "Maximum certificates of one device that have not expired.", ge=1
    )
    ca_key_type: Literal["ec-p256", "rsa-2048"] = setting("ec-p256", "Key of the private CA.")
    tls_certfile: Path | None = setting(None, "Your own server certificate, with chain.")
    tls_keyfile: Path | None = setting(None, "Its key.")
    tls_cafile: Path | None = setting(None, "The CA that signed it. Devices get it.")
