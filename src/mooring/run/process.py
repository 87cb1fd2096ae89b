"""What every process of the platform does first."""

from __future__ import annotations

from mooring import logs
from mooring.run.children import follow_parent
from mooring.settings import Settings

__all__ = ["prepare"]


def prepare(settings: Settings) -> None:
    """Logging, and an end when the supervising process is gone."""
    logs.configure(settings.log_level)
    follow_parent()
