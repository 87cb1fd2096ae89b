"""``mosquitto.conf``, rendered from values.

Pure: it takes values and returns text; it does not look at files or ports, and does not know
which Mosquitto will read it. Everything it writes is accepted by 2.0.11; what 2.1 sees
differently is noted at the line.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mooring.errors import InvalidSetting
from mooring.settings import SOCKET_PATH_BYTES

__all__ = [
    "LOG_TYPES",
    "Access",
    "BrokerConfig",
    "DynamicSecurity",
    "Limits",
    "Listener",
    "PasswordFile",
    "Plugin",
    "Tls",
    "render",
]

LOG_TYPES = ("error", "warning", "notice", "information")
"""What the log reader needs; ``debug`` is added while denied messages are looked for. Not
``subscribe`` and ``unsubscribe``: their lines begin with the client id, which a device chooses, so
a device could write any sentence of the broker's."""

PACKET_OVERHEAD = 66_048
"""Bytes of a packet beyond its payload: the longest topic, the header and some properties."""

LARGEST_PACKET = 268_435_455
"""Of MQTT itself."""

TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
"""With the offset, so that a log line is a moment and not a guess."""


TLS_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM"
"""Forward secrecy and authenticated encryption: no CBC, no SHA-1 (RFC 9325, 4.2)."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate files of one listener, in PEM.

    Attributes:
        certificate: the server's certificate with its chain.
        key: its private key.
        ca: who signs client certificates; needed when they are required.
        crl: revoked client certificates. Always ship one, even empty: without it Mosquitto
            does not read a replaced CA again on SIGHUP.
        minimum: ``tlsv1.2`` or ``tlsv1.3``.
        ciphers: of TLS 1.2, as OpenSSL writes them.
    """

    certificate: Path
    key: Path
    ca: Path | None = None
    crl: Path | None = None
    minimum: str = "tlsv1.2"
    ciphers: str = TLS_CIPHERS


@dataclass(frozen=True, slots=True)
class Listener:
    """One port the broker listens on.

    Attributes:
        port: 1 to 65535; 0 for a Unix socket.
        address: an IP address or ``localhost``; empty or ``::`` for every interface, IPv4 and
            IPv6; or the absolute path of a Unix socket.
        websockets: MQTT over WebSocket instead of plain MQTT.
        tls: certificate files; without them the listener must be on loopback.
        require_certificate: clients show a certificate, and its common name is the username.
        max_connections: how many clients at once; ``None``: no limit. Our own link uses a
            listener without one, so that devices never crowd it out.
        allow_clear_text: permits an exposed listener without TLS. Somebody has to ask for it.
        origins: the web pages that may open a WebSocket; empty: any. Mosquitto 2.1 alone.
        client_id_is_username: the broker takes each client's username for its client id,
            whatever id it sends. So a login can end only its own session.
    """

    port: int
    address: str = "127.0.0.1"
    websockets: bool = False
    tls: Tls | None = None
    require_certificate: bool = False
    max_connections: int | None = None
    allow_clear_text: bool = False
    client_id_is_username: bool = False
    origins: tuple[str, ...] = ()

    @property
    def is_socket(self) -> bool:
        """A Unix socket: who may reach it is up to the folder it is in."""
        return self.port == 0 and self.address.startswith("/")

    @property
    def on_loopback(self) -> bool:
        if self.address == "localhost" or self.is_socket:
            return True
        # A host name or every interface is not.
        return _is_ip(self.address) and ipaddress.ip_address(self.address).is_loopback


@dataclass(frozen=True, slots=True)
class DynamicSecurity:
    """Accounts in the Dynamic Security plugin: its library and its JSON file.

    ``beside``: a password file for clients that have no password in the plugin.
    """

    plugin: Path
    file: Path
    beside: Path | None = None


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """Accounts in a password file, rights in an access list."""

    passwords: Path
    access_list: Path


@dataclass(frozen=True, slots=True)
class Plugin:
    """Accounts in the file that Mooring's own plugin reads: its library and ``accounts.db``."""

    library: Path
    accounts: Path


