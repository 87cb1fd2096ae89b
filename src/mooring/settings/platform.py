"""Settings of the processes: where things are, HTTP, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mooring.settings.checks import all_bare, bare, networks, safe_url, tiles
from mooring.settings.field import Declared, Secret, setting

__all__ = ["PlatformSettings"]


class PlatformSettings(Declared):
    """Units are in the names or descriptions."""

    data_dir: Path = setting(Path(".mooring"), "Data directory.")
    database_url: Secret | None = setting(
        None, "SQLAlchemy URL of the database. Empty: SQLite in the data directory."
    )
    http_host: str = setting(
        "127.0.0.1", "Address of the HTTP server. :: is every address, IPv4 and IPv6.", check=bare
    )
    http_port: int = setting(8080, "Port of REST, WebSocket and dashboard.", ge=1, le=65535)
    http_connections_max: int = setting(
        1000, "Maximum open HTTP connections. An idle connection is closed for a new one.", ge=1
    )
    http_connections_max_per_address: int = setting(
        100, "Maximum open HTTP connections from one address. Trusted proxies are exempt.", ge=1
    )
    http_url: str | None = setting(
        None,
        "The https:// URL of HTTP for devices. Devices get it; without it they get only a "
        "loopback address.",
        check=safe_url,
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Addresses and networks of reverse proxies whose X-Forwarded-For is trusted. None by "
        "default.",
        check=networks,
    )
    public_hosts: tuple[str, ...] = setting(
        (),
        "Host names and addresses that devices connect to. Devices get the first one.",
        check=all_bare,
    )
    map_tiles_url: str | None = setting(
        None,
        "Address of pictures of the map, with {z}, {x} and {y}. Browsers load them from there. "
        "Empty: a coastline of our own.",
        check=tiles,
    )
    map_tiles_credit: str = setting("", "Text below the map that names the source of its tiles.")
    log_max_bytes: int = setting(
        67_108_864,
        "Size in bytes at which a log file is rotated. One older file is kept.",
        ge=65_536,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "Log level.")
