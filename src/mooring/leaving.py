"""The end of a process whose work is done.

Python frees every object before a process ends. For a process that has imported all of Mooring
this takes a tenth of a second of CPU, most of all in a fork, which first copies the memory that it
shares with others. The kernel frees all of it in one step.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

__all__ = ["leave"]


def leave(end: SystemExit) -> NoReturn:
    """Do what Python does for a ``SystemExit`` that nothing catches, but free no memory: wait for
    every thread but daemons, run what is registered with ``atexit``, write what is buffered.

    Raises:
        SystemExit: the same, if it has a text or if the output cannot be written. Python then says
            so.
    """
    if not (end.code is None or isinstance(end.code, int)):
        raise end
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # Python has none if the descriptor was closed at the start
                stream.flush()
    except (OSError, ValueError):
        raise end from None
    os._exit((end.code or 0) & 0xFF)
