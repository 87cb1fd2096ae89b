"""Running the commands of a page, and comparing what they print with what the page says.

A block marked ``sh`` is what a person types; a block without a mark, directly after it, is what
they then see. ``…`` in it stands for what was left out. Secrets, times and numbers of processes
may differ; so may the case of headings and the width of columns, which depend on the terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.forking import Forking
from tests.support.platform import Platform

__all__ = ["Block", "Shell", "blocks", "missing", "section"]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a test has done already, or what it must not do.
_NOT_RUN = re.compile(r"^(git clone|cd |make |\. \.venv)")
_VOLATILE = (
    (re.compile(r"\b[\w-]{24}\b"), "SECRET"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b(now|\d+ (s|min|h|days) ago)(?= |$)"), "AGO"),
)
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Block:
    """What to type, and what the page promises that one sees; empty where it promises nothing."""

    commands: str
    promise: str


def section(text: str, heading: str) -> str:
    """The part of a page below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found is not None, heading
    return found[1]


def blocks(text: str) -> list[Block]:
    found = list(_BLOCK.finditer(text))
    result = []
    for this, after in zip(found, [*found[1:], None], strict=True):
        if this[1] != "sh":
            continue
        follows = after is not None and after[1] == ""
        result.append(Block(this[2], after[2] if after is not None and follows else ""))
    return result


def missing(promise: str, output: str) -> str | None:
    """The first promised line that the output does not hold in this order, or ``None``."""
    lines = iter(_plain(line) for line in output.splitlines())
    for line in promise.splitlines():
        parts = [_plain(part) for part in line.split("…") if _plain(part)]
        if parts and not any(all(part in shown for part in parts) for shown in lines):
            return line
    return None


def _plain(line: str) -> str:
    for pattern, word in _VOLATILE:
        line = pattern.sub(word, line)
    return " ".join(line.replace("─", "").lower().split())


class Shell:
    """A second terminal in the directory where ``mooring up`` was started.

    Args:
        place: stands for the clone; the platform's data directory appears in it as ``.mooring``.
        keep: variables of the platform that a person has set in this terminal too.
        installed: ``mooring`` is the installed program; otherwise a fork, which imports nothing.
    """

    def __init__(
        self,
        platform: Platform,
        place: Path,
        *,
        keep: tuple[str, ...] = (),
        installed: bool = False,
    ) -> None:
        self.place = place
        place.mkdir()
        (place / ".mooring").symlink_to(platform.data_dir)
        self._ports = {"8883": "mqtt_tls_port", "1883": "mqtt_port", "8080": "http_port"}
        self._ports = {told: str(platform.ports[name]) for told, name in self._ports.items()}
        self._env = {
            n: v for n, v in platform.cli.env.items() if n in keep or not n.startswith("MOORING_")
        }
        self._env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self._env['PATH']}"
        self._password = "PASSWORD"
        self._descriptors: list[int] = []
        forking = None if installed else Forking.for_environment(self._env)
        if forking is not None:
            programs = place.with_name(f"{place.name}-programs")
            programs.mkdir()
            self._descriptors.append(forking.for_shells(programs))
            self._env["PATH"] = f"{programs}{os.pathsep}{self._env['PATH']}"

    def run(self, block: Block) -> str:
        """Types the block; returns what was printed.

        What is stored a moment later is asked for again until it is there.

        Raises:
            AssertionError: a command failed, or the output lacks a promised line.
        """
        promise = self._here(block.promise)
        printed = self._type(block.commands)
        deadline = time.monotonic() + PATIENCE_SECONDS
        asks = block.commands.rstrip().splitlines()[-1]
        while missing(promise, printed) is not None:
            if time.monotonic() > deadline or not _only_reads(asks):
                line = missing(promise, printed)
                raise AssertionError(f"{block.commands}\ndid not print\n{line}\nbut\n{printed}")
            time.sleep(0.5)
            printed = self._type(asks)
        return printed

    def _type(self, commands: str) -> str:
        lines = [line for line in commands.splitlines() if not _NOT_RUN.match(line)]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here("\n".join(lines))],
            cwd=self.place,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            pass_fds=self._descriptors,
        )
        printed = done.stdout + done.stderr
        refused = "a-wrong-password" in commands
        assert (done.returncode != 0) == refused, f"{commands}\n{printed}"
        found = re.search(r"^ +password +(\S+)$", printed, re.MULTILINE)
        if found:
            self._password = found[1]
        return printed

    def _here(self, text: str) -> str:
        for told, real in self._ports.items():
            text = re.sub(rf"\b{told}\b", real, text)
        return text.replace("-P PASSWORD", f"-P {self._password}")


def _only_reads(command: str) -> bool:
    return bool(
        re.match(r"mooring (telemetry|dead-letter|status|device (gaps|list|show))\b", command)
    )
