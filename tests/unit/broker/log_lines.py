"""Mosquitto's log, as Mosquitto writes it: the format strings of 2.0.11 and 2.1.2.

An oracle for tests: it takes what happened and gives the lines, cut where Mosquitto cuts them.
"""

from __future__ import annotations

from dataclasses import dataclass

STAMP = "2026-11-21T08:39:41+0000: "
CUT = 999

OLD_ENDINGS = (
    "Client {id} disconnected due to malformed packet.",
    "Client {id} disconnected due to protocol error.",
    "Client {id} closed its connection.",
    "Client {id} disconnected, not authorised.",
    "Client {id} has exceeded timeout, disconnecting.",
    "Client {id} disconnected due to oversize packet.",
    "Client {id} disconnected due to QoS too high or retain not supported.",
    "Client {id} been disconnected by administrative action.",
    "Client {id} disconnected: Connection reset by peer.",
    "Bad socket read/write on client {id}: A TLS error occurred.",
    "Client {id} disconnected.",
)
NEW_ENDINGS = (
    "Client {id} [{address}:{port}] disconnected: malformed packet.",
    "Client {id} [{address}:{port}] disconnected: protocol error.",
    "Client {id} [{address}:{port}] disconnected: connection closed by client.",
    "Client {id} [{address}:{port}] disconnected: not authorised.",
    "Client {id} [{address}:{port}] disconnected: exceeded timeout.",
    "Client {id} [{address}:{port}] disconnected: used disallowed feature (QoS too high, retain "
    "not supported, or bad AUTH method).",
    "Client {id} [{address}:{port}] disconnected: administrative action.",
    "Client {id} [{address}:{port}] disconnected: Connection reset by peer.",
    "Client {id} [{address}:{port}] disconnected: client identifier not valid.",
    "Client {id} [{address}:{port}] disconnected: bad socket read/write: A TLS error occurred.",
    "Client {id} [{address}:{port}] disconnected.",
)


@dataclass(frozen=True, slots=True)
class Broker:
    """One version's lines."""

    version: tuple[int, int, int]

    @property
    def new(self) -> bool:
        return self.version >= (2, 1)

    @property
    def endings(self) -> tuple[str, ...]:
        return NEW_ENDINGS if self.new else OLD_ENDINGS

    def running(self) -> list[str]:
        name = ".".join(map(str, self.version))
        return cut(f"mosquitto version {name} starting", f"mosquitto version {name} running")

    def opened(self, address: str, port: int) -> list[str]:
        return cut(f"New connection from {address}:{port} on port 8883.")

    def connected(self, client_id: str, username: str, address: str, port: int) -> list[str]:
        login = f"(p{4 if self.new else 2}, c1, k60, u'{username}')."
        return cut(f"New client connected from {address}:{port} as {client_id} {login}")

    def taken_over(self, client_id: str, address: str, port: int) -> list[str]:
        if self.new:
            return cut(f"Client {client_id} [{address}:{port}] disconnected: session taken over.")
        return cut(f"Client {client_id} already connected, closing old connection.")

    def ended(self, which: int, client_id: str, address: str, port: int) -> list[str]:
        ending = self.endings[which % len(self.endings)]
        return cut(ending.format(id=client_id, address=address, port=port))

    def refused(self, claimed: str, address: str, port: int) -> list[str]:
        """A login that is refused; 2.1 names the client id it came with."""
        if self.new:
            return cut(f"Client {claimed} [{address}:{port}] disconnected: not authorised.")
        return cut("Client <unknown> disconnected, not authorised.")

    def subscribed(self, client_id: str, text: str) -> list[str]:
        """At the level ``debug``."""
        return cut(
            f"Received SUBSCRIBE from {client_id}",
            f"\t{text} (QoS 1)",
            f"Sending SUBACK to {client_id}",
        )

    def published(self, client_id: str, topic: str, *, denied: bool) -> list[str]:
        verb = "Denied" if denied else "Received"
        return cut(
            f"{verb} PUBLISH from {client_id} (d0, q1, r0, m7, '{topic}', ... (12 bytes))",
            f"Sending PUBACK to {client_id} (m7, rc0)",
        )

    def dropping(self, client_id: str) -> list[str]:
        return cut(f"Outgoing messages are being dropped for client {client_id}.")


def cut(*sentences: str) -> list[str]:
    """Lines of at most 999 bytes, decoded as the reader of the file does."""
    return [f"{STAMP}{sentence}".encode()[:CUT].decode(errors="replace") for sentence in sentences]
