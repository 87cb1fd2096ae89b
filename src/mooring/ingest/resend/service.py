"""Reading dead letters again, and storing what can be stored now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.devices.index import DeviceIndex
from mooring.devices.service import Devices
from mooring.dialects import Catalogue, Router
from mooring.dialects.payload import PayloadLimits
from mooring.errors import DatabaseUnavailable, Invalid
from mooring.identity.actor import Actor, Role
from mooring.ingest import channels
from mooring.ingest.projection import Projection
from mooring.ingest.projections import Projections
from mooring.ingest.resend import store
from mooring.ingest.resend.claiming import Claiming, together
from mooring.ingest.resend.model import AT_ONCE, RESEND_MAX, Kept, Outcome, Resent, Tried
from mooring.ingest.resend.planning import outcomes, plan_of
from mooring.ingest.routing import RouteTable
from mooring.ingest.sinks import open_sink
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.tally import add_to_counter

__all__ = ["Resending"]

CLIENT = "resend"
"""Instead of the client id of a session: a broker is acknowledged nothing."""
PATIENCE_SECONDS = 10.0  # with a database that somebody else has locked
PAUSE_SECONDS = 0.1


class _Gone(Exception):
    """A dead letter was deleted, or stored by another request, since it was read."""


@dataclass(frozen=True, slots=True)
class Resending:
    """Dead letters of one installation.

    Attributes:
        projections: what else follows from messages.
    """

    database: Database
    catalogue: Catalogue
    settings: Settings
    devices: Devices
    limits: PayloadLimits
    projections: Sequence[Projection]

    def ids(self, actor: Actor, numbers: Collection[int]) -> Resent:
        """Reads these dead letters again and stores the messages that can be stored now.

        A message keeps the time at which it arrived. It is stored once, in the transaction that
        deletes its dead letter; what is rejected again stays.

        Raises:
            Forbidden: the actor is not an operator.
            Invalid: ``too_many_messages``: more than ``RESEND_MAX``.
        """
        wanted = sorted(set(numbers))
        if len(wanted) > RESEND_MAX:
            raise Invalid(
                f"{len(wanted):,} messages are named. The maximum is {RESEND_MAX:,}.",
                hint="Resend them in several requests, or all that match.",
                code="too_many_messages",
            )
        actor.require(Role.OPERATOR, actor.tenant)
        with self.database.read() as connection:
            found = store.letters(connection, actor, ids=wanted, limit=RESEND_MAX)
        tried = self._all(actor, found)
        known = {one.id for one in tried}
        gone = [Tried(number, Outcome.NOT_FOUND) for number in wanted if number not in known]
        return Resent(sorted([*tried, *gone]))

    def matching(
        self,
        actor: Actor,
        *,
        reason: str | None = None,
        device: str | None = None,
        after: int = 0,
    ) -> Resent:
        """The same for the dead letters that match, the oldest first, ``RESEND_MAX`` at most.

        Args:
            after: continue after the dead letter with this number.

        Raises:
            Forbidden: the actor is not an operator.
            NotFound: no such device.
        """
        actor.require(Role.OPERATOR, actor.tenant)
        number = self.devices.get(actor, device).id if device else None
        with self.database.read() as connection:
            found = store.letters(
                connection,
                actor,
                reason=reason,
                device_id=number,
                after=after,
                limit=RESEND_MAX + 1,
            )
        some = found[:RESEND_MAX]
        following = some[-1].id if len(found) > RESEND_MAX else None
        return Resent(self._all(actor, some), following)

    # ------------------------------------------------------------------ inside

    def _all(self, actor: Actor, found: Sequence[Kept]) -> list[Tried]:
        tried: list[Tried] = []
        for begin in range(0, len(found), AT_ONCE):
            some = found[begin : begin + AT_ONCE]
            try:
                tried += self._some(actor, some)
            except _Gone:
                # Rarely: two requests name the same ones. Each alone, so that one that is gone
                # costs only itself.
                for one in some:
                    try:
                        tried += self._some(actor, [one])
                    except _Gone:
                        tried.append(Tried(one.id, Outcome.NOT_FOUND, topic=one.topic))
        return sorted(tried)

    def _some(self, actor: Actor, letters: Sequence[Kept]) -> list[Tried]:
        """One transaction."""
        numbers = channels.numbers(self.database, self.catalogue)
        plan, readable, rejected = plan_of(letters, self._routes(letters, numbers), self.limits)
        if not readable:
            return rejected
        claiming = Claiming(
            self.projections,
            lambda connection: _claim(connection, actor, readable),
            store.newest,
            together(self.projections, self.catalogue, numbers),
        )
        sink = open_sink(self.settings, claiming)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    committed = sink.commit(plan, CLIENT, 0, 0)
                    break
                except DatabaseUnavailable:
                    if time.monotonic() > deadline:
                        raise
                time.sleep(PAUSE_SECONDS)
        finally:
            sink.close()
        refused = frozenset((one.topic, one.received_at) for one in committed.refused)
        return [*rejected, *outcomes(plan, readable, claiming.added, refused)]

    def _routes(
        self, letters: Sequence[Kept], numbers: Mapping[tuple[str, str], int]
    ) -> RouteTable:
        """Where the topics of these messages lead now."""
        router = Router(self.catalogue.all(), cache_limit=1)
        matches = [match for one in letters for match in router.match(one.topic)]
        with self.database.read() as connection:
            known = store.devices_of(connection, matches)
        return RouteTable(
            self.catalogue,
            DeviceIndex.of(known, self.catalogue),
            numbers,
            self.limits,
            interests=Projections(self.projections),
        )


def _claim(connection: Connection, actor: Actor, letters: Sequence[Kept]) -> None:
    """Deletes dead letters whose messages are stored, counts them and notes it in the audit.

    Raises:
        _Gone: one was deleted meanwhile.
    """
    ids = [one.id for one in letters]
    if store.claim(connection, ids) != set(ids):
        raise _Gone
    add_to_counter(connection, "dead_letters_resent", len(ids))
    for tenant, number in Counter(one.tenant for one in letters).items():
        one = next(letter.id for letter in letters if letter.tenant == tenant)
        subject = str(one) if number == 1 else f"{number} messages"
        audit_log.record(connection, actor, "dead_letter.resend", subject, tenant=tenant)
