"""Running the real ``mooring`` program, as a person would, but never through a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import Child

__all__ = ["Cli", "Ran"]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it said."""

    arguments: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return (
            f"mooring {' '.join(self.arguments)} ended with {self.rc}\n"
            f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}"
        )


class Cli:
    """``mooring`` with one data directory. Call it with the words of a command.

    The environment is the test run's own without any setting of Mooring's, so that the
    machine's ``MOORING_…`` and ``MQTT_…`` variables cannot change a result.
    """

    def __init__(self, data_dir: Path, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MOORING_", "MQTT_"))
        }
        self.env |= {"MOORING_DATA_DIR": str(data_dir), "NO_COLOR": "1", "COLUMNS": "200"}
        self.env |= env or {}
        self._children: list[Child] = []

    @property
    def program(self) -> Path:
        """The installed ``mooring``, beside the Python that runs the tests.

        Raises:
            RuntimeError: the project is not installed there.
        """
        program = Path(sys.executable).with_name("mooring")
        if not program.exists():
            raise RuntimeError(f"{program} is missing. Run scripts/setup.sh --for test.")
        return program

    def __call__(
        self,
        *words: str | Path,
        expect: int | None = 0,
        input: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Ran:
        """Runs one command to its end.

        Args:
            expect: the exit code it must have; ``None`` takes any.
            input: what it reads on standard input.
            env: further variables for this call.
            timeout: seconds before it is killed; the machine may be busy.

        Raises:
            AssertionError: another exit code; the text holds all it said.
            subprocess.TimeoutExpired: it did not end.
        """
        arguments = tuple(str(word) for word in words)
        done = subprocess.run(
            [self.program, *arguments],
            input=input,
            capture_output=True,
            text=True,
            env=self.env | dict(env or {}),
            timeout=timeout,
            check=False,
        )
        ran = Ran(arguments, done.returncode, done.stdout, done.stderr)
        if expect is not None and ran.rc != expect:
            raise AssertionError(f"Expected exit code {expect}: {ran}")
        return ran

    def start(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Child:
        """Starts a command that runs until it is told to end (``up``, ``serve``, ``ingest``)."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log = self.data_dir.parent / f"{self.data_dir.name}-{len(self._children)}.log"
        child = Child([self.program, *words], log, env=self.env | dict(env or {}))
        self._children.append(child)
        return child

    def stop(self) -> None:
        """Ends everything ``start`` started, the last first."""
        problems = []
        while self._children:
            try:
                self._children.pop().end()
            except AssertionError as exc:
                problems.append(exc)
        if problems:
            raise problems[0]
