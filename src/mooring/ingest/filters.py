"""What ingest is subscribed to, and the number of each subscription.

MQTT 5 brokers send one copy of a message for each subscription that matches its topic, and name
the subscription in it [MQTT-3.3.4-3]. Numbers rise with every new subscription and are kept
with the session they belong to. So of several subscriptions that match a topic, the one with
the lowest number was there first, and every message that any of them brings came through that
one, too: copies that another one brings are passed over.

A copy of a subscription that is not known, or known no more, is stored. When the one with the
lowest number ends, messages that are on their way at that moment may therefore be stored twice.
Passing over more could lose one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects import Catalogue
from mooring.dialects.topics import filter_covers, filters_overlap
from mooring.store.engine import Database
from mooring.store.schema import broker_users, ingest_filters

__all__ = ["numbered", "of_broker_users", "of_dialects", "overlapping", "widest_of"]

log = logging.getLogger(__name__)

OTHERS_MAX = 200  # topic filters of broker users that ingest is subscribed to
_SEARCHED = 2 * OTHERS_MAX


def of_dialects(catalogue: Catalogue) -> list[str]:
    """What devices publish."""
    return list(
        dict.fromkeys(channel.filter for dialect in catalogue.all() for channel in dialect.ups())
    )


def of_broker_users(database: Database, known: Sequence[str]) -> list[str]:
    """What other logins of the broker may publish beyond ``known``: a message of theirs to a
    topic that no dialect declares must leave a trace. The widest ones, ``OTHERS_MAX`` at most.

    Raises:
        DatabaseUnavailable: it cannot be asked now.
    """
    with database.read() as connection:
        rows = connection.execute(sa.select(broker_users.c.publish).distinct()).all()
    found = {one for (publish,) in rows for one in json.loads(publish) if not one.startswith("$")}
    widest = widest_of(sorted(found), known)
    if len(widest) > OTHERS_MAX:
        log.warning(
            "broker users may publish to %d topic filters; messages to undeclared topics are "
            "noticed on %d of them",
            len(widest),
            OTHERS_MAX,
        )
    return widest[:OTHERS_MAX]


def widest_of(filters: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """Those that neither a known one nor another of them covers. Pure."""
    widest: list[str] = []
    # A wide filter has few levels and wildcards early: mostly it is met first.
    for one in sorted(filters, key=lambda f: (f.count("/"), "#" not in f, "+" not in f, f)):
        if not any(filter_covers(other, one) for other in (*known, *widest)):
            widest = [other for other in widest if not filter_covers(one, other)]
            widest.append(one)
        if len(widest) > _SEARCHED:
            break
    return widest


def overlapping(filters: Mapping[str, int]) -> dict[str, int]:
    """Those that have a topic in common with another one. Pure."""
    return {
        one: number
        for one, number in filters.items()
        if any(one != other and filters_overlap(one, other) for other in filters)
    }


def numbered(database: Database, client_id: str, filters: Iterable[str]) -> dict[str, int]:
    """Filter → number of its subscription, oldest first; what is not named is forgotten.

    Raises:
        DatabaseUnavailable: nothing was written.
    """
    filters = list(filters)
    with database.read() as connection:
        known = _known(connection, client_id)
    if known.keys() == set(filters):
        return known
    with database.write() as connection:
        known = _known(connection, client_id)
        gone = [one for one in known if one not in set(filters)]
        for one in gone:
            connection.execute(
                sa.delete(ingest_filters).where(
                    ingest_filters.c.client_id == client_id, ingest_filters.c.filter == one
                )
            )
        last = max(known.values(), default=0)
        new = {one: last + n for n, one in enumerate((f for f in filters if f not in known), 1)}
        if new:
            connection.execute(
                sa.insert(ingest_filters),
                [{"client_id": client_id, "filter": f, "number": n} for f, n in new.items()],
            )
    return {f: n for f, n in known.items() if f not in gone} | new


def _known(connection: Connection, client_id: str) -> dict[str, int]:
    rows = connection.execute(
        sa.select(ingest_filters.c.filter, ingest_filters.c.number)
        .where(ingest_filters.c.client_id == client_id)
        .order_by(ingest_filters.c.number)
    )
    return {row[0]: row[1] for row in rows}
