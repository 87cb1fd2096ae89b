"""Settings of claims, rotation and recovery."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["CredentialSettings"]


class CredentialSettings(Declared):
    """Units are in the names or descriptions."""

    claim_days: int = setting(7, "Default validity of a claim code.", ge=1, le=3650)
    claim_attempts_per_minute: int = setting(
        10, "Maximum wrong claim codes or old passwords from one address.", ge=1
    )
    claim_attempts_all_per_minute: int = setting(
        600, "The same for all addresses with failures together.", ge=1
    )
    claim_codes_max_per_tenant: int = setting(10_000, "Open claim codes of one tenant.", ge=1)
    accept_wait_seconds: float = setting(
        5.0, "How long a claim waits for the broker to accept the new login.", ge=0, le=60
    )
    rotate_after_days: int = setting(
        0, "Age at which passwords are rotated automatically. 0: never.", ge=0
    )
