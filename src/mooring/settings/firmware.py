"""Settings of firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mooring.settings.field import Declared, setting

__all__ = ["FirmwareSettings"]


class FirmwareSettings(Declared):
    """Units are in the names or descriptions."""

    artifacts_dir: Path | None = setting(
        None,
        "Directory of firmware files, which all processes share. Default: artifacts in the data "
        "directory.",
    )
    firmware_signatures: Literal["required", "optional"] = setting(
        "required",
        "required: a release is published only with a signature; optional: an administrator can "
        "publish it without one.",
    )
    firmware_max_bytes: int = setting(
        512 * 1024 * 1024, "Maximum size of one firmware file.", ge=1024, le=1 << 36
    )
    firmware_bytes_per_tenant: int = setting(
        10 * 1024**3, "Maximum size of all firmware files of one tenant.", ge=1024, le=1 << 46
    )
    rollout_approval: Literal["optional", "required"] = setting(
        "optional",
        "required: a second person approves every rollout before it starts; optional: those that "
        "ask for it.",
    )
    rollout_bytes_per_second: int = setting(
        0,
        "Bytes a second that all running rollouts of one tenant offer at most together, on "
        "average; 0: no limit.",
        ge=0,
        le=1 << 40,
    )
    firmware_direct_max_per_day: int = setting(
        10,
        "Where rollouts need an approval: devices of one tenant that one person offers firmware "
        "directly, without a rollout, within 24 hours. 0: none.",
        ge=0,
        le=10_000,
    )
    firmware_releases_max_per_tenant: int = setting(
        1000, "Maximum firmware releases of one tenant.", ge=1, le=100_000
    )
    firmware_link_seconds: int = setting(
        86_400,
        "Time for which a download link is valid; then the device gets a fresh offer.",
        ge=60,
        le=2_592_000,
    )
    firmware_downloads_max: int = setting(
        200, "Firmware downloads of one serving process at the same time.", ge=1, le=10_000
    )
    firmware_downloads_max_per_tenant: int = setting(
        100,
        "Firmware downloads of one tenant in one serving process at the same time.",
        ge=1,
        le=10_000,
    )
    firmware_bytes_per_second: int = setting(
        0,
        "Bytes a second of all firmware downloads of one serving process; 0: no limit.",
        ge=0,
        le=1 << 40,
    )
    firmware_accel_path: str | None = setting(
        None,
        "Internal location of the reverse proxy that serves the firmware files: the answer to a "
        "link is then X-Accel-Redirect. Not set: Mooring sends the files itself.",
    )
    firmware_updates_max_per_tenant: int = setting(
        100_000, "Maximum open firmware updates of one tenant.", ge=1
    )
    firmware_updates_kept_per_device: int = setting(
        50, "Finished firmware updates kept of one device; the oldest go first.", ge=1
    )
    firmware_offer_seconds: int = setting(
        604_800,
        "How long a device may take to accept an offer, connected or not.",
        ge=60,
        le=31_536_000,
    )
    firmware_answer_seconds: int = setting(
        600,
        "A connected device that does not answer an offer is offered it again after this time.",
        ge=1,
        le=86_400,
    )
    firmware_stall_seconds: int = setting(
        1_800,
        "A connected device that downloads no byte for this time is offered the update again.",
        ge=1,
        le=86_400,
    )
    firmware_download_seconds: int = setting(
        86_400, "How long one download may take.", ge=1, le=2_592_000
    )
    firmware_install_seconds: int = setting(
        1_800, "How long a device may install.", ge=1, le=86_400
    )
    firmware_reboot_seconds: int = setting(
        900, "How long a device may be away to restart.", ge=1, le=86_400
    )
    firmware_proof_seconds: int = setting(
        300,
        "How long a device must show the new version to be confirmed; twice its interval if that "
        "is longer.",
        ge=1,
        le=86_400,
    )
    firmware_proved_seconds: int = setting(
        86_400,
        "How long an installed update may take to be confirmed. Then it is unproved.",
        ge=1,
        le=2_592_000,
    )
    firmware_watch_days: int = setting(
        30, "How long a confirmed device is watched for the old version.", ge=1, le=365
    )
    ddi_poll_seconds: int = setting(
        300, "How often devices ask for updates over HTTP (hawkBit DDI).", ge=1, le=86_399
    )
    ddi_device_days: int = setting(
        7,
        "A device that asked for updates over HTTP within this time is offered updates there, not "
        "over MQTT.",
        ge=1,
        le=365,
    )
    ddi_dialect: str = setting(
        "mooring",
        "Dialect under which an unknown device that asks for updates over HTTP is listed.",
    )
    firmware_held_seconds: int = setting(
        86_400,
        "How long a device gets no update after two installs that were not confirmed.",
        ge=1,
        le=2_592_000,
    )
