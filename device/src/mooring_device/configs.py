"""Settings from the platform: applied when they change, kept, and reported.

The broker keeps the last settings (retained) and sends them at every connect; the handler
is called only for a change. The last settings that were applied are in the store, so a device
that starts without a network runs with them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from mooring_device.commands import takes_arguments
from mooring_device.outbox import Outbox
from mooring_device.shapes import dump
from mooring_device.store import Store
from mooring_device.tables import Tables

__all__ = ["Configs", "parse_config"]

log = logging.getLogger("mooring_device")


def parse_config(payload: bytes) -> tuple[int | None, dict[str, Any]]:
    """Version and settings; payloads of dialects without versions are settings as a whole.

    Raises:
        ValueError: no JSON object.
    """
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("settings are a JSON object")  # noqa: TRY004  one error for bad input
    config = body.get("config")
    version = body.get("version")
    return (
        version if type(version) is int else None,
        config if isinstance(config, dict) else body,
    )


class Configs:
    """The device's settings. ``handler`` may be set until the device starts."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self.handler: Callable[..., Any] | None = None
        self._store = store
        self._outbox = outbox
        self._submit = submit
        self._seen = ""

    def start(self) -> None:
        """Apply the settings the device last ran with."""
        kept = self._store.run(lambda tables: tables.get("config"))
        if kept is not None and self.handler is not None:
            self._seen = kept
            known = json.loads(kept)
            self._submit(lambda: self._apply(known["version"], known["config"], report=False))

    def arrived(self, payload: bytes) -> None:
        """Take in settings from the broker; the same ones again are nothing new."""
        if self.handler is None or not payload:  # empty: the platform has cleared them
            return
        try:
            version, config = parse_config(payload)
        except ValueError as exc:
            log.warning("Not settings, ignored: %s.", exc)
            return
        mark = dump({"version": version, "config": config})
        if mark != self._seen:
            self._seen = mark
            self._submit(lambda: self._apply(version, config, report=True))

    def _apply(self, version: int | None, config: dict[str, Any], *, report: bool) -> None:
        handler = self.handler
        if handler is None:
            return
        answer: dict[str, Any] = {"version": version, "ok": True}
        try:
            if takes_arguments(handler):
                handler(config)
            else:
                handler()
            answer["config"] = config
        except Exception as exc:
            log.exception("The settings could not be applied.")
            answer.update(ok=False, error=f"{type(exc).__name__}: {exc}")
        self._store.run(lambda tables: self._keep(tables, answer, report))

    def _keep(self, tables: Tables, answer: dict[str, Any], report: bool) -> None:
        if answer["ok"]:
            tables.put("config", dump({"version": answer["version"], "config": answer["config"]}))
        if report:
            self._outbox.queue(tables, "config_reported", answer)
