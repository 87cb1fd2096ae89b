"""``mooring up`` and the processes it runs: ``serve``, ``ingest``, ``keeper``, ``worker``."""

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
    from mooring.run import worker as run_worker

__all__ = ["app"]

app = verbs()


class AuthMode(StrEnum):
    """Authority that decides which devices the broker accepts."""

    AUTO = "auto"
    PLUGIN = "plugin"
    DYNAMIC_SECURITY = "dynamic_security"
    PASSWORD_FILE = "password_file"  # noqa: S105 - a mode's name


class LogLevel(StrEnum):
    """Log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


HttpHost = Annotated[str | None, typer.Option("--http-host", help="Address of the HTTP server.")]
HttpPort = Annotated[
    int | None, typer.Option("--http-port", min=1, max=65535, help="Port of the HTTP server.")
]
MqttPort = Annotated[
    int | None,
    typer.Option("--mqtt-port", min=1, max=65535, help="Port of plain MQTT on loopback."),
]
Logging = Annotated[LogLevel | None, typer.Option("--log-level", help="Log level.")]


@command(app)
def up(
    session: Session,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Run with a small simulated fleet.")] = False,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    mqtt_port: MqttPort = None,
    mqtt_tls_port: Annotated[
        int | None, typer.Option("--mqtt-tls-port", min=1, max=65535, help="Port of MQTT over TLS.")
    ] = None,
    mqtt_mtls_port: Annotated[
        int | None,
        typer.Option(
            "--mqtt-mtls-port", min=0, max=65535, help="Port for device certificates. 0 closes it."
        ),
    ] = None,
    mqtt_ws_port: Annotated[
        int | None,
        typer.Option("--mqtt-ws-port", min=1, max=65535, help="Port of MQTT over WebSocket."),
    ] = None,
    public_host: Annotated[
        list[str] | None,
        typer.Option(
            "--public-host", help="Host name or address that devices connect to. May be repeated."
        ),
    ] = None,
    auth_mode: Annotated[
        AuthMode | None,
        typer.Option(
            "--auth-mode", help="Authority that decides which devices the broker accepts."
        ),
    ] = None,
    log_level: Logging = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> int | None:
    """Run broker, ingest, HTTP and keeper until Ctrl-C."""
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
    """Run only the HTTP server."""
    with session.open(http_host=http_host, http_port=http_port, log_level=log_level) as platform:
        run_serve.main(platform)


@command(app)
def ingest(session: Session, *, mqtt_port: MqttPort = None, log_level: Logging = None) -> None:
    """Run only ingest. It stores messages from the broker in the database."""
    with session.open(mqtt_port=mqtt_port, log_level=log_level) as platform:
        run_ingest.main(platform)


@command(app)
def keeper(session: Session, *, mqtt_port: MqttPort = None, log_level: Logging = None) -> None:
    """Run only the keeper. It computes roll-ups and deletes expired messages."""
    with session.open(mqtt_port=mqtt_port, log_level=log_level) as platform:
        run_keeper.main(platform)


@command(app)
def worker(session: Session, *, mqtt_port: MqttPort = None, log_level: Logging = None) -> None:
    """Run only a worker. It sends messages to devices and rotates passwords."""
    with session.open(mqtt_port=mqtt_port, log_level=log_level) as platform:
        run_worker.main(platform)
