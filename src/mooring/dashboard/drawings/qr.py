"""A QR code. Pure."""

from __future__ import annotations

import segno
from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element

__all__ = ["QUIET", "qr"]

QUIET = 4  # modules around it, as the standard wants


def qr(text: str, said: str) -> Markup:
    """A code in rows of dark modules, with its own white ground: cameras read it in the dark look
    too.

    Raises:
        ValueError: the text does not fit into a code (more than about 2,300 bytes).
    """
    matrix = segno.make(text, error="m", micro=False).matrix
    size = len(matrix) + 2 * QUIET
    runs: list[str] = []
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            wide = 0
            while x + wide < len(row) and row[x + wide]:
                wide += 1
            if wide:
                runs.append(f"M{x + QUIET} {y + QUIET}h{wide}v1h-{wide}z")
            x += wide or 1
    ground = element("rect", class_="qr-ground", x=0, y=0, width=size, height=size)
    return drawing(
        "qr", size, size, said, ground, element("path", class_="qr-dark", d="".join(runs))
    )
