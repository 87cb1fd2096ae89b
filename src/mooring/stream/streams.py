"""All clients of one serving process: who may listen, and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from mooring.errors import DatabaseUnavailable, Forbidden, MooringError, TooMany, Unauthorized
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.settings import Settings
from mooring.stream.admission import Admission
from mooring.stream.conversation import SNAPSHOTS_AT_ONCE, Conversation, Socket
from mooring.stream.hub import Hub
from mooring.stream.messages import parse
from mooring.stream.snapshot import Snapshots
from mooring.stream.turns import Turns
from mooring.supervisor.worker import Worker

__all__ = ["CHECK_SECONDS", "Client", "Code", "Streams"]

log = logging.getLogger(__name__)

TOKEN_SECONDS = 5.0
CHECK_SECONDS = 4.0  # between two looks whether logins are still valid

Authenticate = Callable[[Iterable[str]], Mapping[str, Actor | Unauthorized]]


class Code:
    """Why the server closes a connection: RFC 6455, 7.4, and numbers of our own from 4000."""

    RESTART = 1001
    UNAVAILABLE = 1013
    INVALID = 4400
    LOGIN = 4401
    FORBIDDEN = 4403
    FULL = 4429


class Client(Socket, Protocol):
    """A socket that can be closed."""

    address: str

    async def close(self, code: int, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class _Listener:
    """One client with a login."""

    client: Client
    secret: str
    conversation: Conversation


class Streams:
    """See above.

    Args:
        authenticate: the owners of tokens and keys; called in a thread.
        snapshots: gives the services as they are now.
    """

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        authenticate: Authenticate,
        snapshots: Callable[[], Awaitable[Snapshots]],
        count: Callable[[str], None],
    ) -> None:
        self.hub = hub
        self.admission = Admission(
            settings.stream_clients_max,
            settings.stream_clients_max_per_tenant,
            settings.stream_clients_max_per_login,
        )
        self._authenticate = authenticate
        self._snapshots = snapshots
        self._count = count
        self._listeners: set[_Listener] = set()
        self._turns = Turns(SNAPSHOTS_AT_ONCE)
        hub.on_live = self._live

    def workers(self) -> tuple[Worker, ...]:
        """Its lasting work, and the hub's."""
        return (*self.hub.workers(), Worker("stream logins", self._check))

    async def serve(self, client: Client, secret: str) -> None:
        """Talks to a client until it goes or is closed.

        Args:
            secret: token or API key of the handshake; empty: the first message has it.
        """
        try:
            actor, secret = await self._login(client, secret)
            self.admission.enter(actor)
        except MooringError as exc:
            await self._reject(client, exc)
            return
        try:
            conversation = Conversation(self.hub, client, actor, self._snapshots, self._turns)
            listener = _Listener(client, secret, conversation)
            self._listeners.add(listener)
            try:
                await conversation.run()
            finally:
                self._listeners.discard(listener)
        except DatabaseUnavailable as exc:
            await self._reject(client, exc)
        finally:
            self.admission.leave(actor)

    async def close(self) -> None:
        """Closes every connection: the process ends."""
        await asyncio.gather(
            *(one.client.close(Code.RESTART, "") for one in list(self._listeners)),
            return_exceptions=True,
        )

    # ------------------------------------------------------------------ inside

    async def _login(self, client: Client, secret: str) -> tuple[Actor, str]:
        if not secret:
            try:
                async with asyncio.timeout(TOKEN_SECONDS):
                    text = await client.receive()
            except TimeoutError:
                text = None
            ask = None if text is None else parse(text)
            if ask is None or not ask.token:
                raise Unauthorized(
                    f"The first message must hold a login, within {TOKEN_SECONDS:g} s.",
                    hint='Send {"token": "…"}, or the header Authorization.',
                    code="login_needed",
                )
            secret = ask.token
        found = (await asyncio.to_thread(self._authenticate, [secret]))[secret]
        if isinstance(found, Unauthorized):
            raise found
        found.require_scope(Scope.READ)
        return replace(found, origin=client.address), secret

    async def _reject(self, client: Client, fault: MooringError) -> None:
        said: dict[str, object] = {"code": fault.slug}
        code = Code.INVALID
        match fault:
            case Unauthorized():
                code = Code.LOGIN
                self._count("stream_logins_rejected")
            case Forbidden():
                code = Code.FORBIDDEN
                said |= fault.context
                self._count("stream_logins_rejected")
            case TooMany():
                code = Code.FULL
                said["retry_after"] = fault.context.get("retry_after", 0)
                self._count("stream_clients_rejected")
            case DatabaseUnavailable():
                code = Code.UNAVAILABLE
        await client.close(code, msgspec.json.encode(said).decode())

    async def _check(self) -> None:
        """Ends connections whose login has ended."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            listeners = list(self._listeners)
            secrets = {one.secret for one in listeners}
            if not secrets:
                continue
            try:
                found = await asyncio.to_thread(self._authenticate, secrets)
            except DatabaseUnavailable as exc:
                log.warning("logins of the live stream are checked later: %s", exc)
                continue
            over: list[tuple[_Listener, str]] = []
            for one in listeners:
                now, before = found[one.secret], one.conversation.actor
                if isinstance(now, Unauthorized):
                    over.append((one, now.slug))
                elif _rights(now) != _rights(before):
                    over.append((one, "login_changed"))
            # Not one after the other: a client that does not read delays no other's end.
            await asyncio.gather(
                *(
                    one.client.close(Code.LOGIN, msgspec.json.encode({"code": code}).decode())
                    for one, code in over
                )
            )

    def _live(self, live: bool) -> None:
        for one in self._listeners:
            one.conversation.live(live=live)


def _rights(actor: Actor) -> tuple[Role, str | None, frozenset[Scope] | None]:
    return actor.role, actor.tenant, actor.scopes
