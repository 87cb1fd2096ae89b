"""Simulated devices: two ways in which firmware treats a new password."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from mooring_device.rotation import Passwords, lost, offered, proved, refused

__all__ = ["Device", "KeepsBoth", "StoresNewest"]

PAUSE = 0.2  # seconds between two logins
HOLDS = 0.8  # seconds in session that prove a password to the device


class Device:
    """Connects again and again with what it has, in a thread of its own."""

    def __init__(
        self, port: int, username: str, client_id: str, topics: Mapping[str, str], password: str
    ) -> None:
        self._port = port
        self._username = username
        self._client_id = client_id
        self._topics = topics
        self._stop = threading.Event()
        self._leave = threading.Event()
        self._up = threading.Event()
        self.got_command: Callable[[], None] = lambda: None
        self.may_answer: Callable[[], bool] = lambda: True
        self.start_with(password)
        self._thread = threading.Thread(target=self._run, name=client_id, daemon=True)

    # ------------------------------------------------------------------ firmware

    def start_with(self, password: str) -> None: ...

    @property
    def password(self) -> str:
        """What its next login uses."""
        raise NotImplementedError

    def take(self, client: mqtt.Client, body: dict[str, Any]) -> None:
        """The command has come."""

    def was_refused(self) -> None: ...

    def was_lost(self) -> None: ...

    def held(self) -> None: ...

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._leave.set()
        self._thread.join(20)

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._session(self.password)
            self._up.clear()
            time.sleep(PAUSE)

    def _session(self, password: str) -> None:
        self._leave.clear()
        answer: list[bool] = []
        over = threading.Event()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, reconnect_on_failure=False
        )
        client.username_pw_set(self._username, password)

        def on_connect(one: mqtt.Client, _u: Any, _f: Any, code: Any, _p: Any) -> None:
            answer.append(not code.is_failure)
            if not code.is_failure:
                one.subscribe(self._topics["command"], 1)

        def on_subscribe(*_: Any) -> None:
            self._up.set()

        def on_message(one: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
            self.take(one, json.loads(message.payload))

        client.on_connect, client.on_message = on_connect, on_message
        client.on_subscribe = on_subscribe
        client.on_disconnect = lambda *_: over.set()
        try:
            client.connect("127.0.0.1", self._port, keepalive=5)
        except OSError:
            return
        client.loop_start()
        began = time.monotonic()
        proven = False
        while not over.wait(0.05) and not self._stop.is_set() and not self._leave.is_set():
            if self._up.is_set() and not proven and time.monotonic() - began > HOLDS:
                proven = True
                self.held()
        self._up.clear()
        client.disconnect()
        client.loop_stop()
        if answer and not answer[0]:
            self.was_refused()
        elif answer and not self._leave.is_set():
            self.was_lost()


class StoresNewest(Device):
    """One place for one password: the newest; it never answers."""

    def start_with(self, password: str) -> None:
        self._password = password

    @property
    def password(self) -> str:
        return self._password

    def take(self, client: mqtt.Client, body: dict[str, Any]) -> None:
        values = body.get("args", body)
        self._password = values["password"]
        self.got_command()
        self._leave.set()


class KeepsBoth(Device):
    """As the device SDK does it, with the SDK's own rules."""

    def start_with(self, password: str) -> None:
        self._state = Passwords(password)

    @property
    def password(self) -> str:
        current = self._state.current
        assert current is not None
        return current

    def take(self, client: mqtt.Client, body: dict[str, Any]) -> None:
        values = body["args"]
        self._state = offered(self._state, values["password"], values["rotation"], self.password)
        self.got_command()
        if self.may_answer():
            answer = {"ts": time.time_ns() // 1_000_000, "id": body["id"], "ok": True}
            client.publish(self._topics["reply"], json.dumps(answer), 1)
        if self._state.try_pending:
            threading.Timer(0.3, self._leave.set).start()

    def was_refused(self) -> None:
        self._state = refused(self._state)

    def was_lost(self) -> None:
        self._state = lost(self._state, had_session=True)

    def held(self) -> None:
        if self._state.try_pending:
            self._state = proved(self._state)
