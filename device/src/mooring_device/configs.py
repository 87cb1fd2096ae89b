"""Settings from the platform: applied when they change, kept, and reported.

The broker keeps the last settings (retained) and sends them at every connect; the handler
is called only for a change, and of several that arrive together only for the newest. The last
settings that were applied are in the store, so a device that starts without a network runs with
them.

Guarded settings are tried: they are applied, and the device connects again. In the new session it
reports them, and they are kept. If it cannot connect in time, it applies the former settings again,
and reports that. What is tried is in the store, too, because applying it may restart the device.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mooring_device.commands import parameters_of, words_of
from mooring_device.dialect import Payload, look_up
from mooring_device.errors import InvalidReading
from mooring_device.limits import CLOCK_FLOOR_MS
from mooring_device.orders import read_json
from mooring_device.outbox import Outbox, now_ms
from mooring_device.shapes import dump, put
from mooring_device.store import Store
from mooring_device.tables import Tables

__all__ = ["GUARD_MAX", "STARTS_MAX", "Configs", "Offered", "parse_config"]

log = logging.getLogger("mooring_device")

SETTLE = 0.05  # seconds without another version before the newest one is applied
GUARD_MAX = 86_400  # seconds
STARTS_MAX = 3
"""After this many starts within one trial the former settings are applied: the new ones may be why
the device restarts."""

SECRET_LEAST = 3  # characters; shorter ones would be found in any text

MASK = "********"  # the platform's, too
KEPT, TRIAL = "config", "config_trial"  # keys of the store
GIVEN_UP = "config_given_up"  # the mark of what was not confirmed in time
NOT_CONFIRMED = "The device could not connect again with these settings and went back."


class Offered(NamedTuple):
    """Settings as they arrived. ``guard``: seconds in which they have to be confirmed; 0: they
    need not be. ``secrets``: paths of fields whose values are not reported; ``*`` is any key."""

    version: int | None
    config: dict[str, Any]
    guard: int = 0
    secrets: list[list[str]] = []  # noqa: RUF012  never changed

    @property
    def mark(self) -> str:
        return dump({"version": self.version, "config": self.config})


def parse_config(payload: bytes, shape: Payload) -> Offered:
    """Version and settings; payloads of dialects without versions are settings as a whole.

    Raises:
        ValueError: no JSON object.
        InvalidReading: they cannot be kept.
    """
    body = read_json(payload)
    if shape.guess:
        shape = Payload(
            identifier=("version",), values=("config",), guard=("guard_s",), secrets=("secret",)
        )
    config = look_up(body, shape.values)
    if not isinstance(config, dict):
        config = body
    if config is body:
        used = {path[0] for path in shape.known}
        config = {key: value for key, value in body.items() if key not in used}
    version, guard = look_up(body, shape.identifier), look_up(body, shape.guard)
    dump(config)  # what cannot be written cannot be kept
    return Offered(
        version if type(version) is int else None,
        config,
        min(guard, GUARD_MAX) if type(guard) is int and guard > 0 else 0,
        _paths(look_up(body, shape.secrets)),
    )


def _paths(value: object) -> list[list[str]]:
    some = value if isinstance(value, list) else []
    return [p for p in some if isinstance(p, list) and all(isinstance(k, str) for k in p)]


def masked(value: Any, secrets: list[list[str]]) -> Any:
    """A copy with ``MASK`` instead of the values at these paths."""
    if [] in secrets:
        return MASK
    if not secrets or not isinstance(value, (dict, list)):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    shown = {
        key: masked(below, [p[1:] for p in secrets if p and p[0] in (str(key), "*")])
        for key, below in items
    }
    return shown if isinstance(value, dict) else list(shown.values())


class Configs:
    """The device's settings. ``handler`` may be set until the device starts.

    Args:
        submit: gives work to the thread of the callbacks.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self.handler: Callable[..., Any] | None = None
        self.reconnect: Callable[[], None] = lambda: None
        self._store = store
        self._outbox = outbox
        self._submit = submit
        self._seen = ""  # the mark of what arrived last
        self._newest: Offered | None = None
        self._done = ""  # the mark of what was applied last
        self._given_up = ""
        self._trial: Offered | None = None
        self._timer: threading.Timer | None = None
        self._asked = threading.Event()  # the newest settings wait for the callbacks' thread

    # ------------------------------------------------------------------ events

    def start(self) -> None:
        """Apply the settings the device last ran with, or those that it was trying."""
        if self.handler is None:
            return
        kept, trial, self._given_up = self._store.run(
            lambda tables: (tables.get(KEPT), tables.get(TRIAL), tables.get(GIVEN_UP, ""))
        )
        if trial is not None:
            known = json.loads(trial)
            offered = Offered(
                known["version"], known["config"], known["guard"], known.get("secrets", [])
            )
            self._seen = self._done = offered.mark
            if known.get("back"):  # it ended while the former settings were being applied
                self._submit(lambda: self._go_back(offered))
            else:
                self._submit(lambda: self._try(offered, known["starts"] + 1, known.get("began")))
        elif kept is not None:
            known = json.loads(kept)
            offered = Offered(known["version"], known["config"])
            self._seen = self._done = offered.mark
            self._submit(lambda: self._hand_over(offered.config))

    def arrived(self, payload: bytes, shape: Payload) -> None:
        """Take in settings from the broker; the same ones again are nothing new.

        Raises:
            ValueError, InvalidReading: they are not settings.
        """
        if self.handler is None or not payload:  # empty: the platform has cleared them
            return
        offered = parse_config(payload, shape)
        # The broker keeps what was given up until the platform goes back, too.
        if offered.mark not in (self._seen, self._given_up):
            self._seen, self._newest = offered.mark, offered
            if not self._asked.is_set():
                self._asked.set()
                self._submit(self._apply_newest)

    def connected(self) -> None:
        """A new session is in service: settings that were tried before it are confirmed."""
        trial = self._trial
        if trial is not None:
            self._submit(lambda: self._confirm(trial))

    def close(self) -> None:
        """A trial under way continues at the next start."""
        if self._timer is not None:
            self._timer.cancel()

    # ------------------------------------------------------------------ in the callbacks' thread

    def _apply_newest(self) -> None:
        """What a broker kept for a device that was away arrives all together."""
        self._asked.clear()
        offered = self._newest
        while True:
            time.sleep(SETTLE)
            if offered is self._newest:
                break
            offered = self._newest
        if offered is None or offered.mark == self._done:
            return
        self._done = offered.mark
        if offered.guard:
            self._try(offered, 0, None)
            return
        self._end_trial()
        self._report(offered, self._call(offered))

    def _try(self, offered: Offered, starts: int, began: int | None) -> None:
        """``began``: when the trial began, epoch milliseconds; a restart does not prolong it."""
        self._end_trial()
        began = now_ms() if began is None else began
        left = remaining(offered.guard, began, now_ms())
        if starts > STARTS_MAX or left <= 0:
            self._go_back(offered)
            return
        # Before the handler runs, which may restart the device.
        self._note_trial(offered, starts=starts, began=began)
        error = self._call(offered)
        if error:
            self._report(offered, error)
            return
        self._trial = offered
        self._timer = threading.Timer(left, lambda: self._submit(lambda: self._give_up(offered)))
        self._timer.daemon = True
        self._timer.start()
        self.reconnect()

    def _confirm(self, trial: Offered) -> None:
        if self._trial is trial:
            self._end_trial()
            self._report(trial, "")

    def _give_up(self, trial: Offered) -> None:
        if self._trial is trial:
            log.warning("The settings %s were not confirmed in time.", trial.version)
            self._end_trial()
            self._go_back(trial)
            self.reconnect()

    def _go_back(self, trial: Offered) -> None:
        """Apply the former settings. Noted first: a device that ends meanwhile continues with this
        at its next start, and does not try the others again."""
        self._note_trial(trial, back=True)
        kept = self._store.run(lambda tables: tables.get(KEPT))
        former = {"version": None, "config": {}} if kept is None else json.loads(kept)
        self._call(Offered(former["version"], former["config"]))
        self._given_up = trial.mark
        self._refuse(trial, NOT_CONFIRMED)

    def _end_trial(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._trial = self._timer = None

    def _hand_over(self, config: dict[str, Any]) -> None:
        self._call(Offered(None, config))

    def _call(self, offered: Offered) -> str:
        """Hand settings to the application; what went wrong, or an empty text."""
        handler = self.handler
        if handler is None:
            return ""
        try:
            handler(*(offered.config,)[: parameters_of(handler)])
        except BaseException as exc:  # SystemExit would end the thread of all callbacks
            log.exception("The settings could not be applied.")
            return without_secrets(words_of(exc), offered)
        return ""

    # ------------------------------------------------------------------ kept and reported

    def _note_trial(self, offered: Offered, **more: Any) -> None:
        trial = dump({**offered._asdict(), **more})
        self._store.run(lambda tables: tables.put(TRIAL, trial))

    def _report(self, offered: Offered, error: str) -> None:
        if error:
            # The same version is tried again when it arrives with the next connection.
            self._seen = self._done = ""
            self._refuse(offered, error)
            return

        def keep(tables: Tables) -> None:
            _keep(tables, offered)
            self._queue(tables, offered, masked(offered.config, offered.secrets), "")

        try:
            self._store.run(keep)
        except InvalidReading as exc:  # too large to report
            log.warning("The settings were applied and cannot be reported: %s", exc)
            self._store.run(lambda tables: _keep(tables, offered))

    def _refuse(self, offered: Offered, error: str) -> None:
        def keep(tables: Tables) -> None:
            tables.drop(TRIAL)
            if error == NOT_CONFIRMED:
                tables.put(GIVEN_UP, offered.mark)
            self._queue(tables, offered, None, error)

        self._store.run(keep)

    def _queue(
        self, tables: Tables, offered: Offered, config: dict[str, Any] | None, error: str
    ) -> None:
        channel = self._outbox.dialect.up("config_reported")
        if channel is None:
            return
        shape = channel.payload
        body: dict[str, Any] = {}
        put(body, shape.reply_to or ("version",), offered.version)
        outcome = next((path for path in shape.outcome if path[-1] in ("ok", "success")), None)
        if outcome is not None or not shape.outcome:
            put(body, outcome or ("ok",), not error)
        else:
            put(body, shape.outcome[0], "failed" if error else "done")
        if config is not None:
            put(body, shape.values or ("config",), config)
        if error:
            put(body, shape.error or ("error",), error)
        self._outbox.queue(tables, "config_reported", body)


def _keep(tables: Tables, offered: Offered) -> None:
    tables.put(KEPT, offered.mark)
    tables.drop(TRIAL)
    tables.drop(GIVEN_UP)


def remaining(guard: int, began: int, now: int) -> float:
    """Seconds that are left of a trial. Pure. A clock that was not set at one of the two times, or
    was set back between them, counts for nothing: the whole time is left."""
    if began < CLOCK_FLOOR_MS or now < began:
        return float(guard)
    return guard - (now - began) / 1000


def without_secrets(words: str, offered: Offered) -> str:
    """A text without the values of secret fields. Pure."""
    for value in sorted(_secret_values(offered.config, offered.secrets), key=len, reverse=True):
        words = words.replace(value, MASK)
    return words


def _secret_values(value: Any, secrets: list[list[str]]) -> Iterator[str]:
    if [] in secrets:
        yield from _leaves(value)
    elif secrets and isinstance(value, (dict, list)):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _secret_values(
                below, [p[1:] for p in secrets if p and p[0] in (str(key), "*")]
            )


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _leaves(below)
    elif len(str(value)) >= SECRET_LEAST and not isinstance(value, bool):
        yield str(value)
