"""Many devices added in one go, with their logins."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.support.platform import Login, Platform

__all__ = ["add_fleet"]


def add_fleet(
    platform: Platform, count: int, *, dialect: str = "drivesafe", prefix: str | None = None
) -> list[Login]:
    """Adds devices by ``mooring device import`` and reads the credentials it wrote."""
    table = platform.data_dir.parent / f"{dialect}-{count}.csv"
    output = Path(f"{table}.out")
    names = [f"{prefix or dialect}-{number}" for number in range(count)]
    table.write_text("name\n" + "\n".join(names) + "\n", encoding="utf-8")
    platform.cli(
        *("device", "import", table, "--dialect", dialect, "--output", output, "--yes"),
        timeout=120,
    )
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answer = platform.cli("device", "topics", names[0], "--json").json()["topics"]
    return [
        Login(
            row["device"],
            row["tenant"],
            row["username"],
            row["password"],
            row["client_id"],
            {kind: topic.replace(names[0], row["device"]) for kind, topic in answer.items()},
        )
        for row in rows
    ]
