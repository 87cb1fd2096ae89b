"""Settings of commands."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["CommandSettings"]


class CommandSettings(Declared):
    """How many there may be, and how long each waits."""

    commands_max_per_device: int = setting(
        100, "Open commands of one device; one more is rejected.", ge=1
    )
    commands_max_per_tenant: int = setting(
        100_000, "Open commands of one tenant; one more is rejected.", ge=1
    )
    commands_without_outcome_max: int = setting(
        10, "Commands of one device that are sent and have no outcome; the next ones wait.", ge=1
    )
    commands_kept_per_device: int = setting(
        200, "Finished commands kept of one device; the oldest go first.", ge=1
    )
    command_now_seconds: int = setting(
        30, "How long a command with `--now` may wait to be handed over.", ge=1, le=3_600
    )
    command_reply_seconds: int = setting(
        60, "How long a device may take to answer a command.", ge=1, le=604_800
    )
    command_unconfirmed_seconds: int = setting(
        30,
        "How long a command stays open whose dialect has neither replies nor an effect.",
        ge=1,
        le=604_800,
    )
