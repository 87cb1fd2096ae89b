"""What a dialect can do: which answers and effects its devices can give. Pure.

No state of a command or a document claims more than this table says.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.dialects.model import Dialect, Direction, Kind

__all__ = ["Capabilities", "capabilities", "lines"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Of one dialect.

    Attributes:
        commands: names of its channels for commands.
        replies: the device answers commands.
        cancel: a command that was sent can be cancelled by the device.
        command_ids: a command carries an id, so a device can recognise one that is repeated.
        effects: name of a command → what shows that it was carried out.
        settings_down: the device gets its settings.
        settings_reported: the device reports which settings it runs with.
        firmware_down: the device is offered firmware.
        progress_up: the device reports how far an update is.
        max_packet: bytes of the largest MQTT packet that the firmware accepts; 0: not known.
    """

    commands: tuple[str, ...]
    replies: bool
    cancel: bool
    command_ids: bool
    effects: dict[str, str]
    settings_down: bool
    settings_reported: bool
    firmware_down: bool
    progress_up: bool
    max_packet: int


def capabilities(dialect: Dialect) -> Capabilities:
    """The table of a dialect. A device answers commands where the dialect has a channel of the
    kind ``reply`` whose payload names the command."""
    own = [one for one in dialect.channels if not one.operator_only]
    ups = {one.kind for one in own if one.direction is Direction.UP}
    downs = {one.kind for one in own if one.direction is Direction.DOWN}
    commands = [one for one in own if one.kind is Kind.COMMAND]
    answered = any(one.kind is Kind.REPLY and one.payload.reply_to for one in own)
    identified = bool(commands) and all(one.payload.identifier for one in commands)
    return Capabilities(
        commands=tuple(one.name for one in commands),
        replies=answered and identified,
        cancel=answered and identified and Kind.CANCEL in downs,
        command_ids=identified,
        effects={name: str(effect) for one in commands for name, effect in one.done_when},
        settings_down=Kind.CONFIG in downs,
        settings_reported=Kind.CONFIG_REPORTED in ups,
        firmware_down=Kind.FIRMWARE in downs or any(one.firmware for one in commands),
        progress_up=Kind.FIRMWARE_PROGRESS in ups,
        max_packet=dialect.max_packet,
    )


def lines(can: Capabilities) -> list[tuple[str, str]]:
    """Label and text of each, as tables for people show them."""
    effects = ", ".join(f"{name}: {effect}" for name, effect in sorted(can.effects.items()))
    return [
        ("command channels", ", ".join(can.commands) or "none"),
        ("replies to commands", _yes(can.replies)),
        ("cancel of sent commands", _yes(can.cancel)),
        ("command ids", _yes(can.command_ids)),
        ("effects of commands", effects or "none"),
        ("settings down", _yes(can.settings_down)),
        ("settings reported", _yes(can.settings_reported)),
        ("firmware down", _yes(can.firmware_down)),
        ("progress up", _yes(can.progress_up)),
        ("largest packet", f"{can.max_packet} bytes" if can.max_packet else "not known"),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
