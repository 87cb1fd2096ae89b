"""A command with the same id is carried out once.

Pure: what is known of the id in, what to do out. Delivery is at least once (QoS 1), so the
same command may come again: after a reconnect, after a restart, while it is running.
A command that was running when the device went down is not started again: a half-done
``open_valve`` must not become two. The platform learns of it by a reply and decides.
"""

from __future__ import annotations

import hashlib
from enum import Enum

__all__ = ["Action", "State", "command_key", "decide", "recover"]


class State(str, Enum):
    """How far a known command has come."""

    RECEIVED = "received"
    STARTED = "started"
    DONE = "done"


class Action(str, Enum):
    """What to do with a command that has just arrived, or is found after a restart."""

    RUN = "run"
    IGNORE = "ignore"  # it is waiting or running already: its reply will come
    REPLY_AGAIN = "reply_again"
    REPLY_INTERRUPTED = "reply_interrupted"


def decide(known: State | None, *, identified: bool, repeat: bool) -> Action:
    """For a command that has just arrived.

    Firmware of older dialects gets commands without an id (``identified`` is false). Two
    equal ones may then be two orders; only what the broker itself marks as a repeat (the DUP
    flag, [MQTT-3.3.1-1]) is known to be the same.
    """
    if known is None or not (identified or repeat):
        return Action.RUN
    return Action.REPLY_AGAIN if known is State.DONE else Action.IGNORE


def recover(known: State) -> Action:
    """For a command found in the store after a restart."""
    return {
        State.RECEIVED: Action.RUN,
        State.STARTED: Action.REPLY_INTERRUPTED,
        State.DONE: Action.IGNORE,
    }[known]


def command_key(command_id: str | None, topic: str, payload: bytes, packet_id: int) -> str:
    """The key to remember a command by; a repeat by the broker keeps its packet id
    [MQTT-4.4.0-1]."""
    if command_id:
        return "id:" + command_id
    digest = hashlib.sha256(topic.encode() + b"\0" + payload)
    return f"sha256:{digest.hexdigest()}:{packet_id}"
