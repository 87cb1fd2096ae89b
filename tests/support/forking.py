"""Commands of ``mooring`` as forks of a process that has imported all of it: ``cli_server.py``."""

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
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

__all__ = ["OURS", "ForkedProcess", "Forking"]

OURS = {"NO_COLOR": "1", "COLUMNS": "200"}

# What Python or a library reads once, at its start: with other values than the tests' own, a
# command is started and not forked.
READ_AT_START = ("PYTHON", "LANG", "LC_", "TERM", "TZ", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LD_")

# What a shell runs as ``mooring``: asks for a fork that has its streams, and ends as that does. The
# lock, because two of them in a pipeline share the channel.
_FOR_SHELLS = """#!{python} -IS
import fcntl, json, os, socket, sys
answer, other = socket.socketpair()
request = {{"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "session": False}}
body = json.dumps(request).encode()
with open(__file__) as lock, socket.socket(fileno={channel}) as channel:
    fcntl.flock(lock, fcntl.LOCK_EX)
    socket.send_fds(channel, [len(body).to_bytes(4, "big")], [0, 1, 2, other.fileno()])
    channel.sendall(body)
other.close()
code = int(answer.makefile().read().split()[1])
sys.exit(code if code >= 0 else 128 - code)
"""


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

    def for_shells(self, folder: Path) -> int:
        """Put a program ``mooring`` into ``folder`` that is forked as well.

        Returns:
            The descriptor that the shell must inherit (``pass_fds``).
        """
        program = folder / "mooring"
        channel = self._channel.fileno()
        program.write_text(_FOR_SHELLS.format(python=sys.executable, channel=channel))
        program.chmod(0o755)
        return channel

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
