"""Settings of the broker, and of what listens where."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mooring.settings.checks import bare, origins
from mooring.settings.field import Declared, Secret, setting

__all__ = ["BrokerSettings"]


class BrokerSettings(Declared):
    """Units are in the names or descriptions."""

    mqtt_host: str = setting("127.0.0.1", "Address of the broker for platform and CLI.", check=bare)
    mqtt_port: int = setting(1883, "Port of plain MQTT, on loopback only.", ge=1, le=65535)
    mqtt_tls_host: str = setting(
        "0.0.0.0",  # noqa: S104 - TLS and passwords guard it
        "Address of the TLS listeners. :: is every address, IPv4 and IPv6.",
        check=bare,
    )
    mqtt_tls_port: int = setting(8883, "Port of MQTT over TLS, with passwords.", ge=1, le=65535)
    mqtt_mtls_port: int = setting(
        0, "Port of MQTT over TLS for client certificates. 0 closes it.", ge=0, le=65535
    )
    mqtt_ws_port: int = setting(9001, "MQTT over WebSocket.", ge=1, le=65535)
    mqtt_ws_host: str = setting(
        "127.0.0.1",
        "Address of the WebSocket listener. It uses TLS unless on loopback.",
        check=bare,
    )
    mqtt_ws_origins: tuple[str, ...] = setting(
        (),
        "Web pages (https://host) that may open MQTT over WebSocket, with Mosquitto 2.1. Empty: "
        "any page that has a device's password.",
        check=origins,
    )
    broker: Literal["managed", "attached"] = setting(
        "managed", "managed: `mooring up` runs Mosquitto; attached: it runs elsewhere."
    )
    mosquitto: Path | None = setting(None, "The mosquitto program. Empty: found automatically.")
    dynamic_security_library: Path | None = setting(
        None, "Path of its Dynamic Security library. Empty: searched next to the program first."
    )
    auth_mode: Literal["auto", "plugin", "dynamic_security", "password_file"] = setting(
        "auto",
        "Authority that decides which devices the broker accepts. auto: Mooring's own plugin if "
        "the broker loads it, otherwise Dynamic Security; a data directory keeps its authority.",
        "MQTT_AUTH_MODE",
    )
    authority_library: Path | None = setting(
        None, "Path of the library of Mooring's own plugin. Empty: the included one."
    )
    password_file: Path | None = setting(
        None, "Mosquitto's password file. Default: in the data directory.", "MQTT_PASSWD_FILE"
    )
    reload_debounce_seconds: float = setting(
        2.0, "Password file: time in which changes are collected for one reload.", ge=0, le=60
    )
    reload_command: str | None = setting(
        None, "Password file: command that reloads an attached broker. Empty: SIGHUP to its pid."
    )
    broker_url: str | None = setting(
        None,
        "An attached broker's URL, mqtt:// or mqtts://.",
        "MQTT_DYNSEC_BROKER_URL",
        "MQTT_BROKER_URL",
    )
    broker_username: str = setting(
        "service:mooring",
        "The platform's own account on the broker.",
        "MQTT_DYNSEC_ADMIN_USER",
        "MQTT_USERNAME",
    )
    broker_password: Secret | None = setting(
        None,
        "Password of that account. Generated for a managed broker.",
        "MQTT_DYNSEC_ADMIN_PASS",
        "MQTT_PASSWORD",
    )
    broker_default_role: str = setting(
        "device", "Dynamic Security role of every device.", "MQTT_DYNSEC_DEFAULT_ROLE"
    )
    broker_compare_seconds: float = setting(
        300.0, "Interval between complete comparisons with the broker.", gt=0
    )
    broker_users_max: int = setting(10_000, "Maximum broker users.", ge=1)
    max_connections: int = setting(1000, "Maximum clients per listener. -1: no limit.", ge=-1)
    broker_login_seconds: float = setting(
        30.0, "Time in which a connection to the broker must log in.", ge=1
    )
    max_inflight_messages: int = setting(
        100, "Maximum unacknowledged messages to one MQTT 3.1.1 client.", ge=1, le=65535
    )
    max_queued_messages: int = setting(
        1_000_000,
        "Maximum messages that the broker queues for one disconnected client, including ingest.",
        ge=1,
    )
    broker_orphan_seconds: float = setting(
        600.0, "How long the broker keeps running after `mooring up` was killed.", ge=0
    )
    message_size_limit: int = setting(1_048_576, "Maximum payload size in bytes.", ge=1)
    client_ids: Literal["auto", "username", "own"] = setting(
        "auto",
        "username: the broker uses a client's username as its client id; own: the broker uses "
        "the client id that the client sends; auto: own with Mooring's plugin or an attached "
        "broker, else username.",
    )
    broker_session_days: int = setting(
        30,
        "Days after which the broker deletes the session of a disconnected client. With "
        "Mosquitto 2.0 and without the plugin it keeps the one session that an account can have.",
        ge=8,
        le=3650,
    )
