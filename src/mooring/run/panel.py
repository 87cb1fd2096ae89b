"""The output of ``mooring up``: one line while it starts, then the addresses."""

from __future__ import annotations

import ipaddress
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from mooring.app import App

__all__ = ["Speaker"]


class Speaker:
    """Prints short lines that also read well in a log file.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun = time.monotonic()

    def _say(self, text: str = "") -> None:
        if self._quiet:
            return
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError:  # the terminal was closed, or nobody reads the pipe
            self._quiet = True

    def step(self, what: str) -> None:
        self._say(f"  starting {what} …")

    def set_aside(self, moved: Path) -> None:
        self._say(f"  The broker's state file was damaged and has been renamed to {moved}.")
        self._say("  Messages and sessions that only the broker had are lost.")

    def ready(self, app: App, first_password: str | None, *, demo: bool) -> None:
        settings = app.settings
        public = settings.public_hosts[0] if settings.public_hosts else "localhost"
        http, websocket = _in_url(settings.http_host), _in_url(settings.mqtt_ws_host)
        scheme = "ws" if _is_loopback(settings.mqtt_ws_host) else "wss"
        database = "PostgreSQL" if not app.database.is_sqlite else str(settings.sqlite_path)
        rows = [
            ("Dashboard", f"http://{http}:{settings.http_port}/"),
            ("HTTP API", f"http://{http}:{settings.http_port}/api/v1/docs"),
            ("MQTT, TLS", f"mqtts://{public}:{settings.mqtt_tls_port}"),
            ("MQTT, this machine only", f"mqtt://127.0.0.1:{settings.mqtt_port}"),
            ("MQTT over WebSocket", f"{scheme}://{websocket}:{settings.mqtt_ws_port}"),
            ("CA certificate", str(settings.data_dir / "pki" / "ca.crt")),
            ("Database", database),
            ("Data directory", str(settings.data_dir.absolute())),
        ]
        width = max(len(name) for name, _ in rows)
        self._say()
        self._say(f"Mooring is ready after {time.monotonic() - self._begun:.1f} s.")
        self._say()
        for name, value in rows:
            self._say(f"  {name:<{width}}  {value}")
        if first_password is not None:
            self._say()
            self._say("  First administrator, shown only once:")
            self._say("    user      admin")
            self._say(f"    password  {first_password}")
        self._say()
        place = str(settings.data_dir)
        option = [] if place == ".mooring" else ["--data-dir", place]
        call = shlex.join([*_program(), *option])
        if demo:
            self._say("  A simulated fleet of every dialect is sending. In another shell:")
            self._say(f"    {call} telemetry latest --all")
        else:
            self._say("  Add a device in another shell:")
            self._say(f"    {call} device add kitchen --dialect mooring")
        self._say(f"    {call} status")
        self._say()
        self._say("  Ctrl-C stops everything.")

    def stopping(self) -> None:
        self._say("\n  stopping …")

    def stopped(self) -> None:
        self._say("  stopped.")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _program() -> list[str]:
    """The words that call this program again from another shell in the same directory."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if found is not None and os.path.realpath(found) == os.path.realpath(called):
        return [called.name]
    if called.name == "__main__.py":
        return [sys.executable, "-m", "mooring"]
    return [str(called)]
