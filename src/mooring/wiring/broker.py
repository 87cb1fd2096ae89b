"""The managed broker of one installation: from settings to files, authority and process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import ipaddress
import os
import shlex
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring.app import App
from mooring.broker.config import (
    LOG_TYPES,
    Access,
    BrokerConfig,
    DynamicSecurity,
    Limits,
    Listener,
    PasswordFile,
    Plugin,
    Tls,
    render,
)
from mooring.broker.connection import Endpoint
from mooring.broker.dynsec import DynsecAuthority
from mooring.broker.installation import find_dynsec_plugin, find_mosquitto, version
from mooring.broker.password_file import PasswordFileAuthority
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Authority, SharedAuthority
from mooring.broker.reload import Reload, by_command, by_pid_file, with_valid_tls
from mooring.broker.side_file import SideFile
from mooring.broker.versions import (
    expires_sessions_once,
    has_side_file,
    installed,
    patterns_span_levels,
)
from mooring.errors import InvalidSetting, NotFound, Unavailable
from mooring.files import write_atomically
from mooring.identity.account import Account, Rights
from mooring.pki.model import PkiPaths
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.wiring.descriptors import per_listener
from mooring.wiring.reloading import reload_and_wait
from mooring.wiring.tls import prepare_tls

__all__ = [
    "BrokerFiles",
    "build_authority",
    "build_process",
    "reload_broker",
    "service_account",
    "service_endpoint",
    "write_accounts",
    "write_config",
]

EVERY_PACKET = ("debug",)
EVERYTHING = Rights(publish=("#",), subscribe=("#", "$SYS/#"))

ORIGINS_SINCE = (2, 1, 0)  # ``websockets_origin``


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Where the broker's files lie."""

    settings: Settings

    @property
    def directory(self) -> Path:
        return self.settings.broker_dir

    @property
    def config(self) -> Path:
        return self.directory / "mosquitto.conf"

    @property
    def dynsec(self) -> Path:
        return self.directory / "dynamic-security.json"

    @property
    def beside(self) -> Path:
        """The password file next to Dynamic Security."""
        return self.directory / "beside"

    @property
    def accounts(self) -> Path:
        """The file of Mooring's own plugin."""
        return self.directory / "accounts.db"

    @property
    def passwords(self) -> Path:
        return self.settings.password_file or self.directory / "passwd"

    @property
    def access_list(self) -> Path:
        return self.passwords.with_name("acl")

    @property
    def log(self) -> Path:
        return self.settings.logs_dir.absolute() / "mosquitto.log"

    @property
    def pid(self) -> Path:
        return self.directory / "mosquitto.pid"

    @property
    def persistence(self) -> Path:
        return self.directory / "data"

    def reload(self) -> Reload:
        """SIGHUP to the managed broker, when it can read its TLS files."""
        return with_valid_tls(by_pid_file(self.pid), self.config)

    def make(self) -> None:
        for directory in (self.directory, self.persistence, self.settings.logs_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket = self.settings.platform_socket
        if socket is not None and socket.parent != self.directory:
            _own_folder(socket.parent)


def _own_folder(path: Path) -> None:
    """A folder in a shared place that only we can use.

    Raises:
        Unavailable: somebody else made it, or others may use it.
    """
    with contextlib.suppress(FileExistsError):  # from an earlier start, or somebody else's
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Unavailable(
            f"{path} does not belong exclusively to Mooring.",
            hint="Remove it, or use a data directory with a shorter path.",
        )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def broker_config(
    settings: Settings, files: BrokerFiles, tls: PkiPaths, *, every_packet: bool = False
) -> BrokerConfig:
    """``mosquitto.conf`` as values; ``every_packet``: the log names each, rejected ones too."""
    limit = per_listener(settings)
    by_name = settings.username_is_client_id
    server = Tls(tls.server_cert.absolute(), tls.server_key.absolute())
    with_clients = Tls(
        tls.server_cert.absolute(),
        tls.server_key.absolute(),
        tls.trust.absolute(),
        tls.crl.absolute(),
    )
    listeners = [
        Listener(settings.mqtt_port, "127.0.0.1", client_id_is_username=by_name),
        Listener(
            settings.mqtt_tls_port,
            settings.mqtt_tls_host,
            tls=server,
            max_connections=limit,
            client_id_is_username=by_name,
        ),
        Listener(
            settings.mqtt_ws_port,
            settings.mqtt_ws_host,
            websockets=True,
            origins=settings.mqtt_ws_origins,
            tls=None if _is_loopback(settings.mqtt_ws_host) else server,
            max_connections=limit,
            client_id_is_username=by_name,
        ),
    ]
    if settings.platform_socket is not None:
        listeners.append(Listener(0, str(settings.platform_socket)))
    if settings.mqtt_mtls_port:
        listeners.append(
            Listener(
                settings.mqtt_mtls_port,
                settings.mqtt_tls_host,
                tls=with_clients,
                require_certificate=True,
                max_connections=limit,
                # Only the plugin is asked about a certificate login: no other binds its id.
                client_id_is_username=settings.authority != "plugin",
            )
        )
    return BrokerConfig(
        listeners=tuple(listeners),
        access=_access(settings, files),
        persistence=files.persistence,
        log=files.log,
        pid_file=files.pid,
        log_types=(*LOG_TYPES, *EVERY_PACKET) if every_packet else LOG_TYPES,
        limits=Limits(
            max_inflight_messages=settings.max_inflight_messages,
            max_queued_messages=settings.max_queued_messages,
            message_size_limit=settings.message_size_limit,
        ),
        session_days=settings.broker_session_days,
        # Without the plugin, and with one session for each account, none expires where it could
        # expire twice.
        sessions_expire=not settings.username_is_client_id
        or expires_sessions_once(installed(find_mosquitto(settings.mosquitto))),
        run_as_root=os.geteuid() == 0,
    )


def _access(settings: Settings, files: BrokerFiles) -> Access:
    match settings.authority:
        case "plugin":
            return Plugin(plugin_library(settings), files.accounts)
        case "password_file":
            return PasswordFile(files.passwords.absolute(), files.access_list.absolute())
        case _:
            return DynamicSecurity(
                dynsec_library(settings),
                files.dynsec,
                files.beside if _has_side_file(settings) else None,
            )


def _has_side_file(settings: Settings) -> bool:
    return has_side_file(installed(find_mosquitto(settings.mosquitto)))


def dynsec_library(settings: Settings) -> Path:
    """The Dynamic Security library that fits the broker.

    Raises:
        NotFound: Mosquitto is not installed, or without it.
    """
    return find_dynsec_plugin(
        settings.dynamic_security_library, binary=find_mosquitto(settings.mosquitto)
    )


def plugin_library(settings: Settings) -> Path:
    """The library of Mooring's own plugin, built if that is possible here.

    Raises:
        NotFound: it does not exist and cannot be built; the message says why.
    """
    if settings.authority_library is not None:
        if settings.authority_library.is_file():
            return settings.authority_library.absolute()
        raise _no_plugin(f"{settings.authority_library} does not exist.")
    try:
        build = importlib.import_module("mooring.broker.plugin.build")
    except ModuleNotFoundError as exc:
        raise _no_plugin("This build does not contain it.") from exc
    folder = settings.broker_dir / "lib"
    found: Path = build.find_library(folder) or build.build(folder)
    return found


def _no_plugin(why: str) -> NotFound:
    return NotFound(
        f"Mooring's own plugin was not found. {why}",
        hint="Correct authority_library, or use another authority.",
        code="plugin_not_found",
    )


def write_config(app: App, *, every_packet: bool | None = None) -> BrokerConfig:
    """Writes ``mosquitto.conf`` and what it needs in addition to it; returns it as values.

    Args:
        every_packet: whether the log names every packet; by default what the settings say.
    """
    files = BrokerFiles(app.settings)
    files.make()
    if every_packet is None:
        # Mooring's own plugin says what it denies.
        every_packet = app.settings.watch_denials != "off" and app.settings.authority != "plugin"
    config = broker_config(app.settings, files, prepare_tls(app), every_packet=every_packet)
    write_atomically(files.config, render(config))
    return config


def service_endpoint(app: App) -> Endpoint:
    """Where the platform itself reaches the broker, as the broker package has it."""
    link = app.endpoint("")
    return Endpoint(link.host, link.port, link.username, link.password)


def service_account(app: App) -> Account:
    """The platform's own login: it may read and write everything.

    Its verifier is derived from the instance's secret each time with the same salt, so that
    writing it again changes nothing.
    """
    link = app.endpoint("")
    salt = hashlib.sha256(app.instance.instance_key.encode()).digest()[: verifiers.SALT_BYTES]
    return Account(link.username, verifiers.make(link.password, salt=salt), EVERYTHING)


def build_process(app: App, config: BrokerConfig) -> BrokerProcess:
    files = BrokerFiles(app.settings)
    binary = find_mosquitto(app.settings.mosquitto)
    if app.settings.mqtt_ws_origins and version(binary) < ORIGINS_SINCE:
        raise InvalidSetting(
            "mqtt_ws_origins needs Mosquitto 2.1.",
            hint="Remove the setting, or set mosquitto to a newer version.",
            setting="mqtt_ws_origins",
        )
    return BrokerProcess(
        files.config,
        service_endpoint(app),
        listens=[(one.address, one.port) for one in config.listeners if not one.is_socket],
        binary=binary,
        state=files.persistence / "mosquitto.db",
    )


async def reload_broker(app: App) -> None:
    """Tells the broker to read its files again: accounts, certificates, most settings.

    Raises:
        BrokerUnavailable: it does not run, or cannot be notified.
    """
    settings, files = app.settings, BrokerFiles(app.settings)
    if settings.reload_command:
        await by_command(shlex.split(settings.reload_command))()
    elif settings.broker == "managed":
        await reload_and_wait(files.reload(), files.log, service_endpoint(app))
    else:
        await by_pid_file(files.pid)()


async def write_accounts(app: App) -> list[Account]:
    """Writes the authority's files while the broker is stopped.

    Returns:
        The accounts that are in them, where the authority has to know. The plugin's are read
        and written a page at a time, and nothing holds them all.

    Raises:
        MooringError: they cannot be read or written.
    """
    authority = build_authority(app, running=False)
    if isinstance(authority, SharedAuthority):
        try:
            await authority.renew(app.devices.logins.stream)
        finally:
            await authority.close()
        return []
    accounts = await asyncio.to_thread(app.devices.accounts)
    await authority.replace(accounts)
    return accounts


def build_authority(
    app: App,
    *,
    restart: Callable[[], Awaitable[None]] | None = None,
    running: bool = True,
    written: Sequence[Account] | None = None,
) -> Authority:
    """The authority for the mode in force.

    Args:
        written: the accounts the broker was started with, where that is known.
        restart: stops and starts the managed broker; for Dynamic Security's file.
        running: ``False`` before the broker runs: files are written and no broker is notified.
    """
    settings = app.settings
    files = BrokerFiles(settings)
    if settings.authority == "plugin":
        return PluginAuthority(
            files.accounts,
            service_account(app),
            endpoint=service_endpoint(app) if running else None,
            former=app.service_names,
        )
    if settings.authority == "dynamic_security":
        managed = settings.broker == "managed"
        beside = SideFile(
            files.beside,
            files.reload() if running else None,
            service_endpoint(app) if running else None,
        )
        return DynsecAuthority(
            service_endpoint(app),
            service_account(app),
            file=files.dynsec if managed else None,
            restart=restart,
            beside=beside if managed and _has_side_file(settings) else None,
            former=app.service_names,
        )
    reload: Reload | None = None
    if running:
        reload = (
            by_command(shlex.split(settings.reload_command))
            if settings.reload_command
            else files.reload()
        )
    return PasswordFileAuthority(
        files.passwords,
        files.access_list,
        service_account(app),
        reload=reload,
        endpoint=service_endpoint(app) if running else None,
        debounce=settings.reload_debounce_seconds,
        spanning=settings.broker == "managed"
        and patterns_span_levels(installed(find_mosquitto(settings.mosquitto))),
        written=written,
        former=app.service_names,
    )
