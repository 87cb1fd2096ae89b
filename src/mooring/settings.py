"""Every setting: its name, default, meaning, and where its value came from.

A process that ``mooring up`` starts takes the settings of its parent (``mooring.handover``).
Everywhere else flags win over the environment, the environment over what a running ``mooring up``
on the same data directory was started with, that over the TOML file, the file over defaults.
A setting ``http_port`` is the flag ``--http-port``, the variable ``MOORING_HTTP_PORT`` and the
key ``http_port`` in ``mooring.toml``. The ``MQTT_*`` names that fleets already use are read as
well; they are listed as aliases.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

from mooring import handover, running
from mooring.errors import InvalidSetting
from mooring.settings_downlinks import DownlinkSettings
from mooring.settings_field import setting as _field
from mooring.settings_file import read_toml

__all__ = [
    "CHOICE_FILE",
    "SOCKET_PATH_BYTES",
    "Origin",
    "Settings",
    "is_loopback",
    "load",
    "variable_names",
]

ENV_PREFIX = "MOORING_"

NO_SETTINGS = frozenset({"MOORING_CONFIG", "MOORING_URL", "MOORING_STORE", "MOORING_PLAIN_HTTP"})
"""Variables that begin like settings: where the file is, and the device SDK's."""

SPELLING = 0.9  # how alike two names are of which one is taken for the other misspelt

SOCKET_PATH_BYTES = 100
"""Longer paths are no Unix sockets: 104 bytes on macOS, 108 on Linux."""

RUNNING_FACTS = frozenset({"auth_mode"})
"""What a running platform may change by itself: what it says then wins over the environment."""


CHOICE_FILE = Path("broker", "authority.json")
"""In the data directory: which authority was chosen for it, and why."""


