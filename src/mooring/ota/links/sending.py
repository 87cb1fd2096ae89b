"""A file as an answer: a piece at a time, at the pace of the client, read in threads."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mooring.errors import MooringError, Unavailable
from mooring.ota.links.downloads import Downloads
from mooring.ota.links.model import File
from mooring.ota.links.ranges import Part
from mooring.ota.updates.protocol import Served
from mooring.web.errors import answer_for
from mooring.web.guard import HEAD

__all__ = ["FileAnswer", "disposition", "etag_of"]

PIECE_BYTES = 65_536
"""A client has ``WRITE_SECONDS`` for each, so it must not be large where networks are slow."""
READ_BYTES = 4 * PIECE_BYTES
READERS = 8
"""Threads that read files. A disk that does not answer holds these, and no other request."""

_readers = ThreadPoolExecutor(READERS, "firmware-reader")
P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


async def _in_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(_readers, partial(call, *args, **named))


def etag_of(sha256: str) -> str:
    """The strong entity tag of a file."""
    return f'"{sha256}"'


def disposition(name: str) -> str:
    """``Content-Disposition`` with a file's name, also for clients that know ASCII only."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class FileAnswer(Response):
    """Sends a part of a file, and notes how far it came.

    Memory: ``READ_BYTES`` for each download and what the connection buffers, however large the
    file and however slow the client.

    Args:
        path: of the file.
        size: it must have.
        headers: beyond those of the part.
        file: on whose account it is sent, and which update notes progress.
    """

    def __init__(
        self,
        *,
        downloads: Downloads,
        path: Path,
        size: int,
        part: Part,
        headers: Mapping[str, str],
        file: File,
    ) -> None:
        super().__init__(
            status_code=206 if part.partial else 200,
            headers={
                **headers,
                "Content-Length": str(part.size),
                **(
                    {"Content-Range": f"bytes {part.first}-{part.end - 1}/{size}"}
                    if part.partial
                    else {}
                ),
            },
            media_type="application/octet-stream",
        )
        self._downloads, self._path, self._size, self._part = downloads, path, size, part
        self._whose = file.account, file.client, file.most
        self._artifact, self._update = file.artifact, file.update

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            descriptor = await _in_thread(_opened, self._path, self._size)
        except MooringError as error:
            log.warning("%s: %s", self._path, error)
            await answer_for(error, scope["path"])(scope, receive, send)
            return
        try:
            if scope.get(HEAD):
                await self._begin(send)
                await send({"type": "http.response.body", "body": b""})
            else:
                await self._in_turn(descriptor, scope, receive, send)
        finally:
            os.close(descriptor)

    async def _in_turn(self, descriptor: int, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as stack:
            try:
                stack.enter_context(self._downloads.turn(*self._whose))
            except MooringError as error:
                await answer_for(error, scope["path"])(scope, receive, send)
                return
            gone = asyncio.ensure_future(_disconnected(receive))
            stack.callback(gone.cancel)
            await self._begin(send)
            await self._send(descriptor, gone, send)

    async def _begin(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send(self, descriptor: int, gone: asyncio.Future[None], send: Send) -> None:
        place, end = self._part.first, self._part.end
        while place < end:
            block = await _in_thread(os.pread, descriptor, min(READ_BYTES, end - place), place)
            if not block:
                raise Unavailable(f"{self._path.name} has become shorter.", code="file_unavailable")
            for start in range(0, len(block), PIECE_BYTES):
                piece = block[start : start + PIECE_BYTES]
                await self._downloads.pace(len(piece))
                if gone.done():
                    return
                place += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": place < end})
                self._note(place)

    def _note(self, place: int) -> None:
        if self._update is not None:
            last = place == self._size and not (self._part.suffix and self._part.first)
            self._downloads.served(self._update, Served(self._artifact, place, last))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _opened(path: Path, size: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise _missing() from exc
    if os.fstat(descriptor).st_size != size:
        os.close(descriptor)
        raise _missing()
    return descriptor


def _missing() -> Unavailable:
    """Not a 404, which devices take for the end of the update."""
    return Unavailable(
        "The file cannot be read now.",
        hint="Restore `artifacts` from a backup; `mooring firmware verify` names what is missing.",
        code="file_unavailable",
        retry_after=60,
    )
