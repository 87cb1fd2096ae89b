"""What open dashboards cost: ``python -m bench.dashboard``.

The real ``mooring up --demo`` and 50 tabs of one person, each with the figures of the overview, the
navigation and four live charts. Printed are CPU and memory of ``mooring serve`` with and without
them, and messages for each tab.
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


async def _open(url: str, token: str, watched: Sequence[Sequence[str]], seconds: float) -> int:
    tabs = [_Tab() for _ in watched]
    tasks = [
        asyncio.create_task(tab.run(url, token, topics))
        for tab, topics in zip(tabs, watched, strict=True)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return sum(tab.messages for tab in tabs)


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
        idle, memory = _cpu(pid, lambda: time.sleep(seconds)), pss(pid)
        url = f"{base.replace('http', 'ws', 1)}/live"
        asyncio.run(_open(url, token, watched, 3))  # code and caches are loaded
        counted: list[int] = []

        def run() -> None:
            counted.append(asyncio.run(_open(url, token, watched, seconds)))

        begun = time.monotonic()
        busy = _cpu(pid, run)
        took = time.monotonic() - begun
        return {
            "tabs": tabs,
            "cpu_idle": idle,
            "cpu_open": busy,
            "cpu_of_tabs": busy - idle,
            "memory_mb_each": (pss(pid) - memory) / 1e6 / tabs,
            "messages_per_tab_second": counted[0] / tabs / took,
        }


def _cpu(pid: int, during: Any) -> float:
    """Cores that the process used."""
    begun, used = time.monotonic(), cpu_exact(pid)
    during()
    return float((cpu_exact(pid) - used) / (time.monotonic() - begun))


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
    print(f"  memory of each     {found['memory_mb_each']:7.3f} MB (asked for: {MEMORY_MB} MB)")
    print(f"  messages of each   {found['messages_per_tab_second']:7.2f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
