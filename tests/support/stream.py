"""A client of the live stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

__all__ = ["PATH", "StreamClient"]

PATH = "/api/v1/stream"
SECONDS = 20.0

Message = dict[str, Any]


class StreamClient(AbstractContextManager["StreamClient"]):
    """Puts together what it gets: ``view`` is (device, kind, metric) → value.

    Args:
        port: of HTTP.
        token: sent in the first message; ``header``: in the handshake.
        origin: as a browser's page would send it.
    """

    def __init__(
        self, port: int, token: str = "", *, header: str = "", origin: str | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {header}"} if header else {}
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(
            connect(
                f"ws://127.0.0.1:{port}{PATH}",
                additional_headers=headers,
                origin=origin,  # type: ignore[arg-type]
                open_timeout=SECONDS,
                ping_interval=None,
                max_size=None,
            )
        )
        self.view: dict[tuple[str, str, str], Any] = {}
        self.cursors: dict[str, str] = {}
        self.missed = 0
        self.got: list[Message] = []
        if token:
            self.send({"token": token})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def send(self, document: Any) -> None:
        self.socket.send(document if isinstance(document, str) else json.dumps(document))

    def subscribe(self, name: str = "1", **wanted: Any) -> Message:
        """Subscribes; the last message of the snapshot, or the answer where it is none."""
        self.send({"subscribe": {"id": name, **wanted}})
        answer = self.wait(lambda m: m.get("id") == name and ("subscribed" in m or "error" in m))
        if "error" in answer or wanted.get("from") is not None:
            return answer
        return self.wait(lambda m: m.get("id") == name and m.get("more") is False)

    def next(self, seconds: float = SECONDS) -> Message:
        """The next message.

        Raises:
            TimeoutError: none comes.
        """
        message: Message = json.loads(self.socket.recv(timeout=seconds))
        self.got.append(message)
        self.missed += message.get("missed", 0)
        if "cursor" in message:
            self.cursors[message["id"]] = message["cursor"]
        for one in (*message.get("items", ()), *message.get("snapshot", ())):
            for metric, value in one["values"].items():
                self.view[one["device"], one["kind"], metric] = value
        return message

    def wait(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted; those before it are taken in."""
        deadline = time.monotonic() + SECONDS
        while True:
            message = self.next(max(0.01, deadline - time.monotonic()))
            if wanted(message):
                return message

    def sees(self, device: str, metric: str, value: Any, kind: str = "telemetry") -> None:
        """Reads until a metric has a value."""
        deadline = time.monotonic() + SECONDS
        while self.view.get((device, kind, metric)) != value:
            self.next(max(0.01, deadline - time.monotonic()))

    def closed(self, seconds: float = SECONDS) -> tuple[int, Message]:
        """Reads until the server closes: the code, and the reason."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.next(max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as exc:
            frame = exc.rcvd
            assert frame is not None, exc
            reason = frame.reason
            return frame.code, json.loads(reason) if reason.startswith("{") else {}

    @classmethod
    def opened(cls, port: int, token: str, **wanted: Any) -> Self:
        """With a login and one subscription."""
        client = cls(port, token)
        client.subscribe(**wanted)
        return client
