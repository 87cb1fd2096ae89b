"""The parts of Mooring, and what belongs to the processes themselves.

To add a domain, add its part to ``DOMAINS``. See docs/how-to/add-a-domain.md.
"""

from __future__ import annotations

from mooring.alerts.part import PART as ALERTS
from mooring.broker.part import PART as BROKER
from mooring.commands.part import PART as COMMANDS
from mooring.credentials.part import PART as CREDENTIALS
from mooring.device_settings.part import PART as DEVICE_SETTINGS
from mooring.devices.part import PART as DEVICES
from mooring.discovery.part import PART as DISCOVERY
from mooring.doctor.part import PART as DOCTOR
from mooring.downlink.part import PART as DOWNLINK
from mooring.fleet.part import PART as FLEET
from mooring.groups.part import PART as GROUPS
from mooring.ingest.part import PART as INGEST
from mooring.jobs.part import PART as JOBS
from mooring.later import later
from mooring.limits.part import PART as LIMITS
from mooring.notify.part import PART as NOTIFY
from mooring.oidc.part import PART as OIDC
from mooring.ota.part import PART as OTA
from mooring.part import Part, noun, verb
from mooring.people.part import PART as PEOPLE
from mooring.pki.part import PART as PKI
from mooring.presence.part import PART as PRESENCE
from mooring.publish.part import PART as PUBLISH
from mooring.retention.part import PART as RETENTION
from mooring.rollups.part import PART as ROLLUPS
from mooring.sequences.part import PART as SEQUENCES
from mooring.stream.part import PART as STREAM
from mooring.supervisor.registry import Entry
from mooring.system_topics.part import PART as SYSTEM_TOPICS
from mooring.telemetry.part import PART as TELEMETRY
from mooring.traffic.part import PART as TRAFFIC
from mooring.uplink.part import PART as UPLINK

with later():
    from mooring.settings import platform as settings
    from mooring.store import schema

__all__ = ["DOMAINS", "PARTS", "PLATFORM"]

DOMAINS = (
    DEVICES,
    FLEET,
    LIMITS,
    CREDENTIALS,
    TELEMETRY,
    RETENTION,
    PKI,
    BROKER,
    PEOPLE,
    OIDC,
    DOCTOR,
    DOWNLINK,
    COMMANDS,
    GROUPS,
    DEVICE_SETTINGS,
    JOBS,
    UPLINK,
    INGEST,
    SEQUENCES,
    PUBLISH,
    PRESENCE,
    ROLLUPS,
    DISCOVERY,
    STREAM,
    SYSTEM_TOPICS,
    ALERTS,
    NOTIFY,
    OTA,
    TRAFFIC,
)

PLATFORM = Part(
    "platform",
    tables=lambda: (
        schema.clocks,
        schema.counters,
        schema.leases,
        schema.processes,
        schema.versions,
    ),
    workers=(
        Entry("heartbeat", "up", "reports that the process runs"),
        Entry("log files", "up", "limits the size of log files"),
        Entry("process ingest", "up", "restarts ingest when it ended"),
        Entry("process serve", "up", "restarts the HTTP server when it ended"),
        Entry("process keeper", "up", "restarts the keeper when it ended"),
        Entry("process worker", "up", "starts the worker again when it ended"),
        Entry("process simulate", "up", "restarts the simulated fleet of --demo when it ended"),
        Entry("heartbeat", "serve", "reports that the process runs"),
        Entry("tally", "serve", "writes counters of rejected logins"),
        Entry("dashboard", "serve", "asks for the live values of open pages"),
        Entry("dashboard stream", "serve", "passes messages of devices on to open pages"),
        Entry("dashboard logins", "serve", "ends pages whose session has ended"),
        Entry("dashboard trouble", "serve", "notices what does not answer, for open pages"),
        Entry("heartbeat", "keeper", "reports that the process runs"),
        Entry("heartbeat", "worker", "reports that the process runs"),
        Entry("partitions", "keeper", "creates partitions ahead of time"),
        Entry("checkpoint", "keeper", "moves SQLite's log into the database file"),
    ),
    counters=("dashboard_rows_dropped", "dashboard_tabs_rejected"),
    settings=lambda: settings.PlatformSettings,
    nouns=(
        noun("dialect"),
        noun("clock"),
        noun("config"),
        noun("db"),
        verb("up", "runtime"),
        verb("serve", "runtime"),
        verb("keeper", "runtime"),
        verb("worker", "runtime"),
        verb("backup"),
        verb("restore", "backup"),
        verb("status"),
        verb("simulate"),
    ),
)
"""What is not a domain's: the processes, the database, the dialects."""

PARTS = (*DOMAINS, PLATFORM)
