"""Packages of Node.js, installed once under ``bench/.cache``; never part of the project."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bench.contestants.model import NotHere

__all__ = ["installed", "node", "place"]

_BENCH = Path(__file__).resolve().parents[1]
INSTALL_SECONDS = 300


def place(name: str) -> Path:
    """Where a program's packages lie."""
    return _BENCH / ".cache" / name


def node() -> str:
    """The node program.

    Raises:
        NotHere: there is none.
    """
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        raise NotHere("Node.js and npm are not installed")
    return found


def installed(name: str) -> None:
    """Installs what ``programs/NAME/package.json`` names, unless it is there.

    Raises:
        NotHere: npm cannot, or takes too long.
    """
    node()
    wanted = (_BENCH / "programs" / name / "package.json").read_text()
    directory = place(name)
    mark = directory / "installed.json"
    if mark.exists() and mark.read_text() == wanted:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "package.json").write_text(wanted)
    started = time.monotonic()
    try:
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise NotHere(f"npm did not install it within {INSTALL_SECONDS} s") from exc
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if "error" in line][:1]
        raise NotHere(f"npm cannot install it ({' '.join(words)[:120]})")
    mark.write_text(wanted)
    print(f"{name}: packages installed in {time.monotonic() - started:.0f} s", flush=True)
