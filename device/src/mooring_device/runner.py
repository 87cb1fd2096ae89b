"""The network thread: sessions with waits between them, rejections, recovery, HTTP meanwhile."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mooring_device.channels import ChannelsWatch
from mooring_device.credentials import Credentials
from mooring_device.device_key import HTTP_SECONDS, DeviceKey
from mooring_device.dialect import Dialect
from mooring_device.errors import ConnectFailed, DeviceError, Revoked
from mooring_device.http import Api
from mooring_device.http_way import HttpWay
from mooring_device.link import Refused, Waker
from mooring_device.options import Options
from mooring_device.outbox import Outbox
from mooring_device.presence import Presence
from mooring_device.rotation import Passwords, lost, offered, proved, refused
from mooring_device.router import Router
from mooring_device.sender import Sender
from mooring_device.session import Session
from mooring_device.tls import Contexts
from mooring_device.vault import Vault

__all__ = ["REFUSALS", "Runner"]

log = logging.getLogger("mooring_device")

REFUSALS = 3  # in a row, of every password there is, before fresh ones are asked for
GRACE = 1.0  # seconds in which the reply to a rotation goes out before the reconnect


class Runner(threading.Thread):
    """Keeps the device connected until it is stopped or revoked."""

    def __init__(
        self,
        *,
        vault: Vault,
        credentials: Credentials,
        options: Options,
        waker: Waker,
        sender: Sender,
        outbox: Outbox,
        presence: Presence,
        contexts: Contexts,
        make_router: Callable[[Callable[[], None]], Router],
        on_up: Callable[[], None] = lambda: None,
        shaped: Callable[[Credentials], Dialect] = Credentials.channels,
        key: DeviceKey | None = None,
    ) -> None:
        super().__init__(name="mooring-network", daemon=True)
        self.up = threading.Event()
        self.done = threading.Event()
        self.error: Exception | None = None
        self.sessions = 0
        self.last_failure = ""
        self.over_http = 0
        self._vault = vault
        self._credentials = credentials
        self._options = options
        self._waker = waker
        self._sender = sender
        self._outbox = outbox
        self._presence = presence
        self._router = make_router(self._reconnect_soon)
        self._on_up = on_up
        self._shaped = shaped
        self._key = key
        self._former: set[str] = set()  # filters that this device has subscribed to before
        self._stop_asked = threading.Event()
        self._leave_at: float | None = None
        self._contexts = contexts
        self._refusals = 0
        self._down_since = time.monotonic()
        self._asked_at: float | None = None
        self._http = HttpWay(options)
        self._channels = ChannelsWatch(
            options.shape_every,
            lambda it: Api(it.http_url, it.tls, plain_http=options.plain_http),
            waker.wake,
        )

    def stop(self) -> None:
        """End the session with a goodbye, then the thread."""
        self._stop_asked.set()
        self._waker.wake()

    def run(self) -> None:
        attempt = -1
        try:
            while not self._stop_asked.is_set():
                attempt = self._round(attempt)
        except Revoked as exc:
            log.error("%s", exc)  # noqa: TRY400  the application gets the exception
            self.error = exc
        finally:
            self.done.set()

    def _round(self, attempt: int) -> int:
        """One session and the pause after it; answers with the number of the attempt.

        Raises:
            Revoked: the device must stop.
        """
        backoff = self._options.backoff
        try:
            if self._options.http == "only":
                self._pause(float("inf"))
                return attempt
            held, again = self._once()
            attempt = backoff.after(attempt, held)
            if not again:
                self._pause(backoff.wait(attempt, random.random()))  # noqa: S311  jitter
        except Revoked:
            raise
        except Exception as exc:
            # A device in the field continues trying: a full disk may be emptied, a broken
            # file be replaced.
            log.exception("The network thread of the device failed; it continues.")
            self.last_failure = str(exc)
            attempt += 1
            self._stop_asked.wait(backoff.wait(attempt, random.random()))  # noqa: S311  jitter
        return attempt

    # ------------------------------------------------------------------ one attempt

    def _once(self) -> tuple[float, bool]:
        """One session; how long it held, and whether the next one should follow immediately."""
        self._renew()
        passwords = self._vault.passwords
        try:
            held = self._session(passwords)
        except Refused as exc:
            self._note(exc)
            self._refusals += 1
            if self._key is not None:
                self._key.refused()
                return 0.0, False
            self._vault.settle(refused(passwords))
            self._ask_for_fresh()
            return 0.0, False
        except ConnectFailed as exc:
            self._note(exc)
            self._vault.settle(lost(self._vault.passwords, had_session=False))
            return 0.0, False
        self._down_since = time.monotonic()
        if self._take_channels() or self._leave_at is not None or self._due():
            # With new channels, a new password that was offered, or one for a token.
            self._leave_at = None
            return held, True
        if not self._stop_asked.is_set():
            self._vault.settle(lost(self._vault.passwords, had_session=True))
        return held, False

    def _session(self, passwords: Passwords) -> float:
        credentials = self._credentials.with_password(passwords.current)
        tls = credentials.tls
        if tls is not None and tls.insecure:
            log.warning(
                "MQTT_TLS_INSECURE is set: anyone who answers as %s is believed, and gets this "
                "device's password. Only for a bench.",
                credentials.host,
            )
        return Session(
            credentials,
            options=self._options,
            context=self._contexts.get(tls) if tls is not None else None,
            waker=self._waker,
            sender=self._sender,
            outbox=self._outbox,
            router=self._router,
            presence=self._presence,
            holds=passwords.holds,
            proved=lambda: self._proved(passwords),
            connected=self._connected,
            stopping=self._stop_asked.is_set,
            leaving=self._leaving,
            former=self._former,
        ).run()

    def _leaving(self, now: float) -> bool:
        if (self._leave_at is not None and now >= self._leave_at) or self._due():
            return True
        if not (self._outbox.dialect.groups and self._credentials.http_url and self.up.is_set()):
            return False
        return self._channels.check(now, self._current())

    def _take_channels(self) -> bool:
        """Use the channels that the platform told, from the next session on."""
        told = self._channels.take()
        if told is None:
            return False
        self._credentials = replace(self._credentials, topics=told.topics, shape=told.shape)
        self._vault.reshaped(self._credentials)
        self._speak(self._credentials)
        log.info("The platform told new channels for this device; connecting again with them.")
        return True

    def _connected(self, is_up: bool) -> None:
        if is_up:
            self._channels.connected(time.monotonic())
            self.sessions += 1
            self.last_failure = ""
            self._refusals = 0
            self.up.set()
            self._on_up()
        else:
            self.up.clear()

    def _proved(self, used: Passwords) -> None:
        now = self._vault.passwords
        if now.pending is not None and now.current == used.current:
            self._vault.settle(proved(now))
            log.info("The password in use has proved itself; the other one is forgotten.")

    def _reconnect_soon(self) -> None:
        self._leave_at = time.monotonic() + GRACE

    def _note(self, exc: Exception) -> None:
        self.last_failure = str(exc)
        log.warning("%s", exc)

    # ------------------------------------------------------------------ a key instead

    def _due(self) -> bool:
        return self._key is not None and self._key.due(time.time())

    def _renew(self) -> None:
        """A new password for a token, where it is time for one."""
        if self._key is None or not self._due():
            return
        known, now = self._credentials, time.time()
        try:
            asked = known.with_password(self._key.token(known.username or "", now=now))
            fresh, expires = self._http.api(known).exchange(asked)
        except DeviceError as exc:
            self._key.failed(now)  # the password at hand may still be accepted
            self._note(exc)
            return
        self._key.renewed(now, expires)
        self._vault.recovered(fresh, Passwords(fresh.password))
        self._credentials = fresh
        self._speak(fresh)
        self._refusals = 0

    # ------------------------------------------------------------------ recovery

    def _ask_for_fresh(self) -> None:
        """Ask the platform for credentials, when the broker accepts none of those there are.

        Raises:
            Revoked: the platform says so.
        """
        known = self._vault.passwords
        ways = 2 if known.pending is not None else 1
        due = self._asked_at is None or (
            time.monotonic() - self._asked_at >= self._options.recover_every
        )
        credentials = self._credentials
        if not (
            credentials.http_url and known.current and due and self._refusals >= REFUSALS * ways
        ):
            return
        self._asked_at = time.monotonic()
        for password in dict.fromkeys((known.current, known.settled, known.pending)):
            if password is None:
                continue
            try:
                api = self._http.api(credentials)
                fresh = api.recover(credentials.with_password(password))
            except Revoked:
                raise
            except DeviceError as exc:
                self._note(exc)
                return
            if fresh is not None:
                self._take_fresh(fresh, known)
                return

    def _take_fresh(self, fresh: Credentials, known: Passwords) -> None:
        passwords = Passwords(fresh.password)
        if fresh.username == self._credentials.username and fresh.password is not None:
            passwords = offered(known, fresh.password, None, known.settled)
        self._vault.recovered(fresh, passwords)
        self._credentials = fresh
        self._speak(fresh)
        self._refusals = 0
        log.info("The platform gave this device fresh credentials.")

    def _speak(self, credentials: Credentials) -> None:
        """Use the channels of these credentials from the next session on."""
        dialect = self._shaped(credentials)
        self._former = {*self._former, *self._outbox.dialect.filters()}
        self._outbox.dialect = dialect
        self._sender.by_receipt = dialect.has("receipt")

    # ------------------------------------------------------------------ between sessions

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        begun = False
        while not self._stop_asked.is_set():
            now = time.monotonic()
            if now >= until:
                return
            idle = until - now
            if self._http.due(now, self._down_since):
                if not begun:
                    begun = True
                    self._sender.begin()
                sent = self._http.send(self._sender, self._outbox, self._current())
                self.over_http += sent
                if sent:
                    continue
                if self._http.wait() > 0:
                    idle = min(idle, self._http.wait())
            self._waker.wait(min(idle, 1.0))

    def _current(self) -> Credentials:
        """For requests over HTTP, where a token is a password."""
        if self._key is not None:
            username = self._credentials.username or ""
            token = self._key.token(username, seconds=HTTP_SECONDS)
            return self._credentials.with_password(token)
        return self._credentials.with_password(self._vault.passwords.current)
