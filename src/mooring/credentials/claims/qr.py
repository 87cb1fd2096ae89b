"""Claim codes as QR codes: for a terminal, and as PNG or SVG. Pure.

What is in it: ``mooring:claim?code=ABCD-2345&url=https://host``, which an app or firmware
takes apart as a URI; people read the code printed in addition to it.
"""

from __future__ import annotations

import io
from urllib.parse import quote

import segno

__all__ = ["content", "png", "svg", "terminal"]


def content(code: str, url: str | None) -> str:
    """The text in the QR code; without a URL where devices cannot reach HTTP."""
    where = "" if url is None else f"&url={quote(url, safe=':/[]')}"
    return f"mooring:claim?code={code}{where}"


def terminal(text: str) -> str:
    """Drawn with half blocks; as light on dark as the terminal is."""
    drawn = io.StringIO()
    segno.make(text, error="m").terminal(drawn, compact=True)
    return drawn.getvalue()


def svg(text: str) -> str:
    return str(segno.make(text, error="m").svg_inline(scale=4))


def png(text: str) -> bytes:
    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="png", scale=8)
    return drawn.getvalue()
