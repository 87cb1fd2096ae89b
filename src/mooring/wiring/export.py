"""Every account in the form Mosquitto reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mooring.app import App
from mooring.broker.dynsec import DynsecAuthority
from mooring.broker.migrate import Mode, require
from mooring.broker.password_file import PasswordFileAuthority
from mooring.broker.plugin_authority import PluginAuthority
from mooring.errors import Conflict, Invalid, Unavailable
from mooring.identity.account import Account
from mooring.wiring.broker import service_account, service_endpoint
from mooring.wiring.migrate import planned, with_mode

__all__ = ["export_accounts"]


NAMES = {
    Mode.PLUGIN: ("accounts.db",),
    Mode.DYNAMIC_SECURITY: ("dynamic-security.json",),
    Mode.PASSWORD_FILE: ("passwd", "acl"),
}


def export_accounts(app: App, directory: Path, form: str) -> tuple[list[Path], int]:
    """Writes ``accounts.db``, ``dynamic-security.json``, or ``passwd`` and ``acl``, for their
    owner only.

    Returns:
        The files, and how many accounts they hold in addition to the platform's own.

    Raises:
        Invalid: no such form.
        Conflict: a file is there already, or an account does not fit into the form.
        Unavailable: the directory cannot be written.
    """
    try:
        mode = Mode(form)
    except ValueError as exc:
        raise Invalid(
            f"{form[:64]!a} is not a valid form.",
            hint=f"Use {' or '.join(Mode)}.",
            code="unknown_form",
        ) from exc
    target = with_mode(app, mode)
    found = planned(app, mode)
    require(found)
    files = [directory / name for name in NAMES[mode]]
    for path in files:
        if path.exists():
            raise Conflict(f"{path} exists.", hint="Choose another directory.", code="file_exists")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise Unavailable(f"{directory} cannot be made: {exc.strerror}.") from exc
    service = service_account(target)
    if mode is Mode.PLUGIN:
        asyncio.run(_plugin(files[0], service, found.accounts))
    elif mode is Mode.DYNAMIC_SECURITY:
        dynsec = DynsecAuthority(service_endpoint(target), service, file=files[0])
        asyncio.run(dynsec.replace(found.accounts))
    else:
        asyncio.run(PasswordFileAuthority(files[0], files[1], service).replace(found.accounts))
    return files, len(found.accounts)


async def _plugin(file: Path, service: Account, accounts: Sequence[Account]) -> None:
    authority = PluginAuthority(file, service, endpoint=None)
    await authority.replace(accounts)
    await authority.close()
