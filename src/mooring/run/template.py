"""A process that has imported everything, and forks for each process that ``mooring up`` runs.

Importing is most of what a start costs: four processes that each do it take three seconds of CPU,
and hold four copies of the same code. ``up`` does it once, then forks the template, and all of them
share that memory.

``up`` makes it before it has any thread, lock or connection, so nothing but code is inherited. It
then talks to it in messages: words, standard input and log go there; process ids and exit codes
come back. Once all processes run, the template has nothing to do and is retired: the kernel makes
its forks children of ``up``. The same happens when it is killed. The template ends when ``up`` is
gone, and its forks notice that neither is their parent (``follow_parent``). Where there is no
template (not on Linux, or no longer), ``children`` starts each process as a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from mooring import handover
from mooring.errors import Unavailable
from mooring.run import holes
from mooring.run.preload import preload
from mooring.settings import Settings, variable_names

__all__ = ["Forked", "Template", "settings_variables"]

log = logging.getLogger(__name__)

ARENAS = 2  # of the C library's allocator, which would make one for each thread
_M_ARENA_MAX = -8
_PR_SET_CHILD_SUBREAPER = 36
RETRY_SECONDS = 1.0
MESSAGE_BYTES = 65_536
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The template outlives them: it ends after ``up``, which stops its children in order."""


def settings_variables() -> list[str]:
    """The environment variables that are settings; a child has its settings from its parent."""
    return [
        variable
        for name, field in Settings.model_fields.items()
        for variable in variable_names(name, field)
    ]


class Forked:
    """One process that the template forked, as ``asyncio.subprocess.Process`` shows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._descriptor: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended; its code comes next
            self._descriptor = os.pidfd_open(pid)

    async def wait(self) -> int:
        """Its exit code; negative: the signal that ended it."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def ended(self, code: int) -> None:
        """Called by the template's other side."""
        if self.returncode is None:
            self.returncode = code
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._ended.set()

    def adopted(self) -> None:
        """The template is gone, and this process is the parent now."""
        loop, descriptor = asyncio.get_running_loop(), self._descriptor
        if descriptor is None:
            self.ended(-signal.SIGTERM)
            return

        def gone() -> None:
            loop.remove_reader(descriptor)
            self.ended(_exit_code(descriptor))

        loop.add_reader(descriptor, gone)

    def _send(self, number: signal.Signals) -> None:
        if self.returncode is None and self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                signal.pidfd_send_signal(self._descriptor, number)


class Template:
    """The side of ``up``. Make it with ``start``; call everything else in one event loop."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.alive = True
        self._retired = self._reaped = False
        self._channel = channel
        self._turn = asyncio.Lock()
        self._following = False
        self._started: asyncio.Future[int] | None = None
        self._forked: dict[int, Forked] = {}

    @classmethod
    def start(cls, settings: Settings) -> Self | None:
        """Import everything, and fork it. Returns ``None`` where that is not possible.

        Raises:
            Fork: in a process that the template forked. It must reach ``mooring.cli.main.main``.
        """
        if sys.platform != "linux" or threading.active_count() > 1:
            return None
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:  # a kernel before 5.3, or a sandbox
            return None
        ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        _prepare(postgresql=not settings.effective_database_url.startswith("sqlite"))
        _adopt_orphans(True)
        pid = os.fork()
        if pid == 0:
            ours.close()
            _become_template(other)  # only its forks leave, by an exception
        other.close()
        return cls(pid, ours)

    async def fork(self, words: Sequence[str], settings: bytes, log_descriptor: int) -> Forked:
        """A new process that runs this command of Mooring.

        Args:
            settings: what it reads on standard input, see ``handover``.
            log_descriptor: its standard output and standard error.

        Raises:
            Unavailable: the template has ended.
        """
        async with self._turn:
            if not self._following:
                asyncio.get_running_loop().add_reader(self._channel, self._read)
                self._following = True
            self._started = asyncio.get_running_loop().create_future()
            try:
                # As much as is inherited by a child of our own.
                limit = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limit)
                message = json.dumps(list(words)).encode()
                with os.fdopen(os.memfd_create("settings"), "wb", buffering=0) as given:
                    given.write(settings)
                    given.seek(0)
                    socket.send_fds(self._channel, [message], [given.fileno(), log_descriptor])
            except OSError as exc:
                self._lost()
                raise Unavailable(f"The template process cannot be used: {exc}.") from exc
            return self._forked[await self._started]

    def retire(self) -> None:
        """Ends it; its forks run on, as children of this process. What is started later is a
        program."""
        if not self.alive or self._retired:
            return
        if self._turn.locked():  # it is forking
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.retire)
            return
        self._retired = True
        self._channel.shutdown(socket.SHUT_WR)  # ``_read`` notices its end

    def close(self) -> None:
        """End it; whatever it forked and still runs has to be stopped before."""
        self._channel.close()
        self._reap()

    def _reap(self) -> None:
        """Returns when it is gone and its forks have another parent."""
        if self._reaped:
            return
        self._reaped = True
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        _adopt_orphans(False)

    def _read(self) -> None:
        try:
            message = self._channel.recv(MESSAGE_BYTES)
        except OSError:
            message = b""
        if not message:
            self._lost()
            return
        said = json.loads(message)
        pid = int(said["pid"])
        if "code" in said:
            if pid in self._forked:
                self._forked.pop(pid).ended(said["code"])
        elif self._started is not None:
            self._forked[pid] = Forked(pid)
            if not self._started.done():
                self._started.set_result(pid)

    def _lost(self) -> None:
        if self.alive:
            if not self._retired:
                log.warning("the template process ended; processes are started without it")
            self.alive = False
            asyncio.get_running_loop().remove_reader(self._channel)
            self._reap()
            if self._started is not None and not self._started.done():
                self._started.set_exception(Unavailable("The template process ended."))
            for forked in self._forked.values():
                forked.adopted()


def _adopt_orphans(on: bool) -> None:
    """Whether this process becomes the parent of processes whose parent below it has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def _exit_code(descriptor: int) -> int:
    """Of a process that has ended, by its descriptor."""
    try:
        found = os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
    except ChildProcessError:  # the kernel gave it to another parent
        return -signal.SIGTERM
    assert found is not None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


