"""Every attack in every authority and on every database, as one table: ``make attacks``.

Further words are pytest's: ``python -m tests.attacks -k takeover``. The exit code is 0 when
every attack held wherever it makes sense.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.attacks.stand import AUTHORITIES, DATABASES, Combination, unavailable

HELD, BROKEN = "held", "BROKEN"
REASON_LENGTH = 60
AT_ONCE = 3  # platforms mostly wait


def main(words: Sequence[str]) -> int:
    cells: dict[str, dict[Combination, str]] = {}
    combinations = [Combination(*pair) for pair in product(AUTHORITIES, DATABASES)]
    tried = [one for one in combinations if not unavailable(one)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for combination, steps in zip(tried, pool.map(partial(run, words), tried), strict=True):
            for attack, cell in outcomes(steps).items():
                cells.setdefault(attack, {})[combination] = cell
    if not cells:
        print("No attack was tried.", file=sys.stderr)
        return 1
    for combination in combinations:
        reason = unavailable(combination)
        for row in cells.values():
            row.setdefault(combination, f"n.a.: {reason}" if reason else f"{BROKEN}: not run")
    show(cells, combinations)
    return int(any(cell.startswith(BROKEN) for row in cells.values() for cell in row.values()))


def run(words: Sequence[str], combination: Combination) -> list[dict[str, str]]:
    """Runs the attacks in one combination; one entry for each step of each test."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        environment = os.environ | {
            "MOORING_ATTACK_AUTHORITY": combination.authority,
            "MOORING_ATTACK_DATABASE": combination.database,
            "MOORING_ATTACK_REPORT": str(report),
        }
        here = str(Path(__file__).parent)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", here, *words],
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print(f"== {combination}\n{done.stdout}", flush=True)
        return [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]


def outcomes(steps: Iterable[dict[str, str]]) -> dict[str, str]:
    """Attack → cell. An attack of several tests has held when each of them has."""
    found: dict[str, str] = {}
    for step in steps:
        attack = step["attack"]
        if step["outcome"] == "failed":
            found[attack] = BROKEN
        elif found.get(attack) == BROKEN:
            continue
        elif step["outcome"] == "skipped":
            reason = step["reason"].removeprefix("Skipped: ")[:REASON_LENGTH]
            found.setdefault(attack, f"n.a.: {reason}")
        elif step["step"] == "call":
            found[attack] = HELD
    return found


def show(cells: dict[str, dict[Combination, str]], combinations: Sequence[Combination]) -> None:
    table = Table(title="Attacks")
    table.add_column("attack")
    for combination in combinations:
        table.add_column(f"{combination.authority}\n{combination.database}")
    for attack in sorted(cells):
        table.add_row(attack, *(cells[attack][combination] for combination in combinations))
    Console(width=max(160, Console().width)).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
