"""Flow: from the dialect over channel and kind to what became of the newest messages."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data import traffic
from mooring.dashboard.drawings import Flow, sankey
from mooring.dashboard.page import Action, Nav, Page
from mooring.dashboard.words import rate, reason

__all__ = ["ACTIONS", "PAGES"]

HEADINGS = ("Dialect", "Channel", "Kind", "Outcome")
UNKNOWN = "not known"


def view(call: Call) -> dict[str, Any]:
    """The drawing and the same as a table."""
    with call.app.database.read() as connection:
        found = traffic.traffic(connection, call.who)
    seconds = max(1.0, (call.now - found.since) / 1000) if found.since is not None else 1.0
    flows = [
        Flow((one.dialect, one.channel, _kind(one.kind), "Stored"), one.messages, "ok")
        for one in found.stored
    ]
    flows += [
        Flow((UNKNOWN, UNKNOWN, UNKNOWN, f"Rejected: {reason(name)}"), number, "bad")
        for name, number in found.rejected.items()
    ]
    said = (
        f"{found.messages:,} stored and {sum(found.rejected.values()):,} rejected messages, by "
        "dialect, channel, kind and outcome. The table below has the same numbers."
    )
    return {
        "found": found,
        "drawing": sankey(flows, HEADINGS, said),
        "rows": [(one, rate(one.messages / seconds)) for one in found.stored],
        "rejected": [(name, n, rate(n / seconds)) for name, n in found.rejected.items()],
        "rate": rate(found.messages / seconds) if found.since is not None else "0/s",
    }


def _kind(name: str) -> str:
    return name.replace("_", " ")


PAGE = Page("/flow", "Flow", view, "flow", nav=Nav("run", 20, "Flow", "f"))
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
