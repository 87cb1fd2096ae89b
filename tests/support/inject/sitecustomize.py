"""Put on PYTHONPATH by a test: the first run of every worker of every process fails."""

import os

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
