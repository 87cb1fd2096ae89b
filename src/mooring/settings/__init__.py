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
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from mooring import handover, running
from mooring.errors import InvalidSetting
from mooring.settings.alerts import AlertSettings
from mooring.settings.broker import BrokerSettings
from mooring.settings.checks import is_loopback
from mooring.settings.commands import CommandSettings
from mooring.settings.credentials import CredentialSettings
from mooring.settings.device_settings import DeviceSettingsSettings
from mooring.settings.devices import DeviceSettings
from mooring.settings.discovery import DiscoverySettings
from mooring.settings.downlinks import DownlinkSettings
from mooring.settings.field import InvalidValue, Setting
from mooring.settings.file import read_toml
from mooring.settings.firmware import FirmwareSettings
from mooring.settings.groups import GroupSettings
from mooring.settings.ingest import IngestSettings
from mooring.settings.jobs import JobSettings
from mooring.settings.limits import DEVICE_BYTES_PER_SECOND, LimitSettings
from mooring.settings.notify import NotifySettings
from mooring.settings.oidc import OidcSettings
from mooring.settings.people import PeopleSettings
from mooring.settings.pki import PkiSettings
from mooring.settings.platform import PlatformSettings
from mooring.settings.presence import PresenceSettings
from mooring.settings.retention import RetentionSettings
from mooring.settings.rollups import RollupSettings
from mooring.settings.sequences import SequenceSettings
from mooring.settings.stream import StreamSettings
from mooring.settings.system_topics import SystemTopicSettings

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

NO_SETTINGS = frozenset(
    f"MOORING_{name}" for name in ("CONFIG", "URL", "STORE", "PLAIN_HTTP", "KEY_FILE", "AUDIENCE")
)
"""Variables that begin like settings: where the file is, and the device SDK's."""

SPELLING = 0.9  # how alike two names are of which one is taken for the other misspelt

SOCKET_PATH_BYTES = 100
"""Longer paths are not valid for Unix sockets: 104 bytes on macOS, 108 on Linux."""

RUNNING_FACTS = frozenset({"auth_mode"})
"""What a running platform may change by itself: what it says then wins over the environment."""


CHOICE_FILE = Path("broker", "authority.json")
"""In the data directory: which authority was chosen for it, and why."""


class Settings(
    RetentionSettings,
    CredentialSettings,
    PeopleSettings,
    OidcSettings,
    DeviceSettings,
    RollupSettings,
    PresenceSettings,
    SequenceSettings,
    StreamSettings,
    IngestSettings,
    PkiSettings,
    LimitSettings,
    BrokerSettings,
    PlatformSettings,
    DownlinkSettings,
    CommandSettings,
    GroupSettings,
    DeviceSettingsSettings,
    DiscoverySettings,
    JobSettings,
    SystemTopicSettings,
    AlertSettings,
    NotifySettings,
    FirmwareSettings,
):
    """The effective settings of one process. Units are in the names or descriptions."""

    @property
    def device_bytes_in_force(self) -> int:
        """Bytes a second that one device may publish without a limit of its own; 0: no limit."""
        if self.device_bytes_per_second is not None:
            return self.device_bytes_per_second
        return DEVICE_BYTES_PER_SECOND if self.authority == "plugin" else 0

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
        """Absolute: the broker may run with another working directory."""
        return (self.data_dir / "broker").absolute()

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
        place = self.broker_dir / "platform.sock"
        if len(os.fsencode(place)) <= SOCKET_PATH_BYTES:
            return place
        name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        return Path(f"/tmp/mooring-{os.getuid()}-{name}/platform.sock")  # noqa: S108 - see make

    @property
    def dialects_dir(self) -> Path:
        return self.data_dir / "dialects"

    @property
    def firmware_dir(self) -> Path:
        """Where files of firmware releases are."""
        return self.artifacts_dir or self.data_dir / "artifacts"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one effective value came from: ``flag``, a variable's name, a file, ``default``."""

    name: str
    where: str


def variable_names(name: str, field: Setting) -> tuple[str, ...]:
    """The environment variables of a setting, the first one wins."""
    return (ENV_PREFIX + name.upper(), *field.aliases)


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
    except InvalidValue as exc:
        if exc.name not in fields:
            raise
        raise InvalidSetting(
            f"The setting {exc.name} ({origins[exc.name].where}) is invalid: {exc.problem}.",
            hint=f"It means: {fields[exc.name].description} Correct it or remove it.",
            setting=exc.name,
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
