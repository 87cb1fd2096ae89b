"""A wall clock that a test can step under real processes, by a small preloaded library."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from tests.support.programs import MissingProgram

__all__ = ["WrongClock"]

SOURCE = Path(__file__).with_suffix(".cc")


class WrongClock:
    """The wall clock of every process that runs with ``env``. Linux only.

    Args:
        folder: where the library and the offset are kept.

    Raises:
        MissingProgram: there is no C++ compiler on this machine.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            raise MissingProgram("g++", "g++")
        library = folder / "wrong_clock.so"
        words = ["-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run([compiler, *words], check=True)
        self._file = (folder / "wrong_clock").open("w+b", buffering=0)
        self.step(0)
        self.env = {"LD_PRELOAD": str(library), "WRONG_CLOCK": self._file.name}

    def step(self, seconds: int) -> None:
        """From now on the clock is so far ahead of the true time; below 0: behind."""
        self._file.seek(0)
        self._file.write(struct.pack("=q", seconds))

    def close(self) -> None:
        self._file.close()
