"""An HTTP client for ``bench.authorities`` that costs little: one connection, kept open."""

from __future__ import annotations

import asyncio
import json
from typing import Any

__all__ = ["Web"]

LINE_END = b"\r\n"


class Web:
    """Requests one after another over one connection, opened again when the server ended it.

    Args:
        port: of the server, on this machine.
        key: an API key.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._fixed = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, document: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer's document.

        Raises:
            OSError: there is no server.
            AssertionError: the answer is an error.
        """
        body = b"" if document is None else json.dumps(document).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\n{self._fixed}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(LINE_END + LINE_END)).split(LINE_END)
        length = next(
            int(line.partition(b":")[2])
            for line in answer
            if line.lower().startswith(b"content-length:")
        )
        content = await reader.readexactly(length)
        assert answer[0].split()[1].startswith(b"2"), (answer[0], content)
        found = json.loads(content)
        assert isinstance(found, dict)
        return found

    async def close(self) -> None:
        """Ends the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
