"""Every error the SDK raises on purpose.

    DeviceError              one sentence, and a hint that says what to do
    ├── InvalidSetting       an environment variable, credential or argument that cannot be used
    ├── InvalidReading       values that are not JSON, too large, or for an unknown channel
    ├── StoreUnavailable     the store cannot be opened or written (in use, disk full, no right)
    ├── ConnectFailed        broker or platform cannot be reached, or TLS failed; ``retry`` is true
    ├── ClaimRefused         the platform did not accept the claim code
    ├── FirmwareRefused      an update that must not be installed (signature, hash, version …)
    ├── Defer                raised by a handler: the update is to be installed later
    ├── Rejected             raised by a handler: the command or the settings are not accepted
    ├── Cancelled            raised by a handler: it has stopped because of a cancellation
    └── Revoked              the platform has revoked this device; it must stop

Errors of sockets, SQLite and TLS are translated where they enter, with ``from exc``.
No message ever contains a password.
"""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "ClaimRefused",
    "ConnectFailed",
    "Defer",
    "DeviceError",
    "FirmwareRefused",
    "InvalidReading",
    "InvalidSetting",
    "Rejected",
    "Revoked",
    "StoreUnavailable",
]

DEFER_MAX = 604_800.0  # seconds: seven days


class DeviceError(Exception):
    """The root: what went wrong in one sentence, and what to do about it.

    Args:
        message: one sentence with a full stop.
        hint: what to do next; empty where there is nothing to do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidSetting(DeviceError):
    """An environment variable, a credential or an argument that cannot be used."""


class InvalidReading(DeviceError):
    """Values that cannot be sent: no JSON, too large, or for a channel the device lacks."""


class StoreUnavailable(DeviceError):
    """The store cannot be opened or written; what was to be written is not stored."""


class ConnectFailed(DeviceError):
    """The broker or the platform cannot be reached now; trying again later may help."""


class ClaimRefused(DeviceError):
    """The platform did not accept the claim code: unknown, used up or expired."""


class FirmwareRefused(DeviceError):
    """An update that must not be installed: wrong signature, hash or size, older than what runs,
    or from an address that is not allowed.

    Args:
        code: of the report to the platform: ``no_space``, ``digest``, ``signature``,
            ``hardware``, ``downgrade``, ``link``, ``http_4xx``, ``network``, ``refused`` …
    """

    def __init__(self, message: str, *, hint: str = "", code: str = "unknown") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Defer(DeviceError):
    """For handlers of firmware to raise: not now.

    Args:
        seconds: after which the handler is called again; at most seven days.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Deferred for {seconds:.0f} seconds.")
        self.seconds = min(max(float(seconds), 0.0), DEFER_MAX)


class Rejected(DeviceError):
    """For handlers to raise: this command or these settings are not accepted. The message is what
    people read as the reason."""


class Cancelled(DeviceError):
    """For handlers to raise: the command has stopped, because ``job.cancelled`` was true."""


class Revoked(DeviceError):
    """The platform has revoked this device. It must stop and be claimed again."""
