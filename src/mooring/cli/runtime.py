"""``mooring up`` and the processes it runs: ``serve``, ``ingest``, ``keeper``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mooring.cli.frame import Session, command, verbs
from mooring.later import later

with later():
    from mooring.run import ingest as run_ingest
    from mooring.run import keeper as run_keeper
    from mooring.run import serve as run_serve
    from mooring.run import up as run_up

__all__ = ["app"]

app = verbs()


class AuthMode(StrEnum):
    """How the broker is told who may connect."""

    AUTO = "auto"
    PLUGIN = "plugin"
    DYNAMIC_SECURITY = "dynamic_security"
    PASSWORD_FILE = "password_file"  # noqa: S105 - a mode's name


class LogLevel(StrEnum):
    """What is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


HttpHost = Annotated[
    str | None, typer.Option("--http-host", help="Address the HTTP server listens on.")
]
HttpPort = Annotated[
    int | None, typer.Option("--http-port", min=1, max=65535, help="Port of the HTTP server.")
]
MqttPort = Annotated[
    int | None, typer.Option("--mqtt-port", min=1, max=65535, help="Port of plain MQTT, loopback.")
]
Logging = Annotated[LogLevel | None, typer.Option("--log-level", help="What is logged.")]


@command(app)
def up(
    session: Session,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="With a small made-up fleet.")] = False,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    mqtt_port: MqttPort = None,
    mqtt_tls_port: Annotated[
        int | None, typer.Option("--mqtt-tls-port", min=1, max=65535, help="Port of MQTT over TLS.")
    ] = None,
    mqtt_mtls_port: Annotated[
        int | None,
        typer.Option(
            "--mqtt-mtls-port", min=0, max=65535, help="Port for device certificates; 0: closed."
        ),
    ] = None,
    mqtt_ws_port: Annotated[
        int | None,
        typer.Option("--mqtt-ws-port", min=1, max=65535, help="Port of MQTT over WebSocket."),
    ] = None,
    public_host: Annotated[
        list[str] | None,
        typer.Option(
            "--public-host", help="A name or address devices reach it by; may be repeated."
        ),
    ] = None,
    auth_mode: Annotated[
        AuthMode | None, typer.Option("--auth-mode", help="How the broker knows who may connect.")
    ] = None,
    log_level: Logging = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> int | None:
    """Run everything: broker, ingest, HTTP; until Ctrl-C."""
    settings, _ = session.settings(
        http_host=http_host,
        http_port=http_port,
        mqtt_port=mqtt_port,
        mqtt_tls_port=mqtt_tls_port,
        mqtt_mtls_port=mqtt_mtls_port,
        mqtt_ws_port=mqtt_ws_port,
        public_hosts=tuple(public_host or ()),
        auth_mode=auth_mode,
        log_level=log_level,
    )
    return run_up.main(settings, demo=demo, quiet=quiet)


@command(app)
def serve(
    session: Session,
    *,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    log_level: Logging = None,
) -> None:
    """Run the HTTP server alone."""
    with session.open(http_host=http_host, http_port=http_port, log_level=log_level) as platform:
        run_serve.main(platform)


@command(app)
def ingest(session: Session, *, mqtt_port: MqttPort = None, log_level: Logging = None) -> None:
    """Run ingest alone: messages from the broker into the database."""
    with session.open(mqtt_port=mqtt_port, log_level=log_level) as platform:
        run_ingest.main(platform)


@command(app)
def keeper(session: Session, *, mqtt_port: MqttPort = None, log_level: Logging = None) -> None:
    """Run the keeper alone: it works out roll-ups and drops what is too old."""
    with session.open(mqtt_port=mqtt_port, log_level=log_level) as platform:
        run_keeper.main(platform)
