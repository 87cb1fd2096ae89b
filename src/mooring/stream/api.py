"""The WebSocket of the live stream."""

from __future__ import annotations

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from mooring.stream.conversation import Ended
from mooring.stream.streams import Streams
from mooring.web import websockets
from mooring.web.routing import Routes

__all__ = ["PATH", "router"]

PATH = "/api/v1/stream"

router = Routes()


class WebSocketClient:
    """Starlette's WebSocket as a client of ``Streams``."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.address = websocket.client.host if websocket.client else "unknown"

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | bytes = message.get("text") or message.get("bytes") or ""
        return text

    async def send(self, data: bytes) -> None:
        try:
            await self._websocket.send({"type": "websocket.send", "text": data.decode()})
        except (
            OSError,
            RuntimeError,
            WebSocketDisconnect,
        ) as exc:
            raise Ended from exc  # it has gone, or another task has closed it

    async def close(self, code: int, reason: str) -> None:
        await websockets.close(self._websocket, code, reason)


@router.websocket(PATH)
async def stream(websocket: WebSocket) -> None:
    """Live changes of devices: see docs/reference/stream.md. A token in the address is ignored."""
    streams: Streams = websocket.app.state.residents[Streams]
    kind, _, value = websocket.headers.get("authorization", "").partition(" ")
    secret = value.strip() if kind.lower() == "bearer" else websocket.headers.get("x-api-key", "")
    await websocket.accept()
    await streams.serve(WebSocketClient(websocket), secret)
