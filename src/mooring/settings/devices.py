"""Settings of devices and tenants."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["DeviceSettings"]


class DeviceSettings(Declared):
    """Units are in the names or descriptions."""

    tenants_max: int = setting(10_000, "Tenants.", ge=1)
    devices_max_per_tenant: int = setting(200_000, "Maximum devices of one tenant.", ge=1)
    recover_days: int = setting(
        30, "How long a replaced password can still recover its device.", ge=0
    )
    device_login_attempts_per_minute: int = setting(
        10, "Maximum failed HTTP logins of one device from one address.", ge=1
    )
    device_keys_max_per_device: int = setting(5, "Maximum public keys of one device.", ge=1, le=100)
    device_token_audience: str | None = setting(
        None,
        "Audience that tokens of devices must have. By default a name of this installation, which "
        "`mooring device key list` shows.",
    )
    device_token_hours: float = setting(
        24.0, "Longest validity of a password that a device gets for a token.", gt=0, le=24
    )
    attributes_max_per_device: int = setting(
        32, "Maximum free attributes of one device.", ge=0, le=1000
    )
    attributes_reported_max_per_device: int = setting(
        16, "Maximum free attributes that a device can report of itself.", ge=0, le=1000
    )
