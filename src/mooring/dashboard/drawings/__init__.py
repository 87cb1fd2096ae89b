"""Pictures as SVG, drawn on the server: pure functions whose look is in ``static/css``.

Every text in them is escaped, and none of them has a ``style``. Each takes ``said``, what the
picture shows in words.
"""

from mooring.dashboard.drawings.bars import bars
from mooring.dashboard.drawings.presence import Span, presence_bar
from mooring.dashboard.drawings.qr import qr
from mooring.dashboard.drawings.sankey import Flow, sankey
from mooring.dashboard.drawings.sparkline import sparkline
from mooring.dashboard.drawings.waves import Wave, waves
from mooring.dashboard.drawings.world import Dot, View, fleet_map

__all__ = [
    "Dot",
    "Flow",
    "Span",
    "View",
    "Wave",
    "bars",
    "fleet_map",
    "presence_bar",
    "qr",
    "sankey",
    "sparkline",
    "waves",
]
