"""The part broker: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "broker",
    tables=lambda: (
        schema.broker_users,
        schema.broker_changes,
        schema.broker_requests,
        schema.leftovers,
    ),
    workers=(
        Entry("changes", "up", "applies committed changes to the broker and compares accounts"),
        Entry("guard", "up", "stops the broker if this process was killed and is not restarted"),
        Entry("broker", "up", "restarts the broker when it ended"),
        Entry("connections", "up", "counts the connections to the broker"),
    ),
    settings=(
        "mqtt_host",
        "mqtt_port",
        "mqtt_tls_host",
        "mqtt_tls_port",
        "mqtt_mtls_port",
        "mqtt_ws_port",
        "mqtt_ws_host",
        "mqtt_ws_origins",
        "broker",
        "mosquitto",
        "dynamic_security_library",
        "auth_mode",
        "authority_library",
        "password_file",
        "reload_debounce_seconds",
        "reload_command",
        "broker_url",
        "broker_username",
        "broker_password",
        "broker_default_role",
        "broker_compare_seconds",
        "broker_users_max",
        "max_connections",
        "broker_login_seconds",
        "max_inflight_messages",
        "max_queued_messages",
        "broker_orphan_seconds",
        "message_size_limit",
        "client_ids",
        "broker_session_days",
    ),
    nouns=(noun("broker"),),
)
