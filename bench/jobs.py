"""How long a command to a fleet takes, from the request until every command is handed over.

``python -m bench.jobs``: the real ``mooring up`` with Mooring's plugin, 10,000 devices of which
some are connected, at the default pace and without one, on SQLite and on PostgreSQL. *Started*
is when the last command is a row that its device gets when it listens; *sent* is when the last
connected device has it on its socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import httpx

from bench.commands import TENANT, TOGETHER, Board, Login, platform_with

__all__ = ["main", "measure"]

LOOK_SECONDS = 0.05


def measure(*, devices: int, connected: int, store: str, pace: float) -> dict[str, float]:
    """Seconds until all are started, and until all connected ones have the command."""
    with platform_with(store, devices) as (platform, logins):
        return asyncio.run(_measure(platform, logins[:connected], devices, pace))


async def _measure(
    platform: Any, logins: list[Login], devices: int, pace: float
) -> dict[str, float]:
    key = platform.cli("key", "new", "bench", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    boards = [Board(one, platform.ports["mqtt_port"]) for one in logins]
    for start in range(0, len(boards), TOGETHER):
        some = boards[start : start + TOGETHER]
        await asyncio.gather(*(one.connect() for one in some))
        await asyncio.gather(*(one.subscribe() for one in some))
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": key}, timeout=30) as api:
        new = {
            "kind": "command",
            "what": {"name": "x"},
            "tenant": TENANT,
            "selection": {"all": True},
            "pace_per_second": pace,
        }
        began = time.perf_counter()
        answer = await api.post("/api/v1/jobs", json=new)
        answer.raise_for_status()
        answered = time.perf_counter() - began
        path = f"/api/v1/jobs/{answer.json()['number']}"
        sent = asyncio.gather(*(one.arrived.get() for one in boards))
        while True:
            counts = (await api.get(path)).json()["counts"]
            if counts["total"] == devices and not counts["waiting"]:
                break
            await asyncio.sleep(LOOK_SECONDS)
        started = time.perf_counter() - began
        arrived = max(await sent, default=began) - began
    for board in boards:
        await board.close()
    return {"answered": answered, "started": started, "sent": arrived}


def main() -> None:
    """Prints one line a database and pace."""
    made = argparse.ArgumentParser(prog="python -m bench.jobs", description=__doc__)
    made.add_argument("--devices", type=int, default=10_000)
    made.add_argument("--connected", type=int, default=1_000)
    made.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    made.add_argument("--pace", type=float, action="append", help="0: unpaced")
    options = made.parse_args()
    found: dict[str, Any] = {}
    for store in options.store or ["sqlite", "postgresql"]:
        for pace in options.pace if options.pace is not None else [100.0, 0.0]:
            figures = measure(
                devices=options.devices, connected=options.connected, store=store, pace=pace
            )
            name = f"{pace:g}/s" if pace else "unpaced"
            found[f"{store} {name}"] = figures
            print(
                f"{store:10}  {name:8}  answered {figures['answered']:6.3f} s  "
                f"started {figures['started']:6.1f} s  sent {figures['sent']:6.1f} s",
                file=sys.stderr,
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
