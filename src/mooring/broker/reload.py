"""Ways to tell a broker that its files have changed: SIGHUP, or the operator's command."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mooring.errors import BrokerUnavailable

__all__ = ["Reload", "by_command", "by_pid", "by_pid_file", "check_tls", "with_valid_tls"]

Reload = Callable[[], Awaitable[None]]
"""Asks the broker to read its files again; raises ``BrokerUnavailable`` when it cannot."""

COMMAND_SECONDS = 30.0


def by_pid(pid: Callable[[], int | None]) -> Reload:
    """SIGHUP to the process that ``pid`` names at that moment."""

    async def reload() -> None:
        _hang_up(pid())

    return reload


def by_pid_file(path: Path) -> Reload:
    """SIGHUP to the process in Mosquitto's ``pid_file``."""

    async def reload() -> None:
        try:
            text = (await asyncio.to_thread(path.read_text, encoding="ascii")).strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise BrokerUnavailable(
                f"The broker's process id cannot be read from {path}.",
                hint="Check that the broker runs, with pid_file in its configuration.",
            ) from exc
        pid = int(text) if text.isdigit() else None
        if pid is not None and not await asyncio.to_thread(_may_be_broker, pid, path):
            raise BrokerUnavailable(
                f"The process {pid} in {path} is not the broker.",
                hint="The file is left from a broker that was killed. Start the broker.",
            )
        _hang_up(pid)

    return reload


def by_command(command: Sequence[str], *, within: float = COMMAND_SECONDS) -> Reload:
    """An operator's command, such as ``systemctl reload mosquitto``; no shell is involved."""

    async def reload() -> None:
        name = " ".join(command)
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as exc:
            raise BrokerUnavailable(f"The reload command {name!r} cannot be run: {exc}.") from exc
        try:
            async with asyncio.timeout(within):
                _, errors = await child.communicate()
        except TimeoutError as exc:
            child.kill()
            await child.wait()
            raise BrokerUnavailable(
                f"The reload command {name!r} did not end within {within:g} s."
            ) from exc
        if child.returncode:
            words = errors.decode(errors="replace").strip()[-200:]
            raise BrokerUnavailable(
                f"The reload command {name!r} failed with code {child.returncode}: {words}."
            )

    return reload


def _may_be_broker(pid: int, pid_file: Path) -> bool:
    """``False`` where another process surely has the number now: SIGHUP would end it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended, or there is no /proc
        return True
    config = pid_file.with_name("mosquitto.conf")
    return not config.exists() or b"mosquitto" in words or os.fsencode(config) in words


def with_valid_tls(reload: Reload, config: Path) -> Reload:
    """``reload``, unless a TLS file that the broker would read is broken.

    2.1 ends when it finds one at a reload; 2.0 continues without its revocation list.

    Args:
        config: the broker's configuration, which names the files.
    """

    async def checked() -> None:
        await asyncio.to_thread(check_tls, config)
        await reload()

    return checked


def check_tls(config: Path) -> None:
    """Reads the TLS files that a broker's configuration names, as the broker will.

    Raises:
        BrokerUnavailable: one of them is missing or damaged, or key and certificate do not
            belong together. The broker continues with what it has read before.
    """
    try:
        lines = config.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # a broker that has none of ours
        return
    named = [line.partition(" ")[::2] for line in lines]
    pairs = dict.fromkeys(
        (certificate, key)
        for (option, certificate), (next_option, key) in itertools.pairwise(named)
        if (option, next_option) == ("certfile", "keyfile")
    )
    try:
        for certificate, key in pairs:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        for path in dict.fromkeys(v for option, v in named if option in ("cafile", "crlfile")):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except OSError as exc:  # also every failure of OpenSSL
        raise BrokerUnavailable(
            f"The broker was not reloaded, because one of its TLS files is invalid ({exc}).",
            hint="Run `mooring cert show` to see which one.",
            code="tls_files_broken",
        ) from exc


def _hang_up(pid: int | None) -> None:
    if pid is None or pid <= 1:
        raise BrokerUnavailable("The broker is not running.", hint="Start it first.")
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError as exc:
        raise BrokerUnavailable(f"The process {pid} no longer exists.") from exc
    except PermissionError as exc:
        raise BrokerUnavailable(
            f"Mooring has no permission to signal the broker (process {pid}).",
            hint="Set reload_command to a command that has the permission.",
        ) from exc
