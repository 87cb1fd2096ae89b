"""Which authority a managed broker gets, proved before it is chosen.

Mooring's own plugin is the default wherever the broker loads it: a broker of its own on a spare
port accepts a right login and rejects wrong ones. The proof is kept with the library's and the
broker's identity, so a start repeats it only when one of them changed. A data directory keeps
the authority that it has; ``broker/authority.json`` says which, and why not the plugin.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mooring.broker.installation import find_mosquitto
from mooring.broker.migrate import Mode
from mooring.broker.rehearsal import Rehearsal
from mooring.errors import BrokerUnavailable, MooringError
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.wiring.choice import Choice, read_choice, write_choice

__all__ = ["choose", "prove"]

log = logging.getLogger(__name__)

TRIAL_SECONDS = 30.0


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
                    hint=now.remedy or "Set auth_mode to auto to start without it.",
                    code="authority_not_proved",
                )
        case mode:
            now = replace(before or Choice(mode, mode), mode=mode, in_force=mode, why="", remedy="")
    if now != before:
        write_choice(settings.data_dir, now)
    if now.why:
        words = " ".join(filter(None, (now.why, now.remedy)))
        log.warning("the broker runs with %s: %s", Mode(now.in_force).words, words)
    return settings.model_copy(update={"auth_mode": now.in_force})


def prove(settings: Settings) -> None:
    """The trial.

    Raises:
        MooringError: no library, no broker, or it does not do what it must.
    """
    from mooring.wiring.broker import plugin_library  # noqa: PLC0415 - imports half the platform

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
        raise BrokerUnavailable(f"In the trial {name} got the wrong result: {why}.")


async def _within(rehearsal: Rehearsal, accounts: list[Account]) -> Any:
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            return await rehearsal.run(accounts, lambda _count: None)
    except TimeoutError as exc:
        raise BrokerUnavailable(f"The trial took longer than {TRIAL_SECONDS:g} s.") from exc


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
    # A data directory does not leave Dynamic Security by itself.
    again = (
        "start Mooring again" if mode == Mode.PLUGIN else "run `mooring broker migrate --to plugin`"
    )
    remedy = f"{tried.remedy.rstrip('.')}. Then {again}." if tried.remedy else ""
    dynamic = Mode.DYNAMIC_SECURITY
    return replace(tried, mode=mode, in_force=dynamic, why=tried.reason, remedy=remedy)


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
        return replace(plugin, reason=exc.message, remedy=exc.hint)
    return replace(plugin, proof=identity, proved=True)


def _identity(settings: Settings) -> str:
    """What the outcome depends on: the library's content and the broker's program."""
    from mooring.wiring.broker import plugin_library  # noqa: PLC0415 - imports half the platform

    library, mosquitto = plugin_library(settings), find_mosquitto(settings.mosquitto).resolve()
    program = mosquitto.stat()
    text = f"{mosquitto} {program.st_size} {program.st_mtime_ns}".encode()
    return hashlib.sha256(text + library.read_bytes()).hexdigest()
