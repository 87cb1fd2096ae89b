"""One client of the stream: what it asks for, and what it is sent.

One task reads, one writes, one looks after groups. The writer sends at most ten messages a second
for each subscription, and waits while the client does not read; meanwhile changes are only marked.
Failure invariant: when ``run`` has returned or raised, the hub knows none of its readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from mooring.errors import Invalid, MooringError, TooMany
from mooring.identity.actor import Actor
from mooring.stream.hub import Hub
from mooring.stream.messages import Subscribe, error_document, parse, read_cursor, write_cursor
from mooring.stream.reader import Reader
from mooring.stream.snapshot import Snapshots
from mooring.stream.turns import Turns

__all__ = ["SUBSCRIPTIONS_MAX", "Conversation", "Ended", "Socket"]

SUBSCRIPTIONS_MAX = 20  # of one client
PACE_SECONDS = 0.1
GROUPS_SECONDS = 30.0  # between two looks who is in a subscription's groups
SNAPSHOTS_AT_ONCE = 4
SAID_MAX = 32  # answers that wait; while there are as many, nothing more is read

Page = list[dict[str, Any]]


class Socket(Protocol):
    """A WebSocket, as far as a conversation needs it."""

    async def receive(self) -> str | bytes | None:
        """The next message; ``None``: the client has gone."""
        ...

    async def send(self, data: bytes) -> None:
        """Returns when the client has room for more.

        Raises:
            Ended: the client has gone.
        """
        ...


class Ended(Exception):
    """The client has gone."""


@dataclass(slots=True, eq=False)
class _Seat:
    """A subscription in this conversation."""

    reader: Reader
    ask: Subscribe
    begun: bool = False  # the client has its answer
    snapshot: bool = False  # it begins (again) with what is stored
    gap: bool = False  # and the client missed changes before


class Conversation:
    """See above.

    Args:
        actor: the login.
        snapshots: gives the services as they are now.
        turns: at the database, shared by all clients of the process.
    """

    def __init__(
        self,
        hub: Hub,
        socket: Socket,
        actor: Actor,
        snapshots: Callable[[], Awaitable[Snapshots]],
        turns: Turns,
    ) -> None:
        self.actor = actor
        self._hub = hub
        self._socket = socket
        self._snapshots = snapshots
        self._turns = turns
        self._seats: dict[str, _Seat] = {}
        self._said: list[dict[str, Any]] = []
        self._room = asyncio.Event()
        self._room.set()
        self._work = asyncio.Event()

    async def run(self) -> None:
        """Until the client has gone."""
        self._say({"welcome": {"login": self.actor.name, "tenant": self.actor.tenant}})
        tasks = {
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._speak()),
            asyncio.create_task(self._regroup()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for seat in self._seats.values():
                self._hub.drop(seat.reader)
            self._seats.clear()
        for task in done:
            with suppress(Ended):
                task.result()

    def live(self, *, live: bool) -> None:
        """Changes arrive again, or do not any more. A snapshot has what was missed."""
        begun = [seat for seat in self._seats.values() if seat.begun]
        if begun:
            self._say({"live": live})
        if live:
            for seat in begun:
                seat.snapshot = seat.gap = True

    # ------------------------------------------------------------------ what it says

    async def _listen(self) -> None:
        while (text := await self._socket.receive()) is not None:
            named = None
            try:
                ask = parse(text)
                if ask.subscribe is not None:
                    named = ask.subscribe.id
                    await self._subscribe(ask.subscribe)
                elif ask.unsubscribe is not None:
                    named = ask.unsubscribe
                    self._unsubscribe(ask.unsubscribe)
                else:
                    raise Invalid(
                        "This connection has a login already.",
                        hint="Use another connection for another login.",
                        code="login_given",
                    )
            except MooringError as exc:
                self._say(error_document(named, exc))
            # Nobody needs more than ten subscriptions a second, and each costs statements.
            await asyncio.sleep(PACE_SECONDS)
            await self._room.wait()

    async def _subscribe(self, ask: Subscribe) -> None:
        if ask.id not in self._seats and len(self._seats) >= SUBSCRIPTIONS_MAX:
            raise TooMany(
                f"A connection has {SUBSCRIPTIONS_MAX} subscriptions at most.",
                hint="Unsubscribe from one, or name more devices in one.",
                code="too_many_subscriptions",
            )
        snapshots = await self._snapshots()
        async with self._turns.turn(self.actor.tenant):
            wanted = await asyncio.to_thread(snapshots.wanted, self.actor, ask)
        self._unsubscribe(ask.id, known=False)
        reader = Reader(ask.id, wanted, wake=self._work.set)
        seat = self._seats[ask.id] = _Seat(reader, ask)
        await self._hub.add(reader)
        cursor = None if ask.from_ is None else read_cursor(ask.from_)
        resumed = (
            cursor is not None
            and cursor.process == self._hub.process
            and self._hub.resume(reader, cursor.number)
        )
        seat.snapshot, seat.gap = not resumed, ask.from_ is not None and not resumed
        seat.begun = True
        self._say({"id": ask.id, "subscribed": True, "live": self._hub.live})

    async def _regroup(self) -> None:
        """Members of groups come and go; a dynamic group says who they are when it is asked."""
        while True:
            await asyncio.sleep(GROUPS_SECONDS)
            for seat in [one for one in self._seats.values() if one.begun and one.ask.groups]:
                snapshots = await self._snapshots()
                try:
                    async with self._turns.turn(self.actor.tenant):
                        wanted = await asyncio.to_thread(snapshots.wanted, self.actor, seat.ask)
                except MooringError as exc:
                    self._say(error_document(seat.ask.id, exc))
                    continue
                if wanted != seat.reader.wanted and self._seats.get(seat.ask.id) is seat:
                    self._hub.change(seat.reader, wanted)
                    seat.snapshot = True
                    self._work.set()

    def _unsubscribe(self, named: str, *, known: bool = True) -> None:
        seat = self._seats.pop(named, None)
        if seat is not None:
            self._hub.drop(seat.reader)
        elif known:
            raise Invalid(
                f"There is no subscription {named[:64]!a}.",
                hint="Use the id of a subscription of this connection.",
                code="no_subscription",
            )
        if known:
            self._say({"id": named, "subscribed": False})

    def _say(self, document: dict[str, Any]) -> None:
        self._said.append(document)
        if len(self._said) >= SAID_MAX:
            self._room.clear()
        self._work.set()

    # ------------------------------------------------------------------ what it is sent

    async def _speak(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            said, self._said = self._said, []
            self._room.set()
            for document in said:
                await self._send(document)
            for seat in [one for one in self._seats.values() if one.begun]:
                if seat.snapshot or seat.reader.lost:
                    await self._snapshot(seat)
                elif seat.reader:
                    await self._changes(seat.reader)
                if seat.reader or seat.reader.lost:
                    self._work.set()
            await asyncio.sleep(PACE_SECONDS)

    async def _changes(self, reader: Reader) -> None:
        items, missed = reader.take(self._hub.journal.number)
        document = {"id": reader.id, "cursor": self._cursor(reader), "items": items}
        await self._send(document | ({"missed": missed} if missed else {}))

    async def _snapshot(self, seat: _Seat) -> None:
        reader = seat.reader
        missed, reader.missed = reader.missed, 0
        gap: dict[str, Any] = {"gap": True} if seat.gap or reader.lost else {}
        gap |= {"missed": missed} if missed else {}
        seat.snapshot = seat.gap = False
        reader.restart(self._hub.journal.number)  # what changes from now on comes after it
        snapshots = await self._snapshots()
        pages = snapshots.pages(self.actor, reader.wanted)
        held = await self._page(pages)
        while held is not None:
            following = await self._page(pages)
            if following is None:
                break
            await self._send({"id": reader.id, "snapshot": held, "more": True})
            held = following
        document = {"id": reader.id, "cursor": self._cursor(reader), "snapshot": held or []}
        await self._send(document | {"more": False} | gap)

    async def _page(self, pages: Iterator[Page]) -> Page | None:
        async with self._turns.turn(self.actor.tenant):
            return await asyncio.to_thread(next, pages, None)

    def _cursor(self, reader: Reader) -> str:
        return write_cursor(self._hub.process, reader.number)

    async def _send(self, document: dict[str, Any]) -> None:
        await self._socket.send(msgspec.json.encode(document))
