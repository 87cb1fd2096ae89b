"""A network that fails: a TCP proxy that resets, closes, half-closes, delays and swallows.

It runs in one thread of its own. Bytes are passed on as they are, so TLS goes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType

__all__ = ["Cut", "Proxy"]

CHUNK = 65_536
_RST = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST, not FIN


class Cut(StrEnum):
    """How a network fails. Each ends the connections there are."""

    RESET = "reset"  # both sides get RST
    CLOSE = "close"  # both sides get FIN
    HALF_UP = "half_up"  # the server alone gets FIN
    HALF_DOWN = "half_down"  # the client alone gets FIN
    CHOP = "chop"  # the first half of the next chunk arrives, then RST
    HOLE = "hole"  # nothing arrives for a while and nobody is told, then RST
    SLOW = "slow"  # everything is late for a while, then RST
    REFUSE = "refuse"  # RST, and for a while nobody gets in


class _Pair:
    """One client and its connection to the server."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.chop = False
        self.hole = False
        self.finished: set[asyncio.StreamWriter] = set()  # these sides have got FIN

    def reset(self) -> None:
        for writer in (self.near, self.far):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already: that is what we want
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            writer.transport.abort()

    def finish(self, *writers: asyncio.StreamWriter) -> None:
        self.finished.update(writers)
        for writer in writers:
            with contextlib.suppress(OSError):  # gone by itself meanwhile
                writer.write_eof()


class Proxy:
    """Listens on a free loopback port and passes everything on to another one.

    Args:
        targets: ports on this machine. With several, connections go to one after the other, and
            past one where nothing listens, as a load balancer does.
    """

    kinds = tuple(Cut)
    longest = 0.5  # seconds that the ordinary failure lasts

    def __init__(self, *targets: int) -> None:
        self.cuts: dict[str, int] = dict.fromkeys(map(str, Cut), 0)
        self.connections = 0
        self._targets = targets
        self._pairs: set[_Pair] = set()
        self._refused_until = 0.0
        self._late = 0.0
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def open(self) -> int:
        """How many connections go through it now."""
        return len(self._pairs)

    def cut(self, kind: str, seconds: float = 0.3) -> int:
        """Breaks every connection; says how many there were. Returns before it is over.

        Args:
            seconds: how long a hole, slowness or refusal lasts.
        """
        return self._ask(lambda: self._cut(Cut(kind), seconds))

    def welcome(self) -> None:
        """Ends every refusal now."""
        self._ask(self._welcome_all)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._ask(lambda: 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(10)

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._listener)
        )
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _ask(self, question: Callable[[], int]) -> int:
        async def answer() -> int:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(10)

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset(list(self._pairs))
        self._loop.call_later(0.05, self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._loop.time() < self._refused_until:
            _Pair(near, near).reset()
            return
        for turn in range(len(self._targets)):
            target = self._targets[(self.connections + turn) % len(self._targets)]
            try:
                answers, far = await asyncio.open_connection("127.0.0.1", target)
                break
            except OSError:  # the server does not run
                continue
        else:  # none does: as if it were in the client's way
            _Pair(near, near).reset()
            return
        pair = _Pair(near, far)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(pair, reader, far), self._pass(pair, answers, near))
        except OSError:
            pass  # one side has ended it: so does the other
        finally:
            self._pairs.discard(pair)
            pair.reset()

    async def _pass(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._late:
                await asyncio.sleep(self._late)
            if pair.hole or writer in pair.finished:
                continue  # the network takes it and brings it nowhere
            if pair.chop:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                pair.reset()
                return
            writer.write(data)
            await writer.drain()
        pair.finish(writer)

    def _cut(self, kind: Cut, seconds: float) -> int:
        pairs = list(self._pairs)
        self.cuts[kind] += 1
        if kind is Cut.SLOW:
            self._late = seconds / 4
            self._loop.call_later(seconds, self._in_time, pairs)
        elif kind is Cut.REFUSE:
            self._refused_until = max(self._refused_until, self._loop.time() + seconds)
            self._reset(pairs)
        elif kind is Cut.RESET:
            self._reset(pairs)
        else:
            for pair in pairs:
                self._spoil(pair, kind)
            self._loop.call_later(seconds, self._reset, pairs)
        return len(pairs)

    def _spoil(self, pair: _Pair, kind: Cut) -> None:
        match kind:
            case Cut.CLOSE:
                pair.finish(pair.near, pair.far)
            case Cut.HALF_UP:
                pair.finish(pair.far)
            case Cut.HALF_DOWN:
                pair.finish(pair.near)
            case Cut.CHOP:
                pair.chop = True
            case _:
                pair.hole = True

    def _reset(self, pairs: list[_Pair]) -> None:
        for pair in pairs:
            pair.reset()

    def _in_time(self, pairs: list[_Pair]) -> None:
        self._late = 0.0
        self._reset(pairs)

    def _welcome_all(self) -> int:
        self._refused_until = 0.0
        return 0
