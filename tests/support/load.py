"""A publisher that knows exactly what the broker has acknowledged to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.support.platform import Login

__all__ = ["Publisher"]

WINDOW = 50


class Publisher:
    """Sends numbered QoS 1 messages from a thread of its own until stopped.

    It goes on through broker restarts as a device does: the same session, the same messages
    again until they are acknowledged.

    Args:
        timed: whether each payload carries a time; without one, only the broker's packet ids
            tell a repetition from a new message.
        numbered: whether each payload carries a number as the dialect ``mooring`` has it: the
            only mark by which what a killed broker delivers again is recognised.
    """

    def __init__(
        self,
        login: Login,
        port: int,
        *,
        rate: float,
        timed: bool = False,
        numbered: bool = False,
        start: int = 0,
    ) -> None:
        self.acknowledged: set[int] = set()
        self.connects = 0  # how often the broker let it in
        self.refusals = 0  # how often it answered, and said no
        self.sent = start
        self._login = login
        self._rate = rate
        self._timed = timed
        self._numbered = numbered
        self._numbers: dict[int, int] = {}
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
        )
        client.username_pw_set(login.username, login.password)
        client.on_publish = self._on_publish
        client.on_connect = self._on_connect
        client.max_inflight_messages_set(WINDOW)
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        self._client = client
        self._thread = threading.Thread(target=self._run, name=f"load {login.device}", daemon=True)

    def start(self) -> Publisher:
        self._thread.start()
        return self

    def finish(self, *, timeout: float = 60.0) -> set[int]:
        """Stops sending, waits for every acknowledgement, and returns their numbers."""
        self._stop.set()
        self._thread.join()
        deadline = time.monotonic() + timeout
        while self._numbers and time.monotonic() < deadline:
            time.sleep(0.05)
        self._client.disconnect()
        self._client.loop_stop()
        if self._numbers:
            raise AssertionError(f"{len(self._numbers)} messages were never acknowledged")
        return self.acknowledged

    def _run(self) -> None:
        begun, first = time.monotonic(), self.sent
        while not self._stop.is_set():
            due = int((time.monotonic() - begun) * self._rate) - (self.sent - first)
            room = WINDOW * 20 - len(self._numbers)
            for _ in range(max(0, min(due, room))):
                self._send()
            time.sleep(0.01)

    def _send(self) -> None:
        number = self.sent
        self.sent += 1
        body: dict[str, object] = {"n": number, "pad": "x" * 180}
        if self._timed:
            body["timestamp"] = time.time_ns() // 1_000_000
        if self._numbered:
            body |= {"seq": number + 1, "values": {"load": number}}
        # Not under the lock: the library calls back while it holds one of its own.
        info = self._client.publish(self._login.topics["telemetry"], json.dumps(body), qos=1)
        with self._lock:
            if info.mid in self._early:
                self._early.discard(info.mid)
                self.acknowledged.add(number)
            else:
                self._numbers[info.mid] = number

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        if code.is_failure:
            self.refusals += 1
        else:
            self.connects += 1

    def _on_publish(self, *arguments: object) -> None:
        mid = arguments[2]
        assert isinstance(mid, int)
        with self._lock:
            number = self._numbers.pop(mid, None)
            if number is None:
                self._early.add(mid)  # answered before publish() came back
            else:
                self.acknowledged.add(number)


def every(seconds: float, action: Callable[[], None], times: int) -> None:
    """Does something a number of times, with pauses before each."""
    for _ in range(times):
        time.sleep(seconds)
        action()
