"""Put on PYTHONPATH by a test.

``TEST_INJECT_FAULTS``: the first run of every worker of every process fails.
``TEST_KILL_AT``: a file that names a moment of applying a change directly. The process that
comes there deletes the file and is killed.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

if os.environ.get("TEST_INJECT_FAULTS"):
    from mooring.supervisor.worker import Record

    begin = Record.begin
    seen: set[tuple[str, str]] = set()

    def fail_once(self: Record) -> None:
        begin(self)
        if (self.role, self.name) not in seen:
            seen.add((self.role, self.name))
            raise RuntimeError(f"injected into {self.name}")

    Record.begin = fail_once  # type: ignore[method-assign]

if os.environ.get("TEST_KILL_AT"):
    from mooring.broker.plugin_control import PluginControl
    from mooring.broker.plugin_file import AccountsFile
    from mooring.wiring.direct import DirectChanges

    named = Path(os.environ["TEST_KILL_AT"])

    def before(target: Any, name: str, moment: str) -> None:
        real: Callable[..., Any] = getattr(target, name)

        def wrapped(*words: Any, **options: Any) -> Any:
            if named.exists() and named.read_text() == moment:
                named.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **options)

        setattr(target, name, wrapped)

    # In the order in which a change comes by.
    before(DirectChanges, "_bring", "committed")
    before(AccountsFile, "refresh", "about to write")
    before(PluginControl, "in_force", "written")
    before(DirectChanges, "_settle", "in force")
    before(DirectChanges, "_delete", "about to settle")
