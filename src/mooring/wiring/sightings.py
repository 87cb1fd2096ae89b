"""Which CA devices rely on, from what they say of themselves.

A device tells the SHA-256 fingerprint of the CA it trusts in the metadata field ``ca`` of its
status, or several with spaces between them while it trusts two. Only while a rollover is under
way anybody needs to know; then everything that was said before is read once, and what is new
after that.
"""

from __future__ import annotations

import json
import logging
import time

import sqlalchemy as sa

from mooring.pki.service import PkiService
from mooring.store.engine import Database
from mooring.store.schema import device_state, devices
from mooring.supervisor.rows import RowFaults

__all__ = ["SightingReader", "reported"]

log = logging.getLogger(__name__)

READ_SECONDS = 2.0
OVERLAP_MS = 10_000  # a commit may come later than the time in it


def reported(metadata: str | None) -> list[str]:
    """The fingerprints in a device's metadata; none for what is not a fingerprint at all. Pure."""
    if metadata is None:
        return []
    try:
        body = json.loads(metadata)
    except ValueError:
        return []  # written by us, but one bad row must not stop the others
    said = body.get("ca") if isinstance(body, dict) else None
    return said.split() if isinstance(said, str) else []


class SightingReader:
    """Reads what is new; call ``read`` as often as you like."""

    def __init__(self, database: Database, pki: PkiService) -> None:
        self._database = database
        self._pki = pki
        self._mark = 0
        self._next = 0.0
        self._rollover: str | None = None
        self.wanted = True
        """Whether there may be anything to read, as of the last call."""
        self.faults = RowFaults("CA reported by the device:")

    def read(self) -> int:
        """Records sightings; returns how many devices have reported something usable."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + READ_SECONDS
        authorities = self._pki.authorities()
        self.wanted = len(authorities) > 1
        if not self.wanted:
            self._mark, self._rollover = 0, None
            return 0
        if self._rollover != authorities[0]:
            self._mark, self._rollover = 0, authorities[0]
        statement = (
            sa.select(devices.c.username, device_state.c.metadata, device_state.c.metadata_at)
            .join(devices, devices.c.id == device_state.c.device_id)
            .where(
                device_state.c.metadata_at > self._mark - OVERLAP_MS,
                device_state.c.metadata.contains('"ca"'),
            )
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        known = self._pki.sightings()
        count = 0
        for username, metadata, at in rows:
            with self.faults.isolated(username):
                # The CA that signs now comes first: who trusts both has what it needs.
                said = {text.replace(":", "").lower() for text in reported(metadata)}
                best = next((one for one in authorities if one in said), None)
                seen = known.get(username)
                if best is not None and (seen is None or seen.authority != best):
                    self._pki.seen(username, best)
                count += best is not None
            self._mark = max(self._mark, at)
        return count
