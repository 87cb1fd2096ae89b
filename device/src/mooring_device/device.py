"""The device: the one class an application uses."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from mooring_device import __version__
from mooring_device.commands import Commands
from mooring_device.configs import Configs
from mooring_device.credentials import Credentials, Tls
from mooring_device.device_key import DeviceKey
from mooring_device.dialect import Dialect
from mooring_device.download import fetcher_for
from mooring_device.environment import key_from, plain_http_from, policy_from
from mooring_device.errors import InvalidSetting, StoreUnavailable
from mooring_device.firmware import Updates
from mooring_device.handlers import Handlers
from mooring_device.http import Api
from mooring_device.link import Waker
from mooring_device.messages import Messages
from mooring_device.options import Options
from mooring_device.origins import VAULT, claimed, folder_of, from_environment
from mooring_device.outbox import Outbox
from mooring_device.pace import Bucket
from mooring_device.policy import FirmwarePolicy
from mooring_device.presence import Presence
from mooring_device.router import Router
from mooring_device.runner import Runner
from mooring_device.sender import Sender
from mooring_device.shapes import Shape
from mooring_device.store import Store
from mooring_device.tls import Contexts
from mooring_device.vault import Vault
from mooring_device.window import Window
from mooring_device.worker import Worker

__all__ = ["Device"]


class Device(Handlers):
    """A device that never loses a reading.

    ``publish`` works from the moment the object is there; the connection begins with
    ``start``, ``with device:`` or ``run_forever``. Register handlers before that.

    Args:
        credentials: from a claim, or the JSON object of ``mooring device add --json``.
        store: the folder for queue, credentials and firmware, one for each device;
            ``MOORING_STORE`` or ``~/.mooring-device`` by default.
        firmware: the version that runs; told to the platform.
        policy: which firmware is accepted; by default none, because none is trusted.
        options: see ``Options``.
        key: of a device that exchanges tokens for passwords; it needs the platform's address.
        shape: of the payloads, where the credentials carry none: topics from the environment.

    Raises:
        InvalidSetting: the credentials cannot be used, or a TLS file is missing or wrong.
        StoreUnavailable: the store cannot be opened, or another process has it.
    """

    def __init__(
        self,
        credentials: Credentials | Mapping[str, Any],
        *,
        store: str | os.PathLike[str] | None = None,
        firmware: str = "",
        policy: FirmwarePolicy | None = None,
        options: Options | None = None,
        key: DeviceKey | None = None,
        shape: Shape | None = None,
    ) -> None:
        if not isinstance(credentials, Credentials):
            credentials = Credentials.from_answer(credentials)
        if not credentials.client_id:
            raise InvalidSetting(
                "The device has no client id.", hint="The broker keeps its session by it."
            )
        if key is not None and not (credentials.http_url and credentials.username):
            raise InvalidSetting(
                "A device key needs the platform's address and the device's username.",
                hint="Set MOORING_URL and MQTT_USERNAME.",
            )
        self.options = options or Options()
        folder = folder_of(store)
        contexts = Contexts()
        if credentials.tls is not None:
            contexts.get(credentials.tls)  # a wrong file is named here, not in a thread
        self._waker = Waker()
        self._store = Store(
            folder / "queue.db",
            self.options.limits,
            synchronous=self.options.synchronous,
            on_commit=self._waker.wake,
        )
        self._vault = Vault(folder / VAULT)
        self.credentials = credentials = self._vault.given(credentials)
        self._shape = shape
        dialect = self._dialect_of(credentials)
        self._outbox = Outbox(dialect, self.options.limits)
        self._worker = Worker("mooring-callbacks")
        self._commands = Commands(
            self._store,
            self._outbox,
            self._worker.put,
            most=self.options.limits.commands,
            running_after=self.options.running_after,
        )
        self._messages = Messages(self._worker.put)
        self._configs = Configs(self._store, self._outbox, self._worker.put)
        self._updates = Updates(
            self._store,
            self._outbox,
            running=firmware,
            fetcher=lambda offer: fetcher_for(
                offer, folder / "firmware", self._vault.credentials or self.credentials
            ),
            backoff=self.options.backoff,
            policy=policy,
        )
        self._sender = Sender(
            self._store,
            self._outbox,
            receipts=dialect.has("receipt"),
            window=Window(
                self.options.window,
                self.options.receipt_timeout,
                max(900.0, self.options.receipt_timeout),
            ),
            bucket=Bucket(self.options.drain_rate),
            per_live=self.options.per_live,
        )
        self._runner = Runner(
            vault=self._vault,
            credentials=credentials,
            options=self.options,
            waker=self._waker,
            sender=self._sender,
            outbox=self._outbox,
            presence=Presence(firmware, __version__, self._facts),
            contexts=contexts,
            make_router=self._router,
            on_up=self._configs.connected,
            key=key,
            shaped=self._dialect_of,
        )
        self._started = False
        self._closed = False

    # ------------------------------------------------------------------ where it comes from

    @classmethod
    def from_env(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        topics: Mapping[str, str] | None = None,
        store: str | os.PathLike[str] | None = None,
        **more: Any,
    ) -> Device:
        """From environment variables; ``mooring_device.environment`` lists them.

        Args:
            environment: ``os.environ`` by default.
            topics: kind → topic, before ``MQTT_TOPICS``.
            store, more: as for ``Device``.

        Raises:
            InvalidSetting: a variable cannot be used.
            StoreUnavailable: as for ``Device``.
        """
        environment = os.environ if environment is None else environment
        folder = folder_of(store)
        found = from_environment(environment, topics, folder)
        if plain_http_from(environment):
            more["options"] = replace(more.get("options") or Options(), plain_http=True)
        more.setdefault("key", key_from(environment))
        more.setdefault("policy", policy_from(environment))
        return cls(found, store=folder, **more)

    @classmethod
    def claim(
        cls,
        code: str,
        *,
        url: str,
        store: str | os.PathLike[str] | None = None,
        hardware_id: str | None = None,
        ca_file: str = "",
        patience: float = 60.0,
        **more: Any,
    ) -> Device:
        """Turn a claim code into a device. The answer is kept in the store: at the next
        start the same code needs no platform.

        Args:
            code: from ``mooring claim new``.
            url: the platform's HTTP address.
            hardware_id: tells this machine from others; found out by default.
            ca_file: the CA to trust for ``url``; the system's CAs by default.
            patience: seconds to continue trying while the platform cannot be reached.
            store, more: as for ``Device``.

        Raises:
            ClaimRefused: the code is unknown, used or expired.
            ConnectFailed: the platform could not be reached.
            InvalidSetting, StoreUnavailable: as for ``Device``.
        """
        folder = folder_of(store)
        plain = (more.get("options") or Options()).plain_http
        tls = Tls(ca_file=ca_file) if ca_file else None
        found = claimed(
            code,
            lambda: Api(url, tls, plain_http=plain),
            folder,
            hardware_id=hardware_id,
            patience=patience,
        )
        return cls(found, store=folder, **more)

    # ------------------------------------------------------------------ operations

    def publish(
        self,
        values: Mapping[str, Any],
        *,
        channel: str = "telemetry",
        ts: int | None = None,
        name: str = "",
        wait: bool = True,
    ) -> int | None:
        """Queue a message and send it as soon as there is a connection.

        Args:
            values: what it says; JSON.
            channel: the kind or the name of a channel of the device's dialect: ``telemetry``,
                ``event``, ``alert`` …
            ts: when it was measured, epoch milliseconds; now by default.
            name: fills the ``+`` of a topic that has one.
            wait: return only when it is on disk. Without, it is there some milliseconds
                later, and several thousand a second are possible.

        Returns:
            The sequence number; ``None`` without ``wait``.

        Raises:
            InvalidReading: it cannot be sent ever: no JSON, too large, no such channel.
            StoreUnavailable: it could not be written, or the device is closed.
        """
        return self._store.append(self._outbox.new(channel, values, ts=ts, name=name), wait=wait)

    def flush(self) -> None:
        """Wait until everything published so far is on disk.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        self._store.flush()

    def stats(self) -> dict[str, Any]:
        """Counters and states, for a log or a display."""
        kept = self._store.run(
            lambda tables: [
                int(tables.get(k, 0))
                for k in ("dropped_by_size", "dropped_by_age", "commands_rejected")
            ]
        )
        counters = self._sender.counters
        return {
            "connected": self.connected,
            "sessions": self._runner.sessions,
            "last_failure": self._runner.last_failure,
            "last_seq": self._store.last_seq,
            "queued": self._store.held,
            "queued_bytes": self._store.held_bytes,
            "dropped_by_size": kept[0],
            "dropped_by_age": kept[1],
            "unstored": self._store.unstored,
            "undeliverable": counters.undeliverable,
            "commands_rejected": kept[2],
            "messages_dropped": self._messages.dropped,
            "sent": counters.sent,
            "resent": counters.resent,
            "delivered": counters.delivered,
            "receipts": counters.receipts,
            "over_http": self._runner.over_http,
        }

    # ------------------------------------------------------------------ life

    @property
    def connected(self) -> bool:
        """Whether the device is in service: accepted by the broker, subscribed, and still there."""
        return self._runner.up.is_set()

    @property
    def queued(self) -> int:
        """How many messages wait in the queue."""
        return self._store.held

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait for the connection; false when ``timeout`` seconds pass first."""
        return self._runner.up.wait(timeout)

    def wait_drained(self, timeout: float) -> bool:
        """Wait until everything published so far is delivered; false when ``timeout`` seconds
        pass first.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        deadline = time.monotonic() + timeout
        self._store.flush()  # what was published without waiting may not be in the queue yet
        while self._store.held:
            if time.monotonic() >= deadline or self._runner.done.is_set():
                return False
            time.sleep(0.02)
        return True

    def start(self) -> Device:
        """Connect, and stay connected, in threads of the SDK. Returns immediately."""
        if not self._started:
            self._started = True
            self._commands.recover()
            self._configs.start()
            self._updates.start()
            self._runner.start()
        return self

    def run_forever(self) -> None:
        """Run until SIGINT or SIGTERM, ``close`` from another thread, or revocation.

        Raises:
            Revoked: the platform has revoked this device.
        """
        self.start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._runner.stop())
        while not self._runner.done.wait(1.0):
            pass
        self.close()
        if self._runner.error is not None:
            raise self._runner.error

    def close(self) -> None:
        """Send what can be sent within ``options.linger``, say goodbye, and stop. What is left
        stays in the store for the next start. Calling it twice is not an error."""
        if self._closed:
            return
        self._closed = True
        if self._started:
            if not self._runner.done.is_set():
                with contextlib.suppress(StoreUnavailable):  # was reported when it happened
                    self.wait_drained(self.options.linger)
            self._updates.close(timeout=5.0)
        self._configs.close()
        self._worker.close(timeout=5.0)
        if self._started:
            self._runner.stop()
            self._runner.join(30.0)
        self._store.close()
        self._waker.close()

    def __enter__(self) -> Device:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _router(self, reconnect: Callable[[], None]) -> Router:
        self._configs.reconnect = reconnect
        return Router(
            commands=self._commands,
            configs=self._configs,
            updates=self._updates,
            messages=self._messages,
            sender=self._sender,
            vault=self._vault,
            reconnect=reconnect,
        )

    def _dialect_of(self, credentials: Credentials) -> Dialect:
        """How the device speaks with these credentials.

        Raises:
            InvalidSetting: their shape or a topic cannot be used.
        """
        found = credentials.channels()
        if self._shape is None:
            return found
        return Dialect(map(self._shape.on, found.channels), name=found.name, groups=found.groups)

    def _facts(self) -> dict[str, int]:
        return {"queued": self._store.held, "seq": self._store.last_seq}