Access = DynamicSecurity | PasswordFile | Plugin
"""Where accounts are kept."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take; all of them hold for every client of the broker.

    Attributes:
        max_inflight_messages: unacknowledged messages to one client at a time, and what the
            broker announces as its own receive maximum. An MQTT 5 client that announces a
            receive maximum gets that many instead (measured: 5,000 with this at 100), so our
            link is not held back by it.
        max_queued_messages: messages kept for a client that is away or slow, beyond those in
            flight. Past it Mosquitto *drops* and still acknowledges the sender with success,
            so this is sized for ingest being down, not for devices; 0: no limit.
        max_queued_bytes: the same in bytes of payload, and it drops in the same way; 0: no limit.
            Ingest's queue is subject to it, too, so acknowledged messages would be lost.
        message_size_limit: largest payload in bytes. The packet around it may have
            ``PACKET_OVERHEAD`` more. The broker announces the sum to MQTT 5 clients, which then
            send nothing larger, and disconnects anyone who does: its log says so, while what
            Mosquitto's own ``message_size_limit`` drops is acknowledged and leaves no trace.
    """

    max_inflight_messages: int = 100
    max_queued_messages: int = 1_000_000
    max_queued_bytes: int = 0
    message_size_limit: int = 1_048_576


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Everything in ``mosquitto.conf``.

    Attributes:
        listeners: at least one.
        access: where accounts are kept.
        persistence: the folder of ``mosquitto.db``: sessions, queues, retained messages.
        log: the log file; ``None``: standard error.
        pid_file: where the broker writes its process id; ``None``: nowhere.
        autosave_seconds: how often queues and retained messages are saved. A broker that is
            killed (not stopped) loses at most what arrived since.
        session_days: after so long without its client a session ends, with all it queued.
        sessions_expire: whether they do; see ``versions.expires_sessions_once``.
        run_as_root: adds ``user root``; only right when the broker is started by root, and
            then needed for it to read files that are root's own.
    """

    listeners: tuple[Listener, ...]
    access: Access
    persistence: Path
    log: Path | None = None
    pid_file: Path | None = None
    log_types: tuple[str, ...] = LOG_TYPES
    limits: Limits = field(default_factory=Limits)
    autosave_seconds: int = 1
    sys_interval: int = 10
    run_as_root: bool = False
    session_days: int = 30
    sessions_expire: bool = True


def render(config: BrokerConfig) -> str:
    """The text of ``mosquitto.conf``.

    Raises:
        InvalidSetting: an exposed listener without TLS, two listeners on one port, client
            certificates required without a CA, a number out of range, or a path that cannot
            be written on one line.
    """
    _check(config)
    sections: list[Iterable[str]] = [
        _general(config),
        _access(config.access, config.limits),
        _persistence(config),
        _limits(config),
        _logging(config),
        *(_listener(listener, config.access) for listener in config.listeners),
    ]
    head = "# Written by Mooring. Manual changes are lost at the next start: change the settings "
    "instead.\n"
    return head + "\n" + "\n\n".join("\n".join(section) for section in sections) + "\n"


def _general(config: BrokerConfig) -> Iterator[str]:
    if config.run_as_root:
        yield "user root"
    # 2.1 calls this option deprecated; false is its default and what is meant there, too.
    yield "per_listener_settings false"
    yield "allow_anonymous false"
    yield "set_tcp_nodelay true"
    yield f"sys_interval {config.sys_interval}"
    if config.pid_file is not None:
        yield f"pid_file {_path(config.pid_file)}"


def _access(access: Access, limits: Limits) -> Iterator[str]:
    if isinstance(access, Plugin):
        yield f"plugin {_path(access.library)}"
        yield f"plugin_opt_accounts {_path(access.accounts)}"
        # It drops what is larger as the broker would, and says so.
        yield f"plugin_opt_message_size_limit {limits.message_size_limit}"
        # Otherwise usernames and client ids with '/', '+' or '#' are rejected before the plugin
        # is asked. The plugin never puts either into a pattern, so they are harmless.
        yield "auth_plugin_deny_special_chars false"
        # Otherwise the broker asks about the sender of every retained message it delivers, which
        # loads an account for each. What a removed device left behind is deleted with it.
        yield "check_retain_source false"
        return
    if isinstance(access, DynamicSecurity):
        yield f"plugin {_path(access.plugin)}"
        yield f"plugin_opt_config_file {_path(access.file)}"
        if access.beside is not None:
            yield f"password_file {_path(access.beside)}"
        return
    # 2.1 moves both files into plugins of their own and still reads these options.
    yield f"password_file {_path(access.passwords)}"
    yield f"acl_file {_path(access.access_list)}"


def _persistence(config: BrokerConfig) -> Iterator[str]:
    yield "persistence true"
    # The broker glues the file name to this, so the slash matters.
    yield f"persistence_location {_path(config.persistence)}/"
    yield "autosave_on_changes false"
    yield f"autosave_interval {config.autosave_seconds}"
    if config.sessions_expire:
        yield f"persistent_client_expiration {config.session_days}d"


def _limits(config: BrokerConfig) -> Iterator[str]:
    limits = config.limits
    yield f"max_inflight_messages {limits.max_inflight_messages}"
    yield f"max_queued_messages {limits.max_queued_messages}"
    yield f"max_queued_bytes {limits.max_queued_bytes}"
    packet = min(limits.message_size_limit + PACKET_OVERHEAD, LARGEST_PACKET)
    yield f"max_packet_size {packet}"
    if not isinstance(config.access, Plugin):
        # 2.0 does not look at packets over WebSocket. Elsewhere this is never reached.
        yield f"message_size_limit {packet}"


def _logging(config: BrokerConfig) -> Iterator[str]:
    yield f"log_dest file {_path(config.log)}" if config.log is not None else "log_dest stderr"
    for kind in config.log_types:
        yield f"log_type {kind}"
    yield "connection_messages true"
    yield "log_timestamp true"
    yield f"log_timestamp_format {TIMESTAMP_FORMAT}"


def _listener(listener: Listener, access: Access) -> Iterator[str]:
    # ``::`` by itself is IPv6 alone to Mosquitto; without an address it listens on both families.
    address = "" if listener.address == "::" else listener.address
    yield f"listener {listener.port} {address}".rstrip()
    yield f"protocol {'websockets' if listener.websockets else 'mqtt'}"
    if listener.websockets and address:
        # Without this 2.0 binds a WebSocket listener with an IPv4 address to every interface.
        yield f"socket_domain {'ipv6' if ':' in listener.address else 'ipv4'}"
    for origin in listener.origins:
        yield f"websockets_origin {origin}"
    yield f"max_connections {listener.max_connections or -1}"
    if listener.client_id_is_username:
        yield "use_username_as_clientid true"
    if listener.tls is None:
        return
    yield f"certfile {_path(listener.tls.certificate)}"
    yield f"keyfile {_path(listener.tls.key)}"
    if listener.tls.ca is not None:
        yield f"cafile {_path(listener.tls.ca)}"
    if listener.tls.crl is not None:
        yield f"crlfile {_path(listener.tls.crl)}"
    yield f"tls_version {listener.tls.minimum}"  # a minimum in 2.0, as the manual says
    yield f"ciphers {listener.tls.ciphers}"
    if listener.require_certificate:
        yield "require_certificate true"
        if not isinstance(access, Plugin):  # with it 2.0 accepts without asking a plugin
            yield "use_identity_as_username true"


def _check(config: BrokerConfig) -> None:
    if not config.listeners:
        raise InvalidSetting("The broker has no listener.", hint="Give it at least one port.")
    seen: set[int] = set()
    for listener in config.listeners:
        _check_listener(listener)
        if listener.port in seen and not listener.is_socket:
            raise InvalidSetting(f"Two listeners share port {listener.port}.")
        seen.add(listener.port)
    numbers = {
        "max_inflight_messages": (config.limits.max_inflight_messages, 0, 65535),
        "max_queued_messages": (config.limits.max_queued_messages, 0, 2**31 - 1),
        "max_queued_bytes": (config.limits.max_queued_bytes, 0, 2**40),
        "message_size_limit": (config.limits.message_size_limit, 1, LARGEST_PACKET),
        "autosave_seconds": (config.autosave_seconds, 1, 86_400),
        "session_days": (config.session_days, 1, 3650),
        "sys_interval": (config.sys_interval, 0, 65535),
    }
    for name, (value, low, high) in numbers.items():
        if not low <= value <= high:
            raise InvalidSetting(f"{name} must be {low} to {high}, not {value}.")


def _check_listener(listener: Listener) -> None:
    if listener.is_socket:
        _check_socket(listener)
        return
    if not 1 <= listener.port <= 65535:
        raise InvalidSetting(f"A port must be 1 to 65535, not {listener.port}.")
    if any(c.isspace() or not c.isprintable() for c in listener.address):
        raise InvalidSetting(f"The address {listener.address!r} is not an address.")
    if listener.max_connections is not None and listener.max_connections < 1:
        raise InvalidSetting(f"max_connections must be at least 1, not {listener.max_connections}.")
    if listener.websockets and listener.address and not _is_ip(listener.address):
        raise InvalidSetting(  # 2.0 then opens no port and says nothing
            f"Port {listener.port} uses WebSocket and needs an IP address, "
            f"not {listener.address!r}."
        )
    if listener.tls is None:
        if listener.require_certificate:
            raise InvalidSetting(f"Port {listener.port} requires certificates but has no TLS.")
        if not listener.on_loopback and not listener.allow_clear_text:
            raise InvalidSetting(
                f"Port {listener.port} would be open without TLS on "
                f"{listener.address or 'every interface'}.",
                hint="Bind it to 127.0.0.1, configure a certificate, or allow plaintext for it.",
            )
        return
    if listener.tls.minimum not in ("tlsv1.2", "tlsv1.3"):
        raise InvalidSetting(f"TLS {listener.tls.minimum!r} is neither tlsv1.2 nor tlsv1.3.")
    if listener.require_certificate:
        if listener.tls.ca is None:
            raise InvalidSetting(
                f"Port {listener.port} requires certificates but has no CA to verify them."
            )
        if listener.websockets:  # 2.0 ignores use_identity_as_username there
            raise InvalidSetting(f"Port {listener.port}: no client certificates over WebSocket.")


def _check_socket(listener: Listener) -> None:
    if listener.tls is not None or listener.websockets:
        raise InvalidSetting("A Unix socket supports only plain MQTT.")
    _path(Path(listener.address))
    if len(listener.address.encode()) > SOCKET_PATH_BYTES:
        raise InvalidSetting(f"The path {listener.address!r} is too long for a Unix socket.")


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _path(path: Path) -> str:
    text = str(path)
    if not path.is_absolute():  # the broker may run with another working directory
        raise InvalidSetting(f"The broker's path {text!r} is not absolute.")
    if not text.isprintable() or text != text.strip():
        raise InvalidSetting(
            f"The path {text!r} cannot be written into mosquitto.conf.",
            hint="Use a folder without line breaks, control characters or spaces at the ends.",
        )
    return text
