"""The serving process: REST, WebSocket and dashboard."""

from __future__ import annotations

from mooring.app import App
from mooring.run.process import collect_rarely, prepare
from mooring.serve.server import run
from mooring.wiring.direct import direct_changes

__all__ = ["main"]


def main(app: App) -> None:
    """Serves until SIGTERM or SIGINT."""
    prepare(app.settings)
    collect_rarely()
    run(app, direct_changes(app))
