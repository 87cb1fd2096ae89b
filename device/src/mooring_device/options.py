"""The device's settings that have a default which fits most."""

from __future__ import annotations

from dataclasses import dataclass, field

from mooring_device.backoff import Backoff
from mooring_device.limits import Limits

__all__ = ["HTTP_MODES", "MAX_HTTP_BATCH", "Options"]

MAX_HTTP_BATCH = 1_000  # readings the platform takes in one request
HTTP_MODES = ("off", "fallback", "only")


@dataclass(frozen=True)
class Options:
    """How a device connects, queues and drains. All times in seconds.

    Attributes:
        limits: of the queue on disk.
        synchronous: ``FULL`` (every commit survives a power cut) or ``NORMAL``.
        window: messages that may be on their way at once.
        receipt_timeout: until a message without a receipt is sent again; doubles each time.
        drain_rate: backlog readings a second after a reconnect; 0: as fast as it goes.
        per_live: backlog readings that go for each live one when both wait.
        keepalive: of MQTT.
        connect_timeout: of each step of connecting.
        backoff: between attempts to connect.
        heartbeat: between two heartbeats; 0: none.
        http: ``off``; ``fallback``: readings go over HTTP while MQTT fails; ``only``.
        http_after: without MQTT until HTTP takes over.
        http_batch: readings in one request.
        plain_http: send passwords to http:// on other machines, which everybody on the way
            can read; off: such an address is rejected.
        recover_every: between two requests for fresh credentials after rejections.
        linger: at most this long, ``close`` waits for the queue to drain.
        running_after: until a command that is not over yet is reported as running; 0: never.
        shape_every: between two requests for the device's channels, where it can come into groups.
    """

    limits: Limits = field(default_factory=Limits)
    synchronous: str = "FULL"
    window: int = 200
    receipt_timeout: float = 30.0
    drain_rate: float = 500.0
    per_live: int = 4
    keepalive: int = 60
    connect_timeout: float = 10.0
    backoff: Backoff = field(default_factory=Backoff)
    heartbeat: float = 60.0
    http: str = "off"
    http_after: float = 60.0
    http_batch: int = 100
    plain_http: bool = False
    recover_every: float = 600.0
    linger: float = 5.0
    running_after: float = 5.0
    shape_every: float = 3600.0

    def __post_init__(self) -> None:
        if self.http not in HTTP_MODES:
            raise ValueError(f"http is one of {', '.join(HTTP_MODES)}, not {self.http!r}")
        if self.synchronous not in ("FULL", "NORMAL"):
            raise ValueError("synchronous is FULL or NORMAL")
        times = (self.receipt_timeout, self.connect_timeout, self.http_after, self.recover_every)
        if self.shape_every <= 0:
            raise ValueError("shape_every is more than 0")
        if (
            min(times) <= 0
            or min(self.heartbeat, self.drain_rate, self.linger, self.running_after) < 0
        ):
            raise ValueError("a time of the options is negative or zero")
        if min(self.window, self.per_live, self.keepalive, self.http_batch) < 1:
            raise ValueError("a count of the options is less than one")
        if self.http_batch > MAX_HTTP_BATCH:
            raise ValueError(f"http_batch is at most {MAX_HTTP_BATCH}")
