"""Settings of ingest, payloads and dead letters."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["IngestSettings"]


class IngestSettings(Declared):
    """Units are in the names or descriptions."""

    ingest_client_id: str | None = setting(
        None, "MQTT client id of ingest's session. Empty: random, stored in secrets.json."
    )
    ingest_in_flight: int = setting(
        8000, "Maximum messages that ingest has not acknowledged to the broker.", ge=1, le=65535
    )
    ingest_batch_max: int = setting(5000, "Maximum messages in one transaction.", ge=1)
    ingest_linger_ms: float = setting(
        5.0, "How long a busy ingest waits for a larger batch.", ge=0, le=1000
    )
    payload_max_bytes: int = setting(
        262_144, "Maximum size. A larger payload becomes a dead letter.", ge=1
    )
    payload_max_depth: int = setting(
        32, "Maximum nesting. A deeper payload becomes a dead letter.", ge=1
    )
    payload_max_metrics: int = setting(256, "Maximum readings in one message.", ge=1)
    dead_letter_max_bytes: int = setting(65_536, "Bytes of an invalid payload that are kept.", ge=0)
    dead_letters_max: int = setting(
        1_000_000, "Dead letters kept. The oldest are deleted first.", ge=1
    )
    dead_letters_max_per_device: int = setting(
        1_000, "Maximum dead letters of one device. Its oldest are deleted first.", ge=1
    )
    dead_letters_max_bytes: int = setting(
        1_073_741_824, "Maximum total size of the payloads of all dead letters.", ge=1
    )
    strangers_max: int = setting(
        10_000, "Unknown devices listed of tenants that do not exist.", ge=1
    )
