"""What keeps each table from growing indefinitely: pure, one row a table.

docs/reference/limits.md shows this table, and a test compares both with the schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BOUNDS", "Bound", "By"]


class By(StrEnum):
    """The way in which a table is bounded."""

    RETENTION = "retention"  # rows older than a term are deleted
    SWEEP = "sweep"  # the keeper deletes rows beyond a number, or that nothing needs any more
    REFUSED = "rejected"  # one more is rejected with ``limit_reached``
    OWNER = "owner"  # a fixed number of rows for each row of another table, removed with it
    FIXED = "fixed"  # as many rows as the program or the dialects have names


@dataclass(frozen=True, slots=True)
class Bound:
    """How one table is bounded.

    Attributes:
        table: its name.
        by: the way.
        limits: settings, or tables that own the rows.
        rule: one sentence for the documentation.
    """

    table: str
    by: By
    limits: tuple[str, ...]
    rule: str


def _row(table: str, by: By, limits: str, rule: str) -> Bound:
    return Bound(table, by, tuple(limits.split()), rule)


BOUNDS = (
    # Created by people
    _row("tenants", By.REFUSED, "tenants_max", "One more is rejected."),
    _row("devices", By.REFUSED, "devices_max_per_tenant", "One more in the tenant is rejected."),
    _row("users", By.REFUSED, "users_max_per_tenant", "One more in the tenant is rejected."),
    _row(
        "api_keys",
        By.REFUSED,
        "api_keys_max_per_tenant",
        "One more valid key is rejected. "
        "Revoked and expired keys are deleted after `records_days`.",
    ),
    _row("broker_users", By.REFUSED, "broker_users_max", "One more is rejected."),
    _row(
        "claim_codes",
        By.REFUSED,
        "claim_codes_max_per_tenant",
        "One more open code is "
        "rejected. Used, revoked and expired codes are deleted after `records_days`.",
    ),
    _row(
        "certificates",
        By.REFUSED,
        "certificates_max_per_device",
        "One more that has not "
        "expired is rejected. Expired certificates are deleted after `records_days`.",
    ),
    _row(
        "sessions",
        By.OWNER,
        "users login_days",
        "At most `mooring.people.store.SESSIONS_MAX` rows for each user; every login deletes "
        "those that have expired.",
    ),
    _row(
        "saved_views",
        By.REFUSED,
        "saved_views_max_per_user",
        "One more of a person is rejected. Deleted with the person.",
    ),
    _row("retention", By.OWNER, "tenants", "At most one rule for each tenant and kind."),
    # Belonging to a device
    _row(
        "device_keys",
        By.REFUSED,
        "device_keys_max_per_device",
        "One more of the device is rejected.",
    ),
    _row("credentials", By.OWNER, "devices", "One row for each device."),
    _row("groups", By.REFUSED, "groups_max_per_tenant", "One more in the tenant is rejected."),
    _row(
        "device_groups",
        By.OWNER,
        "devices groups",
        "At most `mooring.devices.service.GROUPS_MAX` rows for each device.",
    ),
    _row(
        "device_attributes",
        By.OWNER,
        "devices attributes_max_per_device",
        "For each device at most `attributes_max_per_device` free attributes, "
        "`mooring.devices.attributes.rules.TAGS_MAX` tags and five others.",
    ),
    _row(
        "downlinks",
        By.REFUSED,
        "downlinks_max_per_device downlinks_max_per_tenant downlinks_kept_per_device",
        "One more open downlink is rejected. Finished ones are deleted after `records_days`; of "
        "each device at most `downlinks_kept_per_device` are kept.",
    ),
    _row(
        "commands",
        By.REFUSED,
        "commands_max_per_device commands_max_per_tenant commands_kept_per_device",
        "One more open command is rejected. Finished ones are deleted after `records_days`; of "
        "each device at most `commands_kept_per_device` are kept.",
    ),
    _row(
        "jobs",
        By.REFUSED,
        "jobs_max_per_tenant jobs_kept_per_tenant",
        "One more open job of the tenant is rejected. Finished ones are deleted after "
        "`records_days`; of each tenant at most `jobs_kept_per_tenant` are kept.",
    ),
    _row("firmware_rollouts", By.OWNER, "jobs", "At most one row for each job."),
    _row(
        "job_targets",
        By.OWNER,
        "jobs job_targets_max",
        "At most `job_targets_max` rows for each job; a larger job is cancelled.",
    ),
    _row(
        "alerts",
        By.SWEEP,
        "alerts_open_max_per_device alerts_open_max_per_tenant alerts_kept_per_device records_days",
        "One more open alert is counted and not raised. Cleared ones are deleted after "
        "`records_days`; of each device at most `alerts_kept_per_device` are kept. The open ones "
        "of a removed device are cleared, and kept for `records_days`.",
    ),
    _row(
        "alert_history",
        By.OWNER,
        "alerts",
        "At most twice `mooring.alerts.model.HISTORY_MAX` rows for each alert.",
    ),
    _row("rules", By.REFUSED, "rules_max_per_tenant", "One more in the tenant is rejected."),
    _row("rule_states", By.OWNER, "rules devices", "At most one row for each rule and device."),
    _row(
        "rule_queue",
        By.OWNER,
        "messages",
        "One row for each batch while there are rules, until it is evaluated.",
    ),
    _row(
        "recipients",
        By.REFUSED,
        "recipients_max_per_tenant",
        "One more in the tenant is rejected.",
    ),
    _row(
        "notification_items",
        By.OWNER,
        "recipients alerts",
        "At most one row for each recipient and alert.",
    ),
    _row(
        "notifications",
        By.OWNER,
        "recipients notifications_waiting_max_per_recipient notifications_kept_per_recipient",
        "With `notifications_waiting_max_per_recipient` waiting ones no further one is made. Of "
        "each recipient at most `notifications_kept_per_recipient` finished ones are kept.",
    ),
    _row(
        "desired",
        By.REFUSED,
        "desired_max_per_device",
        "One more document of the device is rejected. Of topics without a device one document for "
        "each system topic, and `mooring.system_topics.worker.GROUPS_MAX` for groups.",
    ),
    _row(
        "device_settings",
        By.OWNER,
        "devices device_settings_max_bytes",
        "At most one row for each device.",
    ),
    _row(
        "device_settings_history",
        By.OWNER,
        "devices device_settings_versions_kept",
        "The newest `device_settings_versions_kept` versions of each device; each new version "
        "deletes an older one.",
    ),
    _row(
        "device_settings_levels",
        By.REFUSED,
        "device_settings_levels_max_per_tenant devices",
        "One more of a tenant is rejected. At most one row for each device.",
    ),
    _row("device_settings_progress", By.FIXED, "", "One row."),
    _row(
        "device_changes",
        By.SWEEP,
        "",
        "The newest `mooring.devices.changes.CHANGES_KEPT`; each change deletes an older one.",
    ),
    _row("device_limits", By.OWNER, "devices", "At most one row for each device."),
    _row("limit_disconnects", By.OWNER, "devices", "At most one row for each device."),
    _row("tenant_limits", By.OWNER, "tenants", "At most one row for each tenant."),
    _row("tenant_usage", By.OWNER, "tenants", "One row for each tenant."),
    _row(
        "tenant_usage_days",
        By.OWNER,
        "messages",
        "At most one row for each tenant and day of which it has messages.",
    ),
    _row("tenant_dead_letters", By.OWNER, "dead_letters", "One row for each tenant."),
    _row(
        "removed_devices",
        By.OWNER,
        "messages",
        "One row for each removed device until its messages are gone.",
    ),
    _row("device_state", By.OWNER, "devices", "One row for each device."),
    _row("presence", By.OWNER, "devices", "One row for each device."),
    _row(
        "presence_changes",
        By.OWNER,
        "devices",
        "The newest `mooring.presence.states.store.HISTORY_MAX` for each device; each change "
        "deletes an older one.",
    ),
    _row(
        "firmware_changes",
        By.OWNER,
        "devices",
        "The newest `mooring.presence.firmware_store.VERSIONS_MAX` for each device; each change "
        "deletes an older one.",
    ),
    _row("presence_marks", By.FIXED, "", "One row for each kind of evidence."),
    _row("latest", By.OWNER, "devices channels", "One row for each device and channel."),
    _row(
        "sequences",
        By.OWNER,
        "devices",
        "One row for each device, with at most `mooring.sequences.numbers.RANGES_MAX` ranges.",
    ),
    _row("sightings", By.OWNER, "devices", "One row for each username."),
    _row(
        "device_metrics",
        By.OWNER,
        "devices metrics_max_per_device",
        "At most "
        "`metrics_max_per_device` rows for each device. Rows of a removed device are deleted "
        "with its last roll-up.",
    ),
    _row("metrics_refused", By.OWNER, "devices", "One row for each device."),
    _row(
        "metrics",
        By.SWEEP,
        "metrics_max_per_device",
        "Names that no device has any more are deleted.",
    ),
    _row(
        "former_verifiers",
        By.SWEEP,
        "recover_days",
        "Deleted after `recover_days`; at most "
        "`mooring.retention.tidy.FORMER_MAX` for each device.",
    ),
    _row(
        "rotations",
        By.SWEEP,
        "records_days",
        "Finished rotations are deleted after "
        "`records_days`; at most `mooring.retention.tidy.ROTATIONS_MAX` for each device.",
    ),
    # What devices send
    _row("messages", By.RETENTION, "retention_days", "Older messages are deleted."),
    _row("message_numbers", By.RETENTION, "retention_days", "Deleted with their messages."),
    _row(
        "rollups",
        By.RETENTION,
        "retention_minutes_days retention_rollups_days",
        "Older roll-ups are deleted.",
    ),
    _row("rollup_open", By.OWNER, "rollups", "Hours and days without a row of their own yet."),
    _row("rollup_queue", By.OWNER, "messages", "One row for each batch, until it is rolled up."),
    _row("rollup_state", By.FIXED, "", "One row."),
    _row(
        "dead_letters",
        By.SWEEP,
        "dead_letters_max dead_letters_max_per_device dead_letters_max_bytes",
        "The oldest are deleted, those of the same device first.",
    ),
    _row(
        "strangers",
        By.SWEEP,
        "discovery_max_per_tenant strangers_max",
        "The oldest of a tenant are deleted, those that only tried to log in first. At most twice "
        "as many are added until then. Of tenants that do not exist `strangers_max` are listed.",
    ),
    _row(
        "discovery_decisions",
        By.SWEEP,
        "discovery_max_per_tenant claim_codes_max_per_tenant",
        "Deleted when they end. The oldest refusals of a tenant are deleted; one acceptance for "
        "each open claim code.",
    ),
    _row(
        "firmware_releases",
        By.REFUSED,
        "firmware_releases_max_per_tenant",
        "One more of a tenant is rejected.",
    ),
    _row(
        "firmware_artifacts",
        By.REFUSED,
        "firmware_releases_max_per_tenant firmware_bytes_per_tenant",
        "At most `mooring.ota.releases.service.ARTIFACTS_MAX` rows for each release; more bytes "
        "of a tenant are rejected.",
    ),
    _row(
        "firmware_signatures",
        By.OWNER,
        "firmware_artifacts firmware_keys",
        "At most one row for each file and key.",
    ),
    _row(
        "firmware_updates",
        By.REFUSED,
        "firmware_updates_max_per_tenant firmware_updates_kept_per_device",
        "One more open update of a tenant is rejected. Finished ones are deleted after "
        "`records_days`; of each device at most `firmware_updates_kept_per_device` are kept.",
    ),
    _row(
        "firmware_keys",
        By.OWNER,
        "tenants",
        "At most `mooring.ota.releases.key_store.KEYS_MAX` rows for each tenant; one more is "
        "rejected.",
    ),
    _row(
        "firmware_links",
        By.OWNER,
        "devices",
        "At most `mooring.ota.links.service.LINKS_MAX` rows for each update of a device; deleted "
        "30 days after they expire.",
    ),
    _row(
        "firmware_latest",
        By.FIXED,
        "",
        "At most one row for each topic that dialects declare, and "
        "`mooring.ota.latest.store.KEPT_MAX` that are over.",
    ),
    _row("ddi_controllers", By.OWNER, "devices", "At most one row for each device."),
    _row(
        "discovery_rules",
        By.REFUSED,
        "discovery_rules_max_per_tenant",
        "One more of a tenant is rejected.",
    ),
    _row("channels", By.FIXED, "", "One row for each channel a dialect has declared."),
    # Kept by the platform about itself
    _row(
        "audit",
        By.SWEEP,
        "audit_max audit_failures_max",
        "The oldest are deleted. Failed "
        "logins have a share of their own, so that they displace nothing else.",
    ),
    _row("broker_events", By.SWEEP, "broker_events_max", "The oldest are deleted."),
    _row("broker_requests", By.SWEEP, "records_days", "Finished requests are deleted after a day."),
    _row(
        "broker_changes",
        By.OWNER,
        "devices broker_users",
        "At most two pending changes for each username.",
    ),
    _row(
        "leftovers",
        By.OWNER,
        "broker_changes",
        "One row for each removed login until the broker was cleared of what it left.",
    ),
    _row(
        "ingest_ledger",
        By.SWEEP,
        "ingest_in_flight",
        "Old batches are deleted with new ones; "
        "those of a client ID that has not been used for a week, too.",
    ),
    _row(
        "ingest_attempts",
        By.SWEEP,
        "ingest_in_flight",
        "One row for each client ID of ingest; deleted with its ledger.",
    ),
    _row(
        "ingest_filters",
        By.FIXED,
        "",
        "One row for each topic filter of the dialects, and for "
        "`mooring.ingest.filters.OTHERS_MAX` of broker users.",
    ),
    _row("processes", By.SWEEP, "", "Processes that have not reported for a week are deleted."),
    _row("clocks", By.SWEEP, "", "One row for each boot of a machine: the latest 32."),
    _row("leases", By.FIXED, "", "One row for each kind of work."),
    _row(
        "traffic",
        By.SWEEP,
        "",
        "One row for each minute of `mooring.traffic.service.MINUTES_KEPT_MS`, then one for each "
        "hour of `HOURS_KEPT_MS`.",
    ),
    _row("counters", By.FIXED, "", "One row for each counter."),
    _row("versions", By.FIXED, "", "One row for each kind of thing that caches follow."),
    _row("retention_progress", By.FIXED, "", "One row for each number of days in use."),
)
