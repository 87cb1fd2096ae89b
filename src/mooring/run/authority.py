"""Which authority a managed broker gets, proved before it is chosen.

Mooring's own plugin is the default wherever the broker loads it: a broker of its own on a spare
port accepts a right login and rejects wrong ones. The proof is kept with the library's and the
broker's identity, so a start repeats it only when one of them changed. A data directory keeps
the authority that it has; ``broker/authority.json`` says which, and why not the plugin.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mooring.access import verifiers
from mooring.broker.files import write_atomically
from mooring.broker.installation import find_mosquitto
from mooring.broker.migrate import Mode
from mooring.broker.protocol import Account, Rights
from mooring.broker.rehearsal import Rehearsal
from mooring.errors import BrokerUnavailable, MooringError
from mooring.settings import CHOICE_FILE, Settings

__all__ = ["Choice", "choose", "prove", "read_choice"]

log = logging.getLogger(__name__)

TRIAL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What is written down.

    Attributes:
        mode: the authority this data directory has.
        in_force: what it runs with; another one than ``mode`` where the plugin does not load.
        why: why not the plugin; empty where it is, or where another one was asked for.
        proof: library and broker that the newest trial was made with.
        proved: whether that trial succeeded, and ``reason`` why not.
    """

    mode: str
    in_force: str
    why: str = ""
    proof: str = ""
    proved: bool = False
    reason: str = ""


def choose(settings: Settings) -> Settings:
    """The settings with an authority instead of ``auto``; called once, before ``mooring up``
    does anything else.

    Raises:
        MooringError: the plugin is asked for and does not work here.
    """
    if settings.broker != "managed":
        return settings.model_copy(update={"auth_mode": settings.authority})
    before = read_choice(settings.data_dir)
    match settings.auth_mode:
        case "auto":
            now = _automatic(settings, before)
        case "plugin":
            now = _tried(settings, before)
            if not now.proved:
                raise BrokerUnavailable(
                    f"The broker does not work with Mooring's plugin: {now.reason}",
                    hint="Install a C compiler or a built library, or set auth_mode to auto.",
                    code="authority_not_proved",
                )
        case mode:
            now = replace(before or Choice(mode, mode), mode=mode, in_force=mode, why="")
    if now != before:
        _write(settings.data_dir, now)
    if now.why:
        log.warning("the broker runs with %s: %s", Mode(now.in_force).words, now.why)
    return settings.model_copy(update={"auth_mode": now.in_force})


def prove(settings: Settings) -> None:
    """The trial.

    Raises:
        MooringError: no library, no broker, or it does not do what it must.
    """
    from mooring.run.broker import plugin_library  # noqa: PLC0415 - imports half the platform

    library, mosquitto = plugin_library(settings), find_mosquitto(settings.mosquitto)
    password = verifiers.new_password()
    service = Account("mooring-trial", verifiers.make(password), Rights())
    rights = Rights(("trial/lamp/up",), ("trial/lamp/down", "trial/lamp/command/+"))
    lamp = Account("trial/lamp", verifiers.make(verifiers.new_password()), rights)
    locked = replace(lamp, username="trial:locked", locked=True)
    settings.broker_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="trial-", dir=settings.broker_dir))
    try:
        rehearsal = Rehearsal(
            Mode.PLUGIN, folder, service, password, mosquitto=mosquitto, library=library
        )
        proof = asyncio.run(_within(rehearsal, [lamp, locked]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if proof.problems:
        name, why = next(iter(proof.problems.items()))
        raise BrokerUnavailable(f"In the trial {name} was not treated as it should be: {why}.")


async def _within(rehearsal: Rehearsal, accounts: list[Account]) -> Any:
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            return await rehearsal.run(accounts, lambda _count: None)
    except TimeoutError as exc:
        raise BrokerUnavailable(f"The trial took longer than {TRIAL_SECONDS:g} s.") from exc


def read_choice(data_dir: Path) -> Choice | None:
    """What was chosen for this data directory; ``None``: nothing yet, or it cannot be read."""
    try:
        said = json.loads((data_dir / CHOICE_FILE).read_text(encoding="utf-8"))
        made = Choice(**said)
        Mode(made.mode), Mode(made.in_force)
    except (OSError, ValueError, TypeError):
        return None
    return made


# ---------------------------------------------------------------------- inside


def _automatic(settings: Settings, before: Choice | None) -> Choice:
    kept = before.mode if before is not None else _found(settings)
    if kept in (Mode.DYNAMIC_SECURITY, Mode.PASSWORD_FILE):
        return before or Choice(kept, kept)
    tried = _tried(settings, before)
    if tried.proved:
        return tried
    # What had the plugin before keeps it for the day it loads again.
    mode = Mode.PLUGIN if kept == Mode.PLUGIN else Mode.DYNAMIC_SECURITY
    return replace(tried, mode=mode, in_force=Mode.DYNAMIC_SECURITY, why=tried.reason)


def _found(settings: Settings) -> str | None:
    """The authority of a data directory that was made before anything was written down."""
    if (settings.broker_dir / "dynamic-security.json").exists():
        return Mode.DYNAMIC_SECURITY
    if (settings.password_file or settings.broker_dir / "passwd").exists():
        return Mode.PASSWORD_FILE
    return None


def _tried(settings: Settings, before: Choice | None) -> Choice:
    """The outcome of a trial with this library and this broker, made now or before."""
    plugin = Choice(Mode.PLUGIN, Mode.PLUGIN)
    try:
        identity = _identity(settings)
        if before is not None and before.proof == identity and before.proved:
            return replace(plugin, proof=identity, proved=True)
        prove(settings)
    except MooringError as exc:
        return replace(plugin, reason=exc.message)
    return replace(plugin, proof=identity, proved=True)


def _identity(settings: Settings) -> str:
    """What the outcome depends on: the library's content and the broker's program."""
    from mooring.run.broker import plugin_library  # noqa: PLC0415 - imports half the platform

    library, mosquitto = plugin_library(settings), find_mosquitto(settings.mosquitto).resolve()
    program = mosquitto.stat()
    text = f"{mosquitto} {program.st_size} {program.st_mtime_ns}".encode()
    return hashlib.sha256(text + library.read_bytes()).hexdigest()


def _write(data_dir: Path, choice: Choice) -> None:
    path = data_dir / CHOICE_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(choice), indent=1) + "\n")
