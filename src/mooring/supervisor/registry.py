"""Every worker there is, by the process it runs in. A test injects a fault into each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WORKERS", "Entry", "names"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A worker: its name, the role of its process, and what it does."""

    name: str
    role: str
    does: str


WORKERS = (
    Entry("heartbeat", "up", "reports that the process runs"),
    Entry("changes", "up", "applies committed changes to the broker and compares accounts"),
    Entry("guard", "up", "stops the broker when this process was killed and does not come back"),
    Entry("broker", "up", "starts a broker again that ended"),
    Entry("broker log", "up", "reads the broker's log"),
    Entry("evidence", "up", "records what the authority plugin reports"),
    Entry("attention", "up", "switches the broker's packet log on and off"),
    Entry("connections", "up", "counts the connections to the broker"),
    Entry("rotations", "up", "carries password rotations through"),
    Entry("certificates", "up", "keeps certificates, revocations and sessions in line"),
    Entry("log files", "up", "limits the size of log files"),
    Entry("process ingest", "up", "starts ingest again when it ended"),
    Entry("process serve", "up", "starts the HTTP server again when it ended"),
    Entry("process keeper", "up", "starts the keeper again when it ended"),
    Entry("process simulate", "up", "starts the simulated fleet of --demo again when it ended"),
    Entry("heartbeat", "ingest", "reports that the process runs"),
    Entry("dialects", "ingest", "follows changes of devices and dialects"),
    Entry("subscriptions", "ingest", "subscribes to the topics of changed dialects"),
    Entry("gaps", "ingest", "asks devices for missing numbers"),
    Entry("heartbeat", "serve", "reports that the process runs"),
    Entry("former session", "ingest", "stores what a session of an older version queued"),
    Entry("publisher", "serve", "keeps the connection on which commands are sent"),
    Entry("tally", "serve", "writes counters of rejected logins"),
    Entry("heartbeat", "keeper", "reports that the process runs"),
    Entry("partitions", "keeper", "creates partitions ahead of time"),
    Entry("roll-ups", "keeper", "works out roll-ups"),
    Entry("retention", "keeper", "deletes what is older than its retention period"),
    Entry("tidying", "keeper", "deletes records that nothing needs any more"),
    Entry("checkpoint", "keeper", "moves SQLite's log into the database file"),
)


def names(role: str) -> frozenset[str]:
    """The workers of one role."""
    return frozenset(entry.name for entry in WORKERS if entry.role == role)
