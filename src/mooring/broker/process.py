"""Mosquitto as a child process: start, wait until it answers, reload, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from mooring.broker.connection import Endpoint, answers
from mooring.broker.installation import find_mosquitto, version
from mooring.broker.ports import PortOwner, check_free, is_free, port_owner
from mooring.broker.reload import check_tls
from mooring.broker.state_file import StateFile
from mooring.errors import BrokerUnavailable, Conflict

__all__ = ["BrokerProcess"]

READY_SECONDS = 30.0
"""Ten thousand accounts load in 1.2 s; the rest is for a long queue on a slow disk."""

STOP_SECONDS = 30.0
"""On SIGTERM Mosquitto saves its queues; killing it earlier would lose them."""

POLL_SECONDS = 0.05

log = logging.getLogger(__name__)


_FROM_OUTSIDE = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
)


class BrokerProcess:
    """One Mosquitto, started with one configuration file.

    It is started in a session of its own, so Ctrl-C on the terminal reaches only Mooring,
    which stops the broker last. When Mooring itself is killed the broker stays: devices keep
    their connections, and the next ``start`` replaces it.

    Args:
        config: the configuration file, absolute.
        ready: where to ask whether it answers, normally the loopback listener.
        listens: every ``(address, port)`` in the configuration, checked before the start.
        binary: the program; searched for unless given.
        output: where standard output and error go; next to the configuration unless given.
        state: the file of queues and sessions, which a power cut may leave damaged.
    """

    def __init__(
        self,
        config: Path,
        ready: Endpoint,
        *,
        listens: Iterable[tuple[str, int]] = (),
        binary: Path | None = None,
        output: Path | None = None,
        state: Path | None = None,
    ) -> None:
        self.config = config
        self.ready = ready
        self.listens = tuple(listens)
        self.output = output or config.with_suffix(".out")
        self.set_aside: Path | None = None
        """Where a damaged state file was moved to at the last start; ``None``: it was usable."""
        self._binary = binary
        self._state = None if state is None else StateFile(state)
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.starts = 0
        """How often it was started, whether or not it got ready."""

    @property
    def binary(self) -> Path:
        """The program; raises ``NotFound`` when Mosquitto is not installed."""
        if self._binary is None:
            self._binary = find_mosquitto()
        return self._binary

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self.running and self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    def version(self) -> tuple[int, int, int]:
        return version(self.binary)

    async def start(self) -> None:
        """Start it; ``wait_ready`` says when it can be used. Does nothing if it runs.

        A broker that an earlier, killed Mooring left behind with the same configuration file
        is stopped first.

        Raises:
            Conflict: a port is taken; the message names the process that has it.
            NotFound: Mosquitto is not installed.
            BrokerUnavailable: the program cannot be started.
        """
        if self.running:
            return
        await self.stop_leftover()
        check_free(self.listens)
        descriptor = os.open(
            self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
        )
        self.starts += 1
        try:
            self._child = await asyncio.create_subprocess_exec(
                str(self.binary),
                "-c",
                str(self.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        except OSError as exc:
            raise BrokerUnavailable(f"{self.binary} cannot be started: {exc}.") from exc
        finally:
            os.close(descriptor)

    async def begin(self) -> None:
        """``start`` and ``wait_ready``; without its state file where it cannot start with it.

        Raises:
            Conflict, NotFound, BrokerUnavailable: as ``start`` and ``wait_ready``; the state
                file is as it was.
        """
        self.set_aside = None
        remembered = self._state is not None and not self.running and self._state.remember()
        await self.start()
        try:
            await self.wait_ready()
        except BrokerUnavailable as exc:
            if exc.slug != "broker_ended" or self._state is None or not remembered:
                raise
            if self._was_ended():
                raise  # its state says nothing about that
            await self._begin_without(self._state, exc)
        else:
            if self._state is not None:
                self._state.forget()

    def _was_ended(self) -> bool:
        """Whether somebody ended it: an operator, the system without memory, a service manager.

        A damaged state file ends it with an exit code or a crash.
        """
        code = self._child.returncode if self._child else None
        return code is not None and -code in _FROM_OUTSIDE

    async def _begin_without(self, state: StateFile, why: BrokerUnavailable) -> None:
        state.clear_the_way()
        try:
            await self.start()
            await self.wait_ready()
        except BrokerUnavailable:
            raise why from None  # something else is wrong
        else:
            self.set_aside = state.set_aside()
            log.warning(
                "the broker could not start with %s, which is damaged: it is now %s, and the "
                "messages and sessions that only it contained are lost",
                state.path,
                self.set_aside.name,
            )
        finally:
            state.put_back()  # unless it was set aside

    async def wait_ready(self, within: float = READY_SECONDS) -> None:
        """Wait until it answers an MQTT CONNECT.

        Raises:
            BrokerUnavailable: it ended (the message repeats its own words) or is too slow.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while self.running:
            if await answers(self.ready, within=max(deadline - loop.time(), POLL_SECONDS)):
                return
            if loop.time() >= deadline:
                raise BrokerUnavailable(
                    f"Mosquitto did not answer within {within:g} s.",
                    hint=f"See its log and {self.output}.",
                )
            await asyncio.sleep(POLL_SECONDS)
        code = self._child.returncode if self._child else None
        words = self.last_words()
        raise BrokerUnavailable(
            f"Mosquitto ended with code {code}" + (f": {words}" if words else "."),
            hint=f"See its log and {self.output}.",
            code="broker_ended",
        )

    def last_words(self) -> str:
        """The errors it wrote to its standard error, as one line; empty if none exist."""
        try:
            text = self.output.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        lines = [re.sub(r"^\S+: (?=Error|Warning)", "", line.strip()) for line in text.splitlines()]
        return " ".join(line for line in lines if line.startswith("Error"))[-500:]

    def reload(self) -> None:
        """SIGHUP: password file, access list, certificates, CRLs and most settings again.

        Raises:
            BrokerUnavailable: it does not run, or a TLS file is broken.
        """
        if self._child is None or not self.running:
            raise BrokerUnavailable("Mosquitto is not running.", hint="Start it first.")
        check_tls(self.config)
        self._child.send_signal(signal.SIGHUP)

    async def stop(self, within: float = STOP_SECONDS) -> int | None:
        """Stop it: SIGTERM, and SIGKILL after ``within`` seconds.

        Returns the exit code, or ``None`` if it was never started.
        """
        child = self._child
        if child is None:
            return None
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(within):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        return child.returncode

    async def wait(self) -> int:
        """Wait until it ends; the exit code, negative for a signal.

        Raises:
            BrokerUnavailable: it was never started.
        """
        if self._child is None:
            raise BrokerUnavailable("Mosquitto was not started.")
        return await self._child.wait()

    async def restart(self) -> None:
        """Stop, start and wait until it answers."""
        async with self.standing_still():
            pass

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """For the time of the block it does not run: its files can be written.

        It is started again whatever happens in the block, and answers when the block is left.
        One such block at a time; a second caller waits.
        """
        async with self._turn:
            await self.stop()
            try:
                yield
            finally:
                await self.begin()

    async def runs_again(self) -> bool:
        """Whether it runs, once nobody has stopped it on purpose any more."""
        async with self._turn:
            return self.running

    def leftover(self) -> PortOwner | None:
        """A Mosquitto that runs with our configuration file but is not our child."""
        for address, port in self.listens:
            if is_free(port, address):
                continue
            owner = port_owner(port)
            if owner and owner.pid and owner.name == "mosquitto":
                return owner if str(self.config) in owner.command else None
        return None

    async def stop_leftover(self) -> None:
        owner = self.leftover()
        if owner is None or owner.pid is None:
            return
        try:
            os.kill(owner.pid, signal.SIGTERM)
            for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
                await asyncio.sleep(POLL_SECONDS)
                if self.leftover() is None:
                    return
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError as exc:
            raise Conflict(
                f"{owner} from an earlier start is still running and belongs to another user.",
                hint="Stop it as that user.",
                code="port_taken",
                pid=owner.pid,
            ) from exc
