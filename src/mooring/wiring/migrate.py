"""Moving a fleet to another authority: rehearsal, and the switch inside ``mooring up``.

The setting ``auth_mode`` in the settings file is what commits the move: if we die before it
is written nothing has happened, if we die after it the next start finishes the work, because
every start writes the broker's files from the database.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from mooring.app import App
from mooring.broker.installation import find_mosquitto
from mooring.broker.migrate import Mode, Plan, plan, require
from mooring.broker.process import BrokerProcess
from mooring.broker.rehearsal import Proof, Rehearsal
from mooring.errors import Conflict, Internal, InvalidSetting, MooringError
from mooring.files import write_atomically
from mooring.identity.account import Account
from mooring.settings import Settings
from mooring.wiring.broker import (
    BrokerFiles,
    dynsec_library,
    plugin_library,
    service_account,
    write_accounts,
    write_config,
)

__all__ = ["planned", "rehearse", "settings_file", "switch", "with_mode", "write_setting"]


def with_mode(app: App, mode: Mode) -> App:
    """The same platform with the other authority."""
    settings = app.settings.model_copy(update={"auth_mode": mode.value})
    return dataclasses.replace(app, settings=settings)


def planned(app: App, to: Mode) -> Plan:
    """What the database has, looked at for the target."""
    return plan(app.devices.accounts(), to, service=app.service_names)


async def rehearse(app: App, to: Mode, told: Callable[[int], None]) -> Proof:
    """Proves every account against the target on a spare port, while everything continues.

    Raises:
        Conflict: an account cannot move.
        NotFound: Mosquitto or its plugin is not installed.
        BrokerUnavailable: the rehearsal's broker does not work.
    """
    found = await asyncio.to_thread(planned, app, to)
    require(found)
    target = with_mode(app, to)
    BrokerFiles(app.settings).make()
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=BrokerFiles(app.settings).directory))
    try:
        rehearsal = Rehearsal(
            to,
            folder,
            service_account(target),
            target.endpoint("").password,
            mosquitto=find_mosquitto(app.settings.mosquitto),
            library=library_of(app.settings, to),
        )
        return await rehearsal.run(found.accounts, told)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # verifiers are in it


def library_of(settings: Settings, mode: Mode) -> Path | None:
    """The library that the broker loads for this authority; ``None``: it needs none.

    Raises:
        NotFound: it is not installed, or cannot be built.
    """
    match mode:
        case Mode.PLUGIN:
            return plugin_library(settings)
        case Mode.DYNAMIC_SECURITY:
            return dynsec_library(settings)
        case _:
            return None


async def switch(app: App, broker: BrokerProcess | None, to: str) -> tuple[App, list[Account], int]:
    """Puts the other authority in charge, in one restart of the broker.

    Returns:
        The platform with its new settings, the accounts the broker was started with (see
        ``write_accounts``), and how many move.

    Raises:
        Conflict: it is in charge already, the broker runs elsewhere, or an account cannot
            move. Nothing has changed then.
        MooringError: the broker did not start with it; the old authority is in charge again.
    """
    mode = Mode(to)
    _check_possible(app.settings, broker, mode)
    assert broker is not None
    target = with_mode(app, mode)
    found = await asyncio.to_thread(planned, app, mode)
    require(found)
    file = settings_file(app.settings)
    before = file.read_text(encoding="utf-8") if file.is_file() else None
    write_setting(file, "auth_mode", mode.value)
    try:
        async with broker.standing_still():
            accounts = await write_accounts(target)
            write_config(target)
    except MooringError:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_atomically(file, before)
        async with broker.standing_still():
            write_config(app)
            await write_accounts(app)
        raise
    _remove_files_of(app.settings)
    return target, accounts, len(found.accounts)


def _check_possible(settings: Settings, broker: BrokerProcess | None, to: Mode) -> None:
    if settings.authority == to.value:
        raise Conflict(f"The broker already uses {to.words}.", hint="", code="already_migrated")
    if broker is None:
        raise Conflict(
            "The broker runs elsewhere; Mooring cannot change its configuration.",
            hint="Export the accounts for it: mooring broker export DIRECTORY --as "
            f"{to.value}, then configure it and set auth_mode.",
            code="broker_attached",
        )


def _remove_files_of(settings: Settings) -> None:
    """Verifiers that nobody keeps up to date any more; the database has them."""
    files = BrokerFiles(settings)
    if settings.authority == Mode.PLUGIN.value:
        old = [files.accounts.with_name(files.accounts.name + end) for end in ("", "-wal", "-shm")]
    elif settings.authority == Mode.DYNAMIC_SECURITY.value:
        old = [files.dynsec, files.beside]
    elif settings.password_file is None:
        old = [files.passwords, files.access_list]
    else:  # the operator's own place
        old = []
    for path in old:
        path.unlink(missing_ok=True)


# ---------------------------------------------------------------------- the settings file


def settings_file(settings: Settings) -> Path:
    """The file that the next start will read."""
    named = os.environ.get("MOORING_CONFIG")
    return Path(named) if named else settings.data_dir / "mooring.toml"


def write_setting(path: Path, name: str, value: str) -> None:
    """Sets one text value in a settings file; everything else in it stays as it is.

    Raises:
        InvalidSetting: the file is not TOML.
        Unavailable: it cannot be written.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        wanted = {**tomllib.loads(text), name: value}
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSetting(
            f"The settings file {path} is not TOML: {exc}.", hint="Correct the line it names."
        ) from exc
    line = f'{name} = "{value}"'
    pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=.*$", re.MULTILINE)
    text = pattern.sub(line, text, count=1) if pattern.search(text) else f"{line}\n{text}"
    if tomllib.loads(text) != wanted:
        raise Internal(
            f"The setting {name} could not be written into {path}.",
            hint=f"Add the line to the file: {line}",
        )
    write_atomically(path, text)
