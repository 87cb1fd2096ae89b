"""What every process of the platform does first."""

from __future__ import annotations

import gc
import os

from mooring import logs
from mooring.run.children import follow_parent
from mooring.settings import Settings

__all__ = ["collect_rarely", "prepare"]


def prepare(settings: Settings) -> None:
    """Logging, and an end when the supervising process is gone."""
    os.umask(0o077)  # whatever it writes is for its owner only
    logs.configure(settings.log_level)
    follow_parent()


def collect_rarely() -> None:
    """For processes that make many objects and none in circles: a listing of ten thousand
    devices takes a quarter less. What is there by now is never looked at again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
