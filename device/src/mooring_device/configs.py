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
from collections.abc import Callable
from typing import Any, NamedTuple

from mooring_device.commands import takes_arguments
from mooring_device.outbox import Outbox
from mooring_device.shapes import dump
from mooring_device.store import Store
from mooring_device.tables import Tables

__all__ = ["GUARD_MAX", "STARTS_MAX", "Configs", "Offered", "parse_config"]

log = logging.getLogger("mooring_device")

SETTLE = 0.05  # seconds without another version before the newest one is applied
GUARD_MAX = 86_400  # seconds
STARTS_MAX = 3
"""After this many starts within one trial the former settings are applied: the new ones may be why
the device restarts."""

MASK = "********"  # the platform's, too
KEPT, TRIAL = "config", "config_trial"  # keys of the store
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


def parse_config(payload: bytes) -> Offered:
    """Version and settings; payloads of dialects without versions are settings as a whole.

    Raises:
        ValueError: no JSON object.
    """
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("settings are a JSON object")  # noqa: TRY004  one error for bad input
    config, version, guard = body.get("config"), body.get("version"), body.get("guard_s")
    return Offered(
        version if type(version) is int else None,
        config if isinstance(config, dict) else body,
        min(guard, GUARD_MAX) if type(guard) is int and guard > 0 else 0,
        _paths(body.get("secret")),
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
        self._trial: Offered | None = None
        self._timer: threading.Timer | None = None

    # ------------------------------------------------------------------ events

    def start(self) -> None:
        """Apply the settings the device last ran with, or those that it was trying."""
        if self.handler is None:
            return
        kept, trial = self._store.run(lambda tables: (tables.get(KEPT), tables.get(TRIAL)))
        if trial is not None:
            known = json.loads(trial)
            offered = Offered(
                known["version"], known["config"], known["guard"], known.get("secrets", [])
            )
            self._seen = self._done = offered.mark
            self._submit(lambda: self._try(offered, starts=known["starts"] + 1))
        elif kept is not None:
            known = json.loads(kept)
            offered = Offered(known["version"], known["config"])
            self._seen = self._done = offered.mark
            self._submit(lambda: self._hand_over(offered.config))

    def arrived(self, payload: bytes) -> None:
        """Take in settings from the broker; the same ones again are nothing new."""
        if self.handler is None or not payload:  # empty: the platform has cleared them
            return
        try:
            offered = parse_config(payload)
        except ValueError as exc:
            log.warning("Not settings, ignored: %s.", exc)
            return
        if offered.mark != self._seen:
            self._seen, self._newest = offered.mark, offered
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
            self._try(offered, starts=0)
            return
        self._end_trial()
        error = self._call(offered.config)
        self._report(offered, error)

    def _try(self, offered: Offered, *, starts: int) -> None:
        self._end_trial()
        if starts > STARTS_MAX:
            self._go_back(offered)
            return
        trial = {**offered._asdict(), "starts": starts}
        # Before the handler runs, which may restart the device.
        self._store.run(lambda tables: tables.put(TRIAL, dump(trial)))
        error = self._call(offered.config)
        if error:
            self._forget_trial()
            self._report(offered, error)
            return
        self._trial = offered
        self._timer = threading.Timer(
            offered.guard, lambda: self._submit(lambda: self._give_up(offered))
        )
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
        kept = self._store.run(lambda tables: tables.get(KEPT))
        self._call({} if kept is None else json.loads(kept)["config"])
        self._forget_trial()
        self._queue(trial.version, {"ok": False, "error": NOT_CONFIRMED})

    def _end_trial(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._trial = self._timer = None

    def _hand_over(self, config: dict[str, Any]) -> None:
        self._call(config)

    def _call(self, config: dict[str, Any]) -> str:
        """Hand settings to the application; what went wrong, or an empty text."""
        handler = self.handler
        if handler is None:
            return ""
        try:
            if takes_arguments(handler):
                handler(config)
            else:
                handler()
        except Exception as exc:
            log.exception("The settings could not be applied.")
            return f"{type(exc).__name__}: {exc}"
        return ""

    def _report(self, offered: Offered, error: str) -> None:
        if error:
            # The same version is tried again when it arrives with the next connection.
            self._seen = self._done = ""
            self._queue(offered.version, {"ok": False, "error": error})
            return

        def keep(tables: Tables) -> None:
            tables.put(KEPT, offered.mark)
            tables.drop(TRIAL)
            config = masked(offered.config, offered.secrets)
            answer = {"version": offered.version, "ok": True, "config": config}
            self._outbox.queue(tables, "config_reported", answer)

        self._store.run(keep)

    def _forget_trial(self) -> None:
        self._store.run(lambda tables: tables.drop(TRIAL))

    def _queue(self, version: int | None, answer: dict[str, Any]) -> None:
        self._store.run(
            lambda tables: self._outbox.queue(
                tables, "config_reported", {"version": version, **answer}
            )
        )
