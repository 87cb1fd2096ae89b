"""The device side of Mooring: readings that survive power cuts, commands, settings, firmware.

from mooring_device import Device

with Device.from_env() as device:
    device.publish({"temperature": 21.5})
"""

__version__ = "0.2.0"

from mooring_device.backoff import Backoff
from mooring_device.commands import Job
from mooring_device.credentials import Credentials, Tls
from mooring_device.device import Device
from mooring_device.device_key import DeviceKey
from mooring_device.downloaded import Firmware
from mooring_device.errors import (
    Cancelled,
    ClaimRefused,
    ConnectFailed,
    Defer,
    DeviceError,
    FirmwareRefused,
    InvalidReading,
    InvalidSetting,
    Rejected,
    Revoked,
    StoreUnavailable,
)
from mooring_device.limits import Limits
from mooring_device.offers import Offer
from mooring_device.options import Options
from mooring_device.policy import FirmwarePolicy
from mooring_device.shapes import Shape

__all__ = [
    "Backoff",
    "Cancelled",
    "ClaimRefused",
    "ConnectFailed",
    "Credentials",
    "Defer",
    "Device",
    "DeviceError",
    "DeviceKey",
    "Firmware",
    "FirmwarePolicy",
    "FirmwareRefused",
    "InvalidReading",
    "InvalidSetting",
    "Job",
    "Limits",
    "Offer",
    "Options",
    "Rejected",
    "Revoked",
    "Shape",
    "StoreUnavailable",
    "Tls",
    "__version__",
]
