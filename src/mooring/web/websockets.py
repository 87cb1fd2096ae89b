"""Closing WebSockets."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

__all__ = ["CLOSE_SECONDS", "close"]

CLOSE_SECONDS = 1.0  # in which a client takes the message of the end


async def close(websocket: WebSocket, code: int, reason: str = "") -> None:
    """Closes a WebSocket, or finds that it has gone.

    A client that does not read cannot take the message. It is waited for briefly, because others
    may have to be closed after it; from then on nothing more is sent to it.
    """
    if websocket.application_state is WebSocketState.DISCONNECTED:
        return
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(code, reason)
    except (OSError, RuntimeError, WebSocketDisconnect):  # TimeoutError is an OSError
        return
