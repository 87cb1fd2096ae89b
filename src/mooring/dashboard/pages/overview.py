"""Overview: is everything well, and what first?"""

from __future__ import annotations

import shutil
from typing import Any

from mooring.alerts.service import Alerts
from mooring.dashboard.call import Call
from mooring.dashboard.data import trouble
from mooring.dashboard.data.attention import Platform, of_trouble, why
from mooring.dashboard.data.passing import passing
from mooring.dashboard.page import Action, Nav, Page, Shown
from mooring.dashboard.pages.first_device import shown as first_device
from mooring.device_settings.service import DeviceSettings
from mooring.pki.fleet.service import Health
from mooring.telemetry import problems
from mooring.telemetry.model import Overview, ProcessInfo
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES"]

REJECTED_SHOWN = 10


def view(call: Call) -> dict[str, Any] | Shown:
    """Sentences first, then figures; with no devices, the way to the first one."""
    overview = call.service(Telemetry).overview(call.who)
    if not overview.devices and call.query.text("view") != "all":
        return first_device(call)
    with call.app.database.read() as connection:
        found = trouble.read(connection, call.who, call.now)
    alerts = {
        severity.word: number
        for severity, number in call.service(Alerts).open_by_severity(call.who).items()
    }
    refusing = len(call.service(DeviceSettings).refusing(call.who))
    platform = _platform(call, overview) if call.may("viewer", whole=True) else None
    return {
        "overview": overview,
        "items": of_trouble(found, alerts, refusing, platform),
        "rejected": [
            {"login": one, "why": why(one.why)} for one in found.rejected[:REJECTED_SHOWN]
        ],
        "rejected_count": len(found.rejected),
        "never_seen": found.never_seen,
        "alerts": sum(alerts.values()),
        "passing": passing(call) if platform is not None else None,
        "rate": _rate(overview.processes),
        "parts": _parts(call, overview) if platform is not None else [],
    }


def _rate(processes: list[ProcessInfo]) -> float | None:
    rates = [p.detail.get("rate") for p in processes if p.role == "ingest" and p.alive]
    known = [float(rate) for rate in rates if isinstance(rate, int | float)]
    return sum(known) if known else None


def _platform(call: Call, overview: Overview) -> Platform:
    # It reads every certificate of the fleet, so the metrics and this page share one look.
    health: Health = call.request.app.state.certificate_health()
    found = problems.of_overview(overview, broker_answers=call.publisher.connected)
    try:
        disk = shutil.disk_usage(call.app.settings.data_dir)
        used, free = disk.used / disk.total, disk.free
    except OSError:  # it cannot be read: the other figures still count
        used, free = None, 0
    return Platform(
        problems=[one.text for one in found],
        certificates=health.problems,
        reminders=health.reminders,
        disk_used=used,
        disk_free=free,
        changes=overview.broker_changes_pending,
    )


def _parts(call: Call, overview: Overview) -> list[dict[str, Any]]:
    """Broker, ingest, HTTP and database, each with a state and a few words."""
    alive = {process.role: process for process in overview.processes if process.alive}
    ingest = alive.get("ingest")
    connected = call.publisher.connected
    there = overview.connected
    broker = f"{there:,} {'device' if there == 1 else 'devices'} connected"
    return [
        _part("Broker", connected, broker if connected else "does not answer", "/broker"),
        _part(
            "Ingest",
            ingest is not None and ingest.detail.get("connected") is not False,
            f"{ingest.detail.get('stored', 0):,} messages since its start"
            if ingest is not None
            else "no process is running",
            "/flow",
        ),
        _part("Database", True, _database(call), "/settings"),
        *(
            _part(word, role in alive, "" if role in alive else "no process is running", "/broker")
            for role, word in (("keeper", "Keeper"), ("worker", "Worker"))
        ),
    ]


def _part(word: str, well: bool, text: str, href: str) -> dict[str, Any]:
    return {"word": word, "well": well, "text": text, "href": href}


def _database(call: Call) -> str:
    settings = call.app.settings
    if not settings.effective_database_url.startswith("sqlite"):
        return "PostgreSQL"
    try:
        size = settings.sqlite_path.stat().st_size
    except OSError:  # another place
        return "SQLite"
    return f"SQLite, {size / 1e6:,.1f} MB"


PAGE = Page("/", "Overview", view, "overview", nav=Nav("fleet", 10, "Overview", "o"))
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
