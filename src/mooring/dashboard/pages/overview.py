"""Overview: is everything well, and what first?"""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES"]


def view(call: Call) -> dict[str, Any]:
    """Figures of the fleet."""
    return {"overview": call.service(Telemetry).overview(call.who)}


PAGE = Page("/", "Overview", view, "overview", nav=Nav("fleet", 10, "Overview", "o"))
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
