"""A real Mosquitto for a test, with the configuration lines the test is about."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.programs import find_program
from tests.support.waiting import wait_until

__all__ = ["Mosquitto", "find_mosquitto", "listening"]

START_TRIES = 3  # another process may take a free port before the broker does


def find_mosquitto() -> Path:
    """The mosquitto program.

    Raises:
        MissingProgram: when there is none.
    """
    return find_program("mosquitto", package="mosquitto")


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Mosquitto:
    """One broker process on loopback.

    Made from lines, it gets a listener on ``port`` before them and lets anybody in unless a
    line says otherwise. Made from a whole configuration file, it runs exactly that; ``port``
    is then the one that is waited for.

    Use it as a context manager, or call ``start`` and ``stop``. ``log`` has everything it said
    (``log_type all``, on standard error).
    """

    def __init__(
        self,
        directory: Path,
        *lines: str,
        port: int | None = None,
        config: Path | None = None,
        binary: Path | None = None,
    ) -> None:
        if config is not None and (lines or port is None):
            raise ValueError("A whole configuration file takes a port and no lines.")
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.lines = lines
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.config = config or directory / "mosquitto.conf"
        self.log_path = directory / "mosquitto.log"
        self._own_config = config is None
        self._own_port = port is None
        self._says_when_ready = config is None and not any(
            line.split()[:1] in (["log_type"], ["log_dest"]) for line in lines
        )
        self._binary = binary or find_mosquitto()
        self._child: Child | None = None

    # ---------------------------------------------------------------- its life

    def start(self) -> Mosquitto:
        """Starts it and waits until it accepts connections.

        Raises:
            AssertionError: it ended instead; the text holds its log.
        """
        for left in reversed(range(START_TRIES)):
            try:
                return self._start_once()
            except AssertionError as exc:
                if not (left and self._own_port and "Address already in use" in str(exc)):
                    raise
                self.port = free_port()
        raise AssertionError("unreachable")

    def _start_once(self) -> Mosquitto:
        if self.running:
            raise RuntimeError("This broker runs already.")
        if self._own_config:
            self.config.write_text(self._configuration(), encoding="utf-8")
        said_before = len(self.log())
        self._child = child = Child([self._binary, "-c", self.config], self.log_path)

        def ready() -> bool:
            running, said = child.running, self.log()[said_before:]
            if not running:
                raise AssertionError(f"mosquitto ended with {child.process.returncode}:\n{said}")
            # That somebody listens there does not mean it is this broker.
            return (" running\n" in said or not self._says_when_ready) and listening(self.port)

        try:
            wait_until(ready, f"mosquitto to listen on port {self.port}")
        except TimeoutError as exc:
            child.kill()
            raise AssertionError(f"{exc}\n{self.log()}") from exc
        except BaseException:  # whoever waits is ended
            child.kill()
            raise
        return self

    def _configuration(self) -> str:
        words = {line.split(maxsplit=1)[0] for line in self.lines if line.strip()}
        lines = []
        if os.geteuid() == 0:
            lines.append("user root")  # else it gives up root and cannot read the test's files
        if "log_type" not in words:
            lines.append("log_type all")
        if "log_dest" not in words:
            lines.append("log_dest stderr")
        lines.append(f"listener {self.port} 127.0.0.1")
        if not words & {"allow_anonymous", "password_file", "plugin", "auth_plugin"}:
            lines.append("allow_anonymous true")
        return "\n".join([*lines, *self.lines, ""])

    def stop(self) -> int:
        """Ends it the proper way; harmless when it does not run. Its exit code."""
        return 0 if self._child is None else self._child.end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it without letting it save anything."""
        self._started().kill()

    def reload(self) -> None:
        """SIGHUP: it reads its configuration, password and access files again."""
        self._started().send(signal.SIGHUP)

    def restart(self) -> Mosquitto:
        """Stops and starts it on the same port."""
        self.stop()
        return self.start()

    def __enter__(self) -> Mosquitto:
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # ---------------------------------------------------------------- what it is and says

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        return self._started().pid

    def log(self) -> str:
        """Everything it has said since the first start."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, text: str, *, timeout: float = 20.0) -> str:
        """Waits until ``text`` is in the log; returns the whole log."""
        return self._started().wait_for_log(text, timeout=timeout)

    def _started(self) -> Child:
        if self._child is None:
            raise RuntimeError("This broker was not started.")
        return self._child
