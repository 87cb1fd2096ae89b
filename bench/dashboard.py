"""What open dashboards cost: ``python -m bench.dashboard``.

The real ``mooring up --demo`` and 50 tabs of one person, each with the figures of the overview, the
navigation and four live charts. Printed are CPU and memory of ``mooring serve`` with and without
them, and messages for each tab. The first tabs of a process load code and start the stream; what
each further one takes is printed by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import websockets

from bench.processes import cpu_exact, pss
from tests.support.platform import running_platform

__all__ = ["main", "measure"]

FIRST = 5
CORE, MEMORY_MB = 0.05, 0.2
"""What is asked: of a core for all tabs, and of memory for each."""


class _Tab:
    """Counts what it is sent."""

    def __init__(self) -> None:
        self.messages = 0

    async def run(self, url: str, token: str, topics: Sequence[str]) -> None:
        headers = {"Cookie": f"mooring={token}"}
        async with websockets.connect(
            url, additional_headers=headers, origin=_origin(url), compression=None
        ) as socket:
            await socket.send(json.dumps({"watch": list(topics)}))
            async for _ in socket:
                self.messages += 1


def _origin(url: str) -> Any:
    return url.replace("ws://", "http://").removesuffix("/live")


class _Tabs:
    """Open tabs of one person."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self.tabs: list[_Tab] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, watched: Sequence[Sequence[str]], seconds: float) -> None:
        """Opens more of them; returns after that time."""
        for topics in watched:
            self.tabs.append(_Tab())
            run = self.tabs[-1].run(self._url, self._token, topics)
            self._tasks.append(asyncio.create_task(run))
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done():
                task.result()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def messages(self) -> int:
        return sum(tab.messages for tab in self.tabs)


def measure(*, tabs: int = 50, seconds: float = 15.0) -> dict[str, Any]:
    """Figures of one run.

    Args:
        seconds: with the tabs, and before without them.
    """
    with (
        tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder,
        running_platform(Path(folder) / "data", "--demo") as platform,
    ):
        base = f"http://127.0.0.1:{platform.ports['http_port']}"
        given = {"name": "admin", "password": platform.password_of_admin()}
        token = httpx.post(f"{base}/api/v1/login", json=given, timeout=30).json()["token"]
        numbers = [row[0] for row in platform.rows("SELECT id FROM devices ORDER BY id")]
        watched = [
            ["overview", "nav", *(f"device:{numbers[(at + n) % len(numbers)]}" for n in range(4))]
            for at in range(tabs)
        ]
        pid = platform.pid("serve")
        time.sleep(5)  # after the start
        begun, used = time.monotonic(), cpu_exact(pid)
        time.sleep(seconds)
        idle, alone = (cpu_exact(pid) - used) / (time.monotonic() - begun), pss(pid)
        url = f"{base.replace('http', 'ws', 1)}/live"
        found = asyncio.run(_with_tabs(pid, _Tabs(url, token), watched, seconds))
        found |= {"tabs": tabs, "cpu_idle": idle, "cpu_of_tabs": found["cpu_open"] - idle}
        found["memory_mb_all"] = (found.pop("memory") - (alone or 0)) / 1e6
        return found


async def _with_tabs(
    pid: int, tabs: _Tabs, watched: Sequence[Sequence[str]], seconds: float
) -> dict[str, Any]:
    """Figures of a process with open tabs, of which the first few are opened before the others."""
    await tabs.open(watched[:FIRST], 5.0)
    first = pss(pid) or 0
    await tabs.open(watched[FIRST:], 3.0)
    begun, used, before = time.monotonic(), cpu_exact(pid), tabs.messages
    await asyncio.sleep(seconds)
    took = time.monotonic() - begun
    memory = pss(pid) or 0
    found = {
        "cpu_open": (cpu_exact(pid) - used) / took,
        "memory": memory,
        "memory_mb_each": (memory - first) / 1e6 / (len(watched) - FIRST),
        "messages_per_tab_second": (tabs.messages - before) / len(watched) / took,
    }
    await tabs.close()
    return found


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args(given)
    found = measure(tabs=options.tabs, seconds=options.seconds)
    print(f"{found['tabs']} open dashboards with four live charts, of `mooring serve`:")
    print(f"  CPU without them   {found['cpu_idle']:7.2%} of a core")
    print(f"  CPU with them      {found['cpu_open']:7.2%} of a core")
    print(f"  CPU of them        {found['cpu_of_tabs']:7.2%} of a core (asked for: {CORE:.0%})")
    each, every = found["memory_mb_each"], found["memory_mb_all"]
    print(f"  memory of each     {each:7.3f} MB (asked for: {MEMORY_MB} MB)")
    print(f"  memory of all      {every:7.3f} MB, with what the first {FIRST} load")
    print(f"  messages of each   {found['messages_per_tab_second']:7.2f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
