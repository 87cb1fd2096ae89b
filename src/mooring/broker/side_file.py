"""A small password file next to Dynamic Security, for verifiers whose password nobody knows.

The plugin's API takes passwords in clear only. But a client without a password is not its
business: it passes the login on, and Mosquitto then asks the password file (tried with
2.0.11). So an old verifier comes back into force without its password and without a restart:
its line goes into this file, SIGHUP, and the client loses its password in the plugin. Rights
stay in the plugin's role. SIGHUP ends no session here (tried): the plugin vouches for its own.

A password file cuts a line at the first colon, so a username with one cannot be helped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from mooring.broker import password_lines
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.password_lines import CANARY_USERNAME
from mooring.broker.reload import Reload
from mooring.errors import BrokerUnavailable, Unavailable
from mooring.files import write_atomically
from mooring.secrets import verifiers

__all__ = ["SideFile"]

CONFIRM_SECONDS = 30.0
FIRST_LOOK_SECONDS = 0.11  # 2.0 looks for signals at least every 0.1 s


class SideFile:
    """Username → verifier in a password file that the broker reads next to the plugin.

    Args:
        path: the file named by ``password_file`` in the broker's configuration.
        reload: tells the broker to read it again; ``None`` while no broker runs.
        endpoint: where the broker answers, to see that the reload is through.
    """

    def __init__(
        self, path: Path, reload: Reload | None = None, endpoint: Endpoint | None = None
    ) -> None:
        self._path = path
        self._reload = reload
        self._endpoint = endpoint

    @staticmethod
    def can_hold(username: str) -> bool:
        return ":" not in username

    def lines(self) -> dict[str, str]:
        """What it holds; nothing while it does not exist."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return {}
        except OSError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be read: {exc.strerror}.") from exc
        held = password_lines.parse(text)
        held.pop(CANARY_USERNAME, None)
        return held

    def clear(self) -> None:
        """Empties it without telling anybody: for the time when the broker stands still."""
        write_atomically(self._path, "")

    async def put(self, lines: Mapping[str, str]) -> None:
        """Adds or changes lines; in force when it returns.

        Raises:
            BrokerUnavailable: the broker did not take them over.
        """
        if lines:
            await self._write({**self.lines(), **lines})

    async def drop(self, usernames: Collection[str]) -> None:
        """Takes lines away; costs nothing when none of them is there."""
        held = self.lines()
        left = {name: line for name, line in held.items() if name not in usernames}
        if left != held:
            await self._write(left)

    async def _write(self, lines: Mapping[str, str]) -> None:
        secret = verifiers.new_password()
        text = password_lines.render({**lines, CANARY_USERNAME: verifiers.make(secret)})
        try:
            await asyncio.to_thread(write_atomically, self._path, text)
        except Unavailable as exc:
            raise BrokerUnavailable(exc.message, hint=exc.hint) from exc
        if self._reload is not None:
            await self._reload()
            if self._endpoint is not None:
                await self._confirm(self._endpoint, secret)

    async def _confirm(self, at: Endpoint, secret: str) -> None:
        """The canary gets in with its newest password: the broker has read the file.

        It has no client in the plugin and so no rights at all.
        """
        canary = Endpoint(at.host, at.port, CANARY_USERNAME, secret, at.tls)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFIRM_SECONDS
        pause = FIRST_LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                connection = await Connection.open(canary)
            except BrokerUnavailable as exc:
                if exc.slug != "broker_refused":
                    raise
                if loop.time() >= deadline:
                    raise BrokerUnavailable(
                        f"The broker did not read {self._path.name} within {CONFIRM_SECONDS:g} s.",
                        hint="Check that its configuration has this password_file.",
                        code="broker_not_reloaded",
                    ) from exc
                pause *= 2
                continue
            await connection.close()
            return
