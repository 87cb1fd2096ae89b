"""Fuzzes the plugin for Mosquitto with libFuzzer, ASan and UBSan (needs clang).

    .venv/bin/python scripts/fuzz_plugin.py [SECONDS [TARGET...]]

Each target runs for SECONDS (60 by default). What it learns stays in .cache/fuzz. Exit code 0:
nothing was found; otherwise the input that shows the fault is in the current folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from mooring.broker.plugin.build import NATIVE  # noqa: E402
from tests.support.accounts_db import AccountsDb, facts, verifier  # noqa: E402
from tests.support.plugin_stub import STUB  # noqa: E402

TARGETS = ROOT / "tests/fuzz/plugin"
SANITIZERS = "-fsanitize=fuzzer,address,undefined"


def compiled(target: str, folder: Path) -> Path:
    path = folder / target
    sources = [*sorted(NATIVE.glob("*.c")), STUB, TARGETS / f"{target}.c"]
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fno-sanitize-recover=all", SANITIZERS]
    words = [os.environ.get("CLANG", "clang"), *flags, f"-I{NATIVE}", "-o", path, *sources]
    subprocess.run([*words, "-ldl"], check=True)
    return path


def accounts(folder: Path) -> Path:
    db = AccountsDb(folder / "accounts.db")
    rights = {"publish": ("t/\x01/#",), "subscribe": ("t/+/x", "\x02/#"), "values": ("a", "b/c")}
    db.put(facts("pump", next_verifier=verifier("next"), max_connections=2, **rights))
    db.put(facts("fan", tenant="acme", client_id="fan", **rights), max_messages=1, max_bytes=9)
    db.put(facts("shut", locked=True))
    db.run([("INSERT INTO tenant VALUES('acme', 1, 1, 100)", ())], [None])
    db.close()
    return folder / "accounts.db"


def main(arguments: list[str]) -> int:
    seconds = arguments[0] if arguments else "60"
    names = arguments[1:] or sorted(path.stem for path in TARGETS.glob("fuzz_*.c"))
    with tempfile.TemporaryDirectory(prefix="mooring-fuzz-") as name:
        folder = Path(name)
        known = dict(os.environ, MOORING_FUZZ_ACCOUNTS=str(accounts(folder)))
        for target in names:
            corpus = ROOT / ".cache/fuzz" / target
            corpus.mkdir(parents=True, exist_ok=True)
            words = [compiled(target, folder), f"-max_total_time={seconds}", "-max_len=600"]
            words += ["-print_final_stats=1", f"-dict={TARGETS / 'dictionary'}", corpus]
            print(f"== {target}", flush=True)
            done = subprocess.run(words, env=known, check=False)
            if done.returncode != 0:
                return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