class Settings(DownlinkSettings):
    """The effective settings of one process. Units are in the names or descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    # Where things are
    data_dir: Path = _field(Path(".mooring"), "Data directory.")
    database_url: SecretStr | None = _field(
        None, "SQLAlchemy URL of the database. Empty: SQLite in the data directory."
    )

    # What listens where
    http_host: str = _field(
        "127.0.0.1", "Address of the HTTP server. :: is every address, IPv4 and IPv6."
    )
    http_port: int = _field(8080, "Port of REST, WebSocket and dashboard.", ge=1, le=65535)
    http_connections_max: int = _field(
        1000, "Maximum open HTTP connections. An idle connection is closed for a new one.", ge=1
    )
    http_connections_max_per_address: int = _field(
        100, "Maximum open HTTP connections from one address. Trusted proxies are exempt.", ge=1
    )
    trusted_proxies: tuple[str, ...] = _field(
        (),
        "Addresses and networks of reverse proxies whose X-Forwarded-For is trusted. None by "
        "default.",
    )
    mqtt_host: str = _field("127.0.0.1", "Address of the broker for platform and CLI.")
    mqtt_port: int = _field(1883, "Port of plain MQTT, on loopback only.", ge=1, le=65535)
    mqtt_tls_host: str = _field(
        "0.0.0.0",  # noqa: S104 - TLS and passwords guard it
        "Address of the TLS listeners. :: is every address, IPv4 and IPv6.",
    )
    mqtt_tls_port: int = _field(8883, "Port of MQTT over TLS, with passwords.", ge=1, le=65535)
    mqtt_mtls_port: int = _field(
        0, "Port of MQTT over TLS for client certificates. 0 closes it.", ge=0, le=65535
    )
    mqtt_ws_port: int = _field(9001, "MQTT over WebSocket.", ge=1, le=65535)
    mqtt_ws_host: str = _field(
        "127.0.0.1",
        "Address of the WebSocket listener. It uses TLS unless on loopback.",
    )
    mqtt_ws_origins: tuple[str, ...] = _field(
        (),
        "Web pages (https://host) that may open MQTT over WebSocket, with Mosquitto 2.1. Empty: "
        "any page that has a device's password.",
    )
    public_hosts: tuple[str, ...] = _field(
        (), "Host names and addresses that devices connect to. Devices get the first one."
    )

    # Broker
    broker: Literal["managed", "attached"] = _field(
        "managed", "managed: `mooring up` runs Mosquitto; attached: it runs elsewhere."
    )
    mosquitto: Path | None = _field(None, "The mosquitto program. Empty: found automatically.")
    dynamic_security_library: Path | None = _field(
        None, "Path of its Dynamic Security library. Empty: searched next to the program first."
    )
    auth_mode: Literal["auto", "plugin", "dynamic_security", "password_file"] = _field(
        "auto",
        "Authority that decides which devices the broker accepts. auto: Mooring's own plugin if "
        "the broker loads it, otherwise Dynamic Security; a data directory keeps its authority.",
        "MQTT_AUTH_MODE",
    )
    authority_library: Path | None = _field(
        None, "Path of the library of Mooring's own plugin. Empty: the included one."
    )
    password_file: Path | None = _field(
        None, "Mosquitto's password file. Default: in the data directory.", "MQTT_PASSWD_FILE"
    )
    reload_debounce_seconds: float = _field(
        2.0, "Password file: time in which changes are collected for one reload.", ge=0, le=60
    )
    reload_command: str | None = _field(
        None, "Password file: command that reloads an attached broker. Empty: SIGHUP to its pid."
    )
    broker_url: str | None = _field(
        None,
        "An attached broker's URL, mqtt:// or mqtts://.",
        "MQTT_DYNSEC_BROKER_URL",
        "MQTT_BROKER_URL",
    )
    broker_username: str = _field(
        "service:mooring",
        "The platform's own account on the broker.",
        "MQTT_DYNSEC_ADMIN_USER",
        "MQTT_USERNAME",
    )
    broker_password: SecretStr | None = _field(
        None,
        "Password of that account. Generated for a managed broker.",
        "MQTT_DYNSEC_ADMIN_PASS",
        "MQTT_PASSWORD",
    )
    broker_default_role: str = _field(
        "device", "Dynamic Security role of every device.", "MQTT_DYNSEC_DEFAULT_ROLE"
    )
    broker_compare_seconds: float = _field(
        300.0, "Interval between complete comparisons with the broker.", gt=0
    )
    max_connections: int = _field(1000, "Maximum clients per listener. -1: no limit.", ge=-1)
    broker_login_seconds: float = _field(
        30.0, "Time in which a connection to the broker must log in.", ge=1
    )
    max_inflight_messages: int = _field(
        100, "Maximum unacknowledged messages to one MQTT 3.1.1 client.", ge=1, le=65535
    )
    max_queued_messages: int = _field(
        1_000_000,
        "Maximum messages that the broker queues for one disconnected client, including ingest.",
        ge=1,
    )
    broker_orphan_seconds: float = _field(
        600.0, "How long the broker keeps running after `mooring up` was killed.", ge=0
    )
    message_size_limit: int = _field(1_048_576, "Maximum payload size in bytes.", ge=1)
    device_connections_max: int = _field(
        0, "Maximum connections of one device, with Mooring's plugin. 0: no limit.", ge=0
    )
    device_messages_per_second: int = _field(
        0, "Maximum messages that one device may publish, with the plugin. 0: no limit.", ge=0
    )
    device_bytes_per_second: int = _field(
        0, "Maximum bytes of topics and payloads of one device, with the plugin. 0: no limit.", ge=0
    )
    tenant_connections_max: int = _field(
        0, "Maximum connections of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )
    tenant_messages_per_second: int = _field(
        0, "Maximum messages of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )
    tenant_bytes_per_second: int = _field(
        0, "Maximum bytes of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )

    client_ids: Literal["auto", "username", "own"] = _field(
        "auto",
        "username: the broker uses a client's username as its client id; own: the broker uses "
        "the client id that the client sends; auto: own with Mooring's plugin or an attached "
        "broker, else username.",
    )
    broker_session_days: int = _field(
        30,
        "Days after which the broker deletes the session of a disconnected client.",
        ge=8,
        le=3650,
    )
    watch_denials: Literal["auto", "on", "off"] = _field(
        "auto",
        "Whether to detect messages that the broker rejects for lack of rights. It costs the "
        "broker time, so auto does it at low message rates only.",
    )

    # TLS
    tls_certfile: Path | None = _field(None, "Your own server certificate, with chain.")
    tls_keyfile: Path | None = _field(None, "Its key.")
    tls_cafile: Path | None = _field(None, "The CA that signed it. Devices get it.")
    ca_key_type: Literal["ec-p256", "rsa-2048"] = _field("ec-p256", "Key of the private CA.")

    # Ingest
    ingest_client_id: str | None = _field(
        None, "MQTT client id of ingest's session. Empty: random, stored in secrets.json."
    )
    ingest_in_flight: int = _field(
        8000, "Maximum messages that ingest has not acknowledged to the broker.", ge=1, le=65535
    )
    ingest_batch_max: int = _field(5000, "Maximum messages in one transaction.", ge=1)
    ingest_linger_ms: float = _field(
        5.0, "How long a busy ingest waits for a larger batch.", ge=0, le=1000
    )
    gap_seconds: float = _field(
        60.0, "Time after which a missing sequence number is requested from the device.", gt=0
    )
    payload_max_bytes: int = _field(
        262_144, "Maximum size. A larger payload becomes a dead letter.", ge=1
    )
    payload_max_depth: int = _field(
        32, "Maximum nesting. A deeper payload becomes a dead letter.", ge=1
    )
    payload_max_metrics: int = _field(256, "Maximum readings in one message.", ge=1)
    dead_letter_max_bytes: int = _field(65_536, "Bytes of an invalid payload that are kept.", ge=0)
    dead_letters_max: int = _field(
        1_000_000, "Dead letters kept. The oldest are deleted first.", ge=1
    )
    dead_letters_max_per_device: int = _field(
        1_000, "Maximum dead letters of one device. Its oldest are deleted first.", ge=1
    )
    dead_letters_max_bytes: int = _field(
        1_073_741_824, "Maximum total size of the payloads of all dead letters.", ge=1
    )
    broker_events_max: int = _field(
        1_000_000, "Broker events kept. The oldest are deleted first.", ge=1
    )
    strangers_max: int = _field(10_000, "Unknown devices listed. Further ones are counted.", ge=1)
    metrics_max_per_device: int = _field(
        256, "Maximum metrics of one device in roll-ups. Values of further ones are counted.", ge=1
    )

    # What people may create
    tenants_max: int = _field(10_000, "Tenants.", ge=1)
    devices_max_per_tenant: int = _field(200_000, "Maximum devices of one tenant.", ge=1)
    users_max_per_tenant: int = _field(1_000, "Maximum users of one tenant.", ge=1)
    api_keys_max_per_tenant: int = _field(1_000, "Maximum valid API keys of one tenant.", ge=1)
    broker_users_max: int = _field(10_000, "Maximum broker users.", ge=1)
    claim_codes_max_per_tenant: int = _field(10_000, "Open claim codes of one tenant.", ge=1)
    certificates_max_per_device: int = _field(
        20, "Maximum certificates of one device that have not expired.", ge=1
    )

    # How long things are kept; rules per tenant and kind go before these
    records_days: int = _field(
        400,
        "Days to keep finished records: claim codes, rotations, downlinks, API keys, certificates.",
        ge=1,
        le=36_500,
    )
    audit_max: int = _field(1_000_000, "Maximum audit entries. The oldest are deleted first.", ge=1)
    audit_failures_max: int = _field(
        100_000, "Maximum failed logins in the audit log. The oldest are deleted first.", ge=1
    )
    retention_days: int = _field(400, "Days to keep messages. 0: indefinitely.", ge=0, le=36_500)
    retention_minutes_days: int = _field(
        400, "Days to keep one-minute roll-ups. 0: indefinitely.", ge=0, le=36_500
    )
    retention_rollups_days: int = _field(
        1830, "Days to keep hourly and daily roll-ups. 0: indefinitely.", ge=0, le=36_500
    )

    # Credentials
    claim_days: int = _field(7, "Default validity of a claim code.", ge=1, le=3650)
    claim_attempts_per_minute: int = _field(
        10, "Maximum wrong claim codes or old passwords from one address.", ge=1
    )
    claim_attempts_all_per_minute: int = _field(
        600, "The same for all addresses with failures together.", ge=1
    )
    device_login_attempts_per_minute: int = _field(
        10, "Maximum failed HTTP logins of one device from one address.", ge=1
    )
    accept_wait_seconds: float = _field(
        5.0, "How long a claim waits for the broker to accept the new login.", ge=0, le=60
    )
    rotate_after_days: int = _field(
        0, "Age at which passwords are rotated automatically. 0: never.", ge=0
    )
    recover_days: int = _field(
        30, "How long a replaced password can still recover its device.", ge=0
    )
    http_url: str | None = _field(
        None,
        "The https:// URL of HTTP for devices. Devices get it; without it they get only a "
        "loopback address.",
    )

    # People
    session_hours: float = _field(12.0, "Validity of a login token.", gt=0)
    login_attempts_per_minute: int = _field(
        10, "Maximum failed logins from one address, and of one account from there.", ge=1
    )

    log_max_bytes: int = _field(
        67_108_864,
        "Size in bytes at which a log file is rotated. One older file is kept.",
        ge=65_536,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _field("info", "Log level.")

    # ------------------------------------------------------------------ rules of single settings

    @field_validator("http_host", "mqtt_host", "mqtt_tls_host", "mqtt_ws_host")
    @classmethod
    def _without_brackets(cls, given: str) -> str:
        return _bare(given)

    @field_validator("public_hosts")
    @classmethod
    def _all_without_brackets(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_bare(one) for one in given)

    @field_validator("http_url")
    @classmethod
    def _is_safe(cls, given: str | None) -> str | None:
        if not given:
            return None
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{given[:100]!a} is not an https:// URL")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError(
                "devices send passwords there, and http:// does not encrypt them; use https://"
            )
        return given.rstrip("/")

    @field_validator("mqtt_ws_origins")
    @classmethod
    def _are_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            parts = urlsplit(one)
            if f"{parts.scheme}://{parts.netloc}" != one or not one.isprintable() or " " in one:
                raise ValueError(f"{one[:80]!a} is not an origin such as https://iot.example.org")
        return given

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            try:
                ip_network(one, strict=False)
            except ValueError as exc:
                raise ValueError(f"{one[:64]!a} is neither an address nor a network") from exc
        return given

    # ------------------------------------------------------------------ derived

    @property
    def authority(self) -> Literal["plugin", "dynamic_security", "password_file"]:
        """The authority in force: as set, or as ``mooring up`` chose for the data directory;
        before its first start the one that needs no proof."""
        if self.auth_mode != "auto":
            return self.auth_mode
        match _chosen(self.data_dir):
            case "plugin":
                return "plugin"
            case "password_file":
                return "password_file"
            case _:
                return "dynamic_security"

    @property
    def sqlite_path(self) -> Path:
        return self.data_dir / "mooring.db"

    @property
    def effective_database_url(self) -> str:
        if self.database_url is not None and self.database_url.get_secret_value():
            return self.database_url.get_secret_value()
        return f"sqlite:///{quote(str(self.sqlite_path.absolute()))}"

    @property
    def broker_dir(self) -> Path:
        return self.data_dir / "broker"

    @property
    def username_is_client_id(self) -> bool:
        """Whether the broker takes a client's username for its client id."""
        if self.client_ids == "auto":
            # Only the plugin keeps a login from another one's id; Dynamic Security binds a login
            # to an id and still lets others use it.
            return self.broker == "managed" and self.authority != "plugin"
        return self.client_ids == "username"

    @property
    def platform_socket(self) -> Path | None:
        """The platform's own way to a managed broker: there it needs several client ids."""
        if self.broker != "managed" or not self.username_is_client_id:
            return None
        place = self.broker_dir.absolute() / "platform.sock"
        if len(os.fsencode(place)) <= SOCKET_PATH_BYTES:
            return place
        name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        return Path(f"/tmp/mooring-{os.getuid()}-{name}/platform.sock")  # noqa: S108 - see make

    @property
    def dialects_dir(self) -> Path:
        return self.data_dir / "dialects"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one effective value came from: ``flag``, a variable's name, a file, ``default``."""

    name: str
    where: str


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, which no network carries."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _bare(host: str) -> str:
    """``[::1]`` as it is written without a port; rejects what no resolver takes."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        bare.encode("idna")
    except UnicodeError as exc:
        raise ValueError(f"{host[:80]!a} is neither a host name nor an address") from exc
    return bare


def variable_names(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The environment variables of a setting, the first one wins."""
    extra = field.json_schema_extra
    aliases = extra.get("aliases", []) if isinstance(extra, dict) else []
    assert isinstance(aliases, list)
    return (ENV_PREFIX + name.upper(), *(str(alias) for alias in aliases))


