"""Finding the real programs the tests run against. A missing one is an error, never a skip."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["MissingProgram", "find_program"]

# Debian keeps servers out of a normal user's PATH, and so does Homebrew.
PLACES = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/opt/homebrew/opt/mosquitto/sbin",
    "/usr/local/opt/postgresql*/bin",
    "/usr/local/opt/mosquitto/sbin",
    "/home/linuxbrew/.linuxbrew/sbin",
)


class MissingProgram(RuntimeError):
    """A program the tests need is not on this machine; the text says how to install it."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(
            f"The program {name} is not on this machine. Install it with"
            f" `scripts/setup.sh --for test`, or by hand: `sudo apt-get install {package}`"
            f" (Debian, Ubuntu), `brew install {package}` (macOS)."
        )


def find_program(name: str, *, package: str, places: tuple[str, ...] = PLACES) -> Path:
    """The program of that name: from PATH, else the newest found in the usual places.

    Raises:
        MissingProgram: when it is nowhere; the text holds the install command.
    """
    found = shutil.which(name)
    if found:
        return Path(found)
    candidates = [
        path
        for place in places
        for path in Path("/").glob(f"{place.lstrip('/')}/{name}")
        if path.is_file()
    ]
    if not candidates:
        raise MissingProgram(name, package)
    return max(candidates, key=_version_in)


def _version_in(path: Path) -> tuple[int, ...]:
    """The numbers in a path, so that ``postgresql/16`` counts as newer than ``postgresql/9``."""
    digits = "".join(letter if letter.isdigit() else " " for letter in str(path))
    return tuple(int(word) for word in digits.split())
