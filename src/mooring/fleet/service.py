"""Lists of devices, their totals, and counts of what they have."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.devices import group_store
from mooring.devices import store as devices_store
from mooring.devices.attributes import store as attributes
from mooring.devices.attributes.query import Order, Place, normal, quoted, terms
from mooring.devices.attributes.search_store import Search, place_of
from mooring.fleet import store
from mooring.fleet.kept import Found, KeptMaps
from mooring.fleet.model import Count, CountBy, DeviceRow, Filter, Listing, Map
from mooring.fleet.spots import Box
from mooring.fleet.store import NOTHING
from mooring.groups.selector import Selector, conditions_of, group_not_found
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database

__all__ = ["POSITIONS_MAX", "SPOTS_MAX", "DeviceLists"]

FIRST = Filter()
POSITIONS_MAX = 200_000
"""Devices of one map; those that were added later are left out, and the map says so."""
SPOTS_MAX = 2_000
"""Spots of one map; those with the fewest devices are left out, and the map says so."""


@dataclass(frozen=True, slots=True)
class DeviceLists:
    """Lists of the devices of one installation."""

    database: Database

    def page(
        self,
        actor: Actor,
        wanted: Filter = FIRST,
        *,
        order: Order | None = None,
        after: Place | int | None = None,
        limit: int = 50,
        total: bool = False,
    ) -> Listing:
        """Devices that meet every part of a filter, in the order they were added or in another
        one.

        Args:
            after: where a page ended, or the number of its last device.
            limit: at most 500.
            total: count the devices of the whole list.

        Raises:
            Invalid: ``invalid_search``: a query is not valid, or there are too many conditions.
            NotFound: no such group, or a tenant that the actor does not see.
        """
        with self.database.read() as connection:
            search = self._search(connection, actor, wanted, order)
            if isinstance(after, int):
                after = place_of(connection, order, after)
            found = search.page(connection, after, limit + 1)
            shown = found[:limit]
            numbers = [one.number for one in shown]
            devices = {d.id: d for d in devices_store.by_numbers(connection, numbers)}
            held = attributes.of_devices(connection, numbers)
            states = store.states_of(connection, numbers)
            problems = store.problems_of(connection, numbers)
            counted = None
            if total:  # what is on one page is counted already
                whole = after is None and len(found) <= limit
                counted = len(found) if whole else search.count(connection)
        rows = []
        for number, key in shown:
            if number not in devices:
                continue  # removed meanwhile
            known = states.get(number, NOTHING)
            rows.append(
                DeviceRow(
                    device=devices[number],
                    attributes=held.get(number, {}),
                    presence=known.presence,
                    presence_since=known.since,
                    last_seen_at=known.last_seen_at,
                    interval_ms=known.interval_ms,
                    connected=known.connected,
                    address=known.address,
                    firmware=known.firmware,
                    problems=problems.get(number, ()),
                    place=Place(key, number),
                )
            )
        return Listing(rows, len(found) > limit, counted)

    def newest(self, actor: Actor, wanted: Filter = FIRST, *, limit: int = 50) -> list[int]:
        """Numbers of the devices that were added last among those that meet a filter.

        Raises:
            Invalid, NotFound: as ``page``.
        """
        order = Order("added", descending=True)
        with self.database.read() as connection:
            search = self._search(connection, actor, wanted, order)
            return [one.number for one in search.page(connection, None, limit)]

    def counts(self, actor: Actor, by: CountBy, wanted: Filter = FIRST) -> list[Count]:
        """How many of the devices that meet a filter have each value, the most frequent first.

        Raises:
            Invalid, NotFound: as ``page``.
        """
        with self.database.read() as connection:
            return store.counts(connection, self._search(connection, actor, wanted, None), by)

    def positions(
        self, actor: Actor, wanted: Filter = FIRST, kept: KeptMaps | None = None
    ) -> Found:
        """Where the devices that meet a filter are, whether there are more than
        ``POSITIONS_MAX``, and how many of the devices have no position.

        Args:
            kept: of the process; lists of large fleets are kept there for some seconds.

        Raises:
            Invalid, NotFound: as ``page``.
        """
        if kept is not None:
            return kept.positions(actor.tenant, wanted, lambda: self.positions(actor, wanted))
        with self.database.read() as connection:
            search = self._search(connection, actor, wanted, None)
            found = store.positions(connection, search, POSITIONS_MAX + 1)
            every = search.count(connection)
        more = len(found) > POSITIONS_MAX
        return Found(found[:POSITIONS_MAX], more, 0 if more else every - len(found))

    def map(
        self,
        actor: Actor,
        wanted: Filter = FIRST,
        *,
        zoom: int = 2,
        box: Box | None = None,
        kept: KeptMaps | None = None,
    ) -> Map:
        """The devices that meet a filter as spots of a map.

        Args:
            zoom: 0 to ``mooring.fleet.spots.CLOSEST_ZOOM``.
            box: only devices in it.
            kept: as ``positions``.

        Raises:
            Invalid, NotFound: as ``page``.
        """
        found = self.positions(actor, wanted, kept)
        maps = KeptMaps() if kept is None else kept
        shown, drawn = maps.spots(actor.tenant, wanted, found, box, zoom)
        more = found.more or len(drawn) > SPOTS_MAX
        return Map(drawn[:SPOTS_MAX], len(found.positions), shown, found.without, more)

    def selector(self, actor: Actor, tenant: str, wanted: Filter) -> Selector:
        """The devices of one tenant that meet a filter, for a job: all of them at the time it
        begins, whatever page is shown.

        Raises:
            Invalid, NotFound: as ``page``.
        """
        queries = [f"({normal(one)})" for one in wanted.queries()]
        with self.database.read() as connection:
            self._search(connection, actor, wanted, None)
            if wanted.group is not None:
                group = group_store.find(connection, tenant, [wanted.group]).get(wanted.group)
                if group is None:
                    raise group_not_found(wanted.group)
                if not queries:
                    return Selector(tenant, group=wanted.group)
                named = f"group = {quoted(group.name)}"
                queries.append(f"({named if group.query is None else group.query})")
        return Selector(tenant, where=" and ".join(queries) or None)

    def _search(
        self, connection: Connection, actor: Actor, wanted: Filter, order: Order | None
    ) -> Search:
        actor.require(Role.VIEWER, wanted.tenant or actor.tenant)
        tenant = wanted.tenant or actor.tenant
        where = terms(wanted.queries())
        if wanted.group is not None:
            of = tenant or "default"
            group = group_store.find(connection, of, [wanted.group]).get(wanted.group)
            if group is None:
                raise group_not_found(wanted.group)
            tenant = of
            where = (*where, *conditions_of(group))
        narrowed = devices_store.conditions(actor, tenant=tenant, dialect=None, search=None)
        return Search(narrowed, where, tenant, order)
