"""Which authority was chosen for a data directory, and why, as it is written down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mooring.broker.migrate import Mode
from mooring.files import write_atomically
from mooring.settings import CHOICE_FILE

__all__ = ["Choice", "read_choice", "write_choice"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is written down.

    Attributes:
        mode: the authority this data directory has.
        in_force: what it runs with; another one than ``mode`` where the plugin does not load.
        why: why not the plugin; empty where it is, or where another one was asked for.
        remedy: what to do to get the plugin.
        proof: library and broker that the newest trial was made with.
        proved: whether that trial succeeded, and ``reason`` why not.
    """

    mode: str
    in_force: str
    why: str = ""
    remedy: str = ""
    proof: str = ""
    proved: bool = False
    reason: str = ""


def read_choice(data_dir: Path) -> Choice | None:
    """What was chosen for this data directory; ``None``: nothing yet, or it cannot be read."""
    try:
        said = json.loads((data_dir / CHOICE_FILE).read_text(encoding="utf-8"))
        made = Choice(**said)
        Mode(made.mode), Mode(made.in_force)
    except (OSError, ValueError, TypeError):
        return None
    return made


def write_choice(data_dir: Path, choice: Choice) -> None:
    """Raises ``Unavailable`` when it cannot be written."""
    path = data_dir / CHOICE_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(choice), indent=1) + "\n")
