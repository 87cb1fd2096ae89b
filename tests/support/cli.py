"""Running the real ``mooring`` program, as a person would, but never through a shell."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

from tests.support.processes import Child

__all__ = ["Cli", "Ran"]

OURS = {"NO_COLOR": "1", "COLUMNS": "200"}


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


# What Python or a library reads once, at its start: with other values than the tests' own, a
# command is started and not forked.
READ_AT_START = ("PYTHON", "LANG", "LC_", "TERM", "TZ", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LD_")


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


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_START)}


class Forking:
    """A process that forks for commands: ``cli_server.py``.

    Args:
        env: its own environment. A command has its own, but for what is read at the start.
    """

    _started: ClassVar[dict[tuple[int, frozenset[tuple[str, str]]], Forking]] = {}

    @classmethod
    def for_environment(cls, env: Mapping[str, str]) -> Forking | None:
        """The one of this test run's worker whose environment fits, started when it is first
        needed; ``None``: the command must be started as a program.

        There is one more for each preloaded library, because starting every command of such a
        test as a program takes a second of CPU each.
        """
        wanted = _read_at_start(env)
        if wanted != _read_at_start(os.environ | OURS) and "LD_PRELOAD" not in wanted:
            return None
        key = (os.getpid(), frozenset(wanted.items()))
        with _starting:
            if key not in cls._started:
                cls._started[key] = cls(env)
            return cls._started[key]

    def __init__(self, env: Mapping[str, str]) -> None:
        self._channel, other = socket.socketpair()
        self._sending = threading.Lock()
        program = Path(__file__).with_name("cli_server.py")
        subprocess.Popen(  # ends when the channel is closed, as it is when we end
            [sys.executable, "-P", program, str(other.fileno())],
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in env.items() if "MOORING" not in name},
        )
        other.close()

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], files: Sequence[int], timeout: float
    ) -> int:
        """Exit code of a command whose standard streams are ``files``.

        Raises:
            subprocess.TimeoutExpired: it was killed after ``timeout`` seconds.
        """
        process = self.start(argv, env, files, session=False)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], files: Sequence[int], *, session: bool
    ) -> ForkedProcess:
        """A command whose standard streams are ``files``.

        Args:
            session: it runs in a session of its own.
        """
        request = {"argv": argv, "env": dict(env), "cwd": str(Path.cwd()), "session": session}
        body = json.dumps(request).encode()
        answer, other = socket.socketpair()
        with other, self._sending:
            head = len(body).to_bytes(4, "big")
            socket.send_fds(self._channel, [head], [*files, other.fileno()])
            self._channel.sendall(body)
        return ForkedProcess(argv, answer)


class ForkedProcess:
    """What ``subprocess.Popen`` offers, for a process that another one forked."""

    def __init__(self, argv: Sequence[str], answer: socket.socket) -> None:
        self.args = list(argv)
        self.returncode: int | None = None
        self._answer = answer
        self._asking = threading.Lock()
        self._said = b""
        self.pid = int(self._line(None))

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        with self._asking:
            if self.returncode is None:
                try:
                    self.returncode = int(self._line(timeout))
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
                self._answer.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _line(self, timeout: float | None) -> bytes:
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._said:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._answer.settimeout(left)
            more = self._answer.recv(64)
            assert more, f"the process that forked for {self.args} has ended"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line


_starting = threading.Lock()


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