def load(
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
) -> tuple[Settings, dict[str, Origin]]:
    """Reads all layers.

    Args:
        flags: values given on the command line; ``None`` values count as not given.
        env: the environment; ``os.environ`` by default.
        config_file: a TOML file; by default ``$MOORING_CONFIG``, then ``mooring.toml`` in the
            data directory when it is there.

    Raises:
        InvalidSetting: naming the setting, its value's origin and what is wrong; or a fleet's
            variable would set the account of a managed broker.
    """
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    fields = Settings.model_fields
    handed = handover.received() if env is None else None
    if handed is not None:
        whence = {name: Origin(name, "flag" if name in given else "mooring up") for name in fields}
        return Settings(**{**handed, **given}), whence
    env = os.environ if env is None else env

    from_env = _from_environment(env)
    data_dir = Path(given.get("data_dir") or from_env.get("data_dir", (".mooring", ""))[0])
    from_running = running.values(data_dir)
    file = config_file or (Path(env["MOORING_CONFIG"]) if env.get("MOORING_CONFIG") else None)
    if file is None:
        candidate = data_dir / "mooring.toml"
        from_file = read_toml(candidate, fields) if candidate.is_file() else {}
        file = candidate
    else:
        from_file = read_toml(file, fields)

    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, info in fields.items():
        if name in given:
            values[name], where = given[name], "flag"
        elif name in from_running and name in RUNNING_FACTS:
            values[name], where = from_running[name], "mooring up"
        elif name in from_env:
            raw, where = from_env[name]
            values[name] = _split(raw) if info.annotation == tuple[str, ...] else raw
        elif name in from_running:
            values[name], where = from_running[name], "mooring up"
        elif name in from_file:
            values[name], where = from_file[name], str(file)
        else:
            where = "default"
        origins[name] = Origin(name, where)

    try:
        settings = Settings(**values)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = str(first["loc"][0])
        raise InvalidSetting(
            f"The setting {name} ({origins[name].where}) is invalid: {first['msg']}.",
            hint=f"It means: {fields[name].description} Correct it or remove it.",
            setting=name,
        ) from exc
    _check_account(settings, origins)
    return settings, origins


