"""Running the real ``mooring`` program, as a person would, but never through a shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.support.forking import OURS, ForkedProcess, Forking
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


def run(argv: Sequence[str], env: Mapping[str, str], input: str, timeout: float) -> Ran:
    """Run one command to its end, as a process of its own.

    Raises:
        subprocess.TimeoutExpired: it did not end within ``timeout`` seconds, and was killed.
    """
    forking = Forking.for_environment(env)
    if forking is None:
        done = subprocess.run(
            argv, input=input, capture_output=True, text=True, env=env, timeout=timeout, check=False
        )
        return Ran(tuple(argv[1:]), done.returncode, done.stdout, done.stderr)
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(3)]
        given, out, err = files
        given.write(input)
        given.seek(0)
        code = forking.run(argv, env, [file.fileno() for file in files], timeout)
        out.seek(0)
        err.seek(0)
        return Ran(tuple(argv[1:]), code, out.read(), err.read())


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
        self.env |= {"MOORING_DATA_DIR": str(data_dir)} | OURS
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
        ran = run([str(self.program), *arguments], self.env | dict(env or {}), input, timeout)
        if expect is not None and ran.rc != expect:
            raise AssertionError(f"Expected exit code {expect}: {ran}")
        return ran

    def start(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Child:
        """Starts a command that runs until it is told to end (``up``, ``serve``, ``ingest``)."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        log = self.data_dir.parent / f"{self.data_dir.name}-{len(self._children)}.log"
        env = self.env | dict(env or {})
        argv = [str(self.program), *map(str, words)]
        process: ForkedProcess | None = None
        # What it would inherit from us besides the environment, the forking process does not have.
        plain = signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        forking = Forking.for_environment(env) if plain else None
        if forking is not None:
            with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
                files = [nothing.fileno(), output.fileno(), output.fileno()]
                process = forking.start(argv, env, files, session=True)
        child = Child(argv, log, env=env, process=process)
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
