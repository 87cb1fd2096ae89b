"""Why a session ended, in words. Pure."""

from __future__ import annotations

__all__ = ["REASON_MAX", "sentence"]

REASON_MAX = 100
"""Characters of a reason that are kept."""

_WORDS = {
    "": "connection closed",
    "-1": "connection closed",  # 2.0 tells its plugins no reason
    "0": "disconnected",
    "7": "connection lost",
    "19": "keepalive timeout",
    "25": "packet too large",
    "taken_over": "another session of the same client id",
    "kicked": "disconnected by the platform",
    "removed": "device removed",
    "locked": "device disabled",
    "limit_messages": "sent too many messages",
    "limit_bytes": "sent too many bytes",
    "limit_tenant_messages": "its tenant sent too many messages",
    "limit_tenant_bytes": "its tenant sent too many bytes",
}


def sentence(detail: str) -> str:
    """What the broker reported, in words; a text of its own stays as it is."""
    return _WORDS.get(detail, f"broker: {detail}")[:REASON_MAX]
