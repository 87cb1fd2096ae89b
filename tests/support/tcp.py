"""A way between a client and a server that can be cut at a chosen place."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType

__all__ = ["Wire"]


class Wire:
    """Listens on a free loopback port and passes everything on to another one.

    ``cut_at`` names bytes of the client's; when they come, the wire breaks: before they reach
    the server, or after the server has answered them, in which case the answer is lost.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._word = b""
        self._answered = False
        self._hang = False
        self.cuts = 0
        self._thread = threading.Thread(target=self._accept, name="wire", daemon=True)

    def cut_at(self, word: bytes, *, answered: bool = False, hang: bool = False) -> None:
        """Breaks the next connection that says ``word``.

        Args:
            answered: the server gets it and answers; otherwise it never does.
            hang: the server's side stays open: it has not noticed that the client is gone.
        """
        self._word, self._answered, self._hang = word, answered, hang

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        chooser = selectors.DefaultSelector()
        chooser.register(client, selectors.EVENT_READ, server)
        chooser.register(server, selectors.EVENT_READ, client)
        losing = False
        try:
            while True:
                for key, _ in chooser.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(1 << 20)
                    if not data:
                        return
                    if losing and source is server:
                        self.cuts += 1
                        return
                    if source is client and self._word and self._word in data:
                        self._word = b""
                        if not self._answered:
                            self.cuts += 1
                            return
                        losing = True
                    target.sendall(data)
        except OSError:  # one side is gone: so is the other
            return
        finally:
            client.close()
            if not self._hang:
                server.close()