# ---------------------------------------------------------------------- the template itself


def _become_template(channel: socket.socket) -> NoReturn:
    """Serve ``up`` until it is gone; its forks leave by an exception.

    Raises:
        Fork: in each process that is forked.
    """
    heir = os.getppid()
    os.setsid()
    parent = os.getpid()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    _rename("template")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # a reader of our output waits for ``up`` and not for us
        os.dup2(nothing, number)
    os.close(nothing)
    try:
        words = _serve(channel)
    except BaseException:  # noqa: BLE001 - ``up`` sees the end, says so, and does without
        os._exit(1)
    channel.close()
    for number, handler in before.items():  # what ``nohup`` ignores is ignored
        signal.signal(number, handler)
    os.environ[handover.SUPERVISED] = str(parent)
    os.environ[handover.HEIR] = str(heir)
    for name in settings_variables():
        os.environ.pop(name, None)
    handover.received.cache_clear()
    _rename(words[0])
    raise handover.Fork(words)


def _prepare(*, postgresql: bool) -> None:
    """Import what the processes do; never look at it again for circles."""
    gc.disable()  # a collection would leave holes in the memory that is shared
    preload(postgresql=postgresql)
    gc.collect()
    holes.fill()
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
    gc.freeze()
    gc.enable()


def _serve(channel: socket.socket) -> list[str]:
    """Fork for each request. Returns in the forks, with the words of the command."""
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    while True:
        ready, _, _ = select.select([channel, woken], [], [])
        if woken in ready:
            woken.recv(MESSAGE_BYTES)
        for pid, code in _ended():
            _say(channel, {"pid": pid, "code": code})
        if channel not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            woken.close()
            wake.close()
            os.setsid()
            given, output = descriptors
            for descriptor, number in ((given, 0), (output, 1), (output, 2)):
                os.dup2(descriptor, number)
            for descriptor in descriptors:
                os.close(descriptor)
            return list(json.loads(message))
        for descriptor in descriptors:
            os.close(descriptor)
        _say(channel, {"pid": pid})


def _ended() -> list[tuple[int, int]]:
    """Forks that have ended, with their exit codes."""
    found = []
    with contextlib.suppress(ChildProcessError):  # none is left
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((one[0], os.waitstatus_to_exitcode(one[1])))
    return found


def _say(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(message).encode())
    except OSError:  # ``up`` is gone
        os._exit(0)


def _rename(command: str) -> None:
    """What ``ps`` shows: the same as for a process that was started as a program."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end in proc(5)
    if start and end > start:
        title = b"\0".join(map(os.fsencode, (sys.executable, "-m", "mooring", command)))
        ctypes.memmove(start, title[: end - start - 1].ljust(end - start, b"\0"), end - start)
