"""A child process of a test: started from a list, its output kept, always ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.support.waiting import wait_until

__all__ = ["Child"]


class Process(Protocol):
    """What is used of ``subprocess.Popen``."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Child:
    """One process, in a session of its own so that what it starts can be ended with it.

    Output goes to ``log_path``, both streams together; ``log()`` reads it. Only processes
    that this object started are ever signalled, by process id. ``process``: it was started already,
    in a session of its own.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log_path: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        group: int | None = None,
        process: Process | None = None,
    ) -> None:
        self.name = Path(arguments[0]).name
        self.log_path = log_path
        self.process: Process
        if process is not None:
            self.process = process
            return
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        """Everything it has printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, text: str, *, timeout: float = 20.0) -> str:
        """Waits until it has printed ``text``; returns the whole log.

        Raises:
            AssertionError: it ended, or was silent for too long; the text holds its log.
        """

        def printed() -> str:
            running = self.running  # asked first: what it printed last is then in the log
            log = self.log()
            if text in log:
                return log
            if not running:
                raise AssertionError(
                    f"{self.name} ended with {self.process.returncode}"
                    f" before it printed {text!r}:\n{log}"
                )
            return ""

        try:
            return wait_until(printed, f"{self.name} to print {text!r}", timeout=timeout)
        except TimeoutError as exc:
            raise AssertionError(f"{exc}\n{self.log()}") from exc

    def send(self, number: signal.Signals) -> None:
        """One signal to the process itself."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 20.0) -> int:
        """Ends it and whatever it started; returns its exit code. Harmless when it has ended."""
        if self.running:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self.process.wait(timeout)
            raise AssertionError(
                f"{self.name} did not end within {timeout:g} s of {number.name}"
                f" and was killed:\n{self.log()}"
            ) from None
        self._kill_group()
        return code

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out: no goodbye, no last write."""
        self.process.kill()
        self.process.wait(20)
        self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nobody is left in it (macOS says PermissionError for a group of zombies)
