"""The navigation: pages a person may see, in groups, with numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mooring.alerts.service import Alerts
from mooring.app import App
from mooring.dashboard.call import Call
from mooring.dashboard.page import Page, allowed
from mooring.identity.actor import Actor
from mooring.telemetry.service import Telemetry

__all__ = ["GROUPS", "Counts", "Entry", "link_numbers", "navigation"]

GROUPS = {"fleet": "", "change": "Change", "run": "Run"}
KEPT_SECONDS = 5.0


class Entry(NamedTuple):
    """A link of the navigation."""

    word: str
    href: str
    current: bool
    number: int | None
    key: str


def link_numbers(app: App, who: Actor) -> dict[str, int]:
    """Path of a page → the number next to its link. Counts the fleet."""
    devices = app.service(Telemetry).overview(who).devices
    alerts = sum(app.service(Alerts).open_by_severity(who).values())
    return {"/devices": devices, "/alerts": alerts}


class Counts:
    """The numbers of a tenant next to the links, counted at most every five seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str | None, tuple[float, Mapping[str, int]]] = {}

    def of(self, call: Call) -> Mapping[str, int]:
        """Path of a page → its number."""
        now, tenant = self._clock(), call.who.tenant
        with self._lock:
            at, found = self._kept.get(tenant, (float("-inf"), {}))
        if now - at < KEPT_SECONDS:
            return found
        found = link_numbers(call.app, call.who)
        with self._lock:
            kept = {key: one for key, one in self._kept.items() if now - one[0] < KEPT_SECONDS}
            self._kept = {**kept, tenant: (now, found)}
        return found


def navigation(
    call: Call, pages: Sequence[Page], current: str, counts: Mapping[str, int]
) -> list[tuple[str, list[Entry]]]:
    """Heading of a group → its links; a group without links is left out."""
    found = []
    for group, heading in GROUPS.items():
        listed = sorted(
            (
                (page.nav, page)
                for page in pages
                if page.nav is not None and page.nav.group == group and allowed(page, call.who)
            ),
            key=lambda one: one[0].order,
        )
        entries = [
            Entry(nav.word, page.path, page.path == current, counts.get(page.path), nav.key)
            for nav, page in listed
        ]
        if entries:
            found.append((heading, entries))
    return found