def _check_account(settings: Settings, origins: Mapping[str, Origin]) -> None:
    """A fleet's own variables must not name the account that may do everything.

    ``MQTT_USERNAME`` in an environment is the login of a device or a program there. An attached
    broker has its accounts already, and these variables name Mooring's.
    """
    if settings.broker != "managed":
        return
    for name in ("broker_username", "broker_password"):
        where = origins[name].where
        if where in variable_names(name, Settings.model_fields[name])[1:]:
            raise InvalidSetting(
                f"The variable {where} would set the platform's own account on its broker, which "
                f"has all rights.",
                hint=f"Remove {where} from Mooring's environment, or set "
                f"{ENV_PREFIX}{name.upper()} if you intend that.",
                setting=name,
            )


def _chosen(data_dir: Path) -> str | None:
    """What ``mooring up`` has put in the place of ``auto``; ``None`` before its first start."""
    try:
        return str(json.loads((data_dir / CHOICE_FILE).read_text(encoding="utf-8"))["in_force"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _check_names(env: Mapping[str, str]) -> None:
    """Rejects a misspelt variable: it would count as not set, without a word. Others that
    begin like ours are left alone: Kubernetes makes some for a service of that name."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    for given in sorted(env):
        if given.startswith(ENV_PREFIX) and given not in known and given not in NO_SETTINGS:
            meant = difflib.get_close_matches(given, known, 1, SPELLING)
            if meant:
                raise InvalidSetting(
                    f"The variable {given} is not a setting.",
                    hint=f"Did you mean {meant[0]}? `mooring config show` lists every setting.",
                    setting=given,
                )


def _from_environment(env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting → its raw value and the variable it came from.

    Raises:
        InvalidSetting: a variable is misspelt.
    """
    _check_names(env)
    found: dict[str, tuple[str, str]] = {}
    for name, info in Settings.model_fields.items():
        for variable in variable_names(name, info):
            if env.get(variable, "") != "":
                found[name] = (env[variable], variable)
                break
    return found


def _split(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())
