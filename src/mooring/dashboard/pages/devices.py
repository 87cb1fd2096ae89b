"""Devices: which, where, since when? And one action for many of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data import fleet, newer, saved
from mooring.dashboard.forms import Query
from mooring.dashboard.page import Action, Nav, Page
from mooring.devices.store import tenant_names
from mooring.errors import Invalid, MooringError, NotFound
from mooring.fleet.model import CountBy, DeviceRow, Filter
from mooring.fleet.service import DeviceLists
from mooring.groups.selector import NAMES_MAX
from mooring.groups.service import Groups
from mooring.jobs.model import NewJob
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 50
KINDS = {"command": "Send a command", "settings": "Change settings", "rotation": "New passwords"}
SORTED = {"device": "name", "state": "presence", "last": "last_seen_at", "added": "added"}
SORTED |= {"dialect": "dialect", "firmware": "firmware", "type": "type", "tags": "tags"}


def view(call: Call) -> dict[str, Any]:
    """The list, its filters, and what can be done with what it shows."""
    lists = call.service(DeviceLists)
    query = saved.typed(call)
    wanted, wrong = fleet.filter_of(query)
    ordered = fleet.order_of(query)
    after = fleet.place_of(query.text("after", max=600))
    try:
        found = lists.page(
            call.who, wanted, order=ordered, after=after, limit=PAGE_SIZE, total=True
        )
    except (Invalid, NotFound) as exc:
        wrong = f"{exc.message} {exc.hint}"
        wanted = Filter(tenant=call.who.tenant)
        found = replace(lists.page(call.who, wanted, limit=1), rows=[], more=False, total=0)
    by = query.choice("by", [str(one) for one in CountBy])
    counts = [] if wrong or not by else lists.counts(call.who, CountBy(by), wanted)
    filtered = fleet.filter_pairs(query)
    last = [] if not found.more or wrong else lists.newest(call.who, wanted, limit=1)
    since = max(last, default=0) if found.more else None
    columns = fleet.columns_of(query)
    if call.who.tenant is not None:
        columns = tuple(name for name in columns if name != "tenant")
    following = fleet.place_text(found.rows[-1].place) if found.more and found.rows else None
    return {
        "listing": found,
        "rows": [(row, fleet.badge(row), fleet.address(row.device)) for row in found.rows],
        "wrong": wrong,
        "columns": columns,
        "headings": _headings(query, columns),
        "all_columns": _columns_for(call),
        "state_words": fleet.STATE_WORDS,
        "problem_words": fleet.PROBLEMS,
        "dialects": call.app.catalogue.names(),
        "tenants": _tenants(call),
        "by": by,
        "by_words": [str(one) for one in CountBy if one != "tenant" or call.who.tenant is None],
        "counts": [
            (one, query.with_(after=None, by=None, **_count_filter(by, one.value)))
            for one in counts
        ],
        "next_page": query.with_(after=following) if following else "",
        "first_page": query.with_(after=None) if after is not None else "",
        "map_query": fleet.with_pairs(fleet.filter_pairs(query)).rstrip("?"),
        "narrowed": bool(fleet.filter_pairs(query)),
        "filter_pairs": fleet.filter_pairs(query),
        "kept_pairs": [
            pair for pair in query.pairs if pair[0] in ("sort", "col", "by") and pair[1]
        ],
        "watched": ",".join(str(row.device.id) for row in found.rows),
        "stale": _stale(call, found.rows),
        "newer": "" if wrong or after is not None else newer.topic("devices", filtered),
        # Where every row is on the page, also devices that have begun to match are new ones.
        "since": since,
        "views": saved.listed(call, query),
        "view_query": saved.query_text(query),
        "kinds": KINDS,
        "query": query,
        "wanted": wanted,
        "ticked": frozenset(call.form.many("device")),
    }


def _stale(call: Call, rows: list[DeviceRow]) -> set[int]:
    return {
        row.device.id
        for row in rows
        if row.last_seen_at is not None
        and call.now - row.last_seen_at > fleet.stale_after(row.interval_ms)
    }


def _columns_for(call: Call) -> dict[str, str]:
    own = call.who.tenant is not None
    return {name: word for name, word in fleet.COLUMNS.items() if not (own and name == "tenant")}


def _tenants(call: Call) -> list[str]:
    if call.who.tenant is not None:
        return []
    with call.app.database.read() as connection:
        found = tenant_names(connection, call.who)
    return found if len(found) > 1 else []


def _headings(query: Query, columns: tuple[str, ...]) -> list[dict[str, str]]:
    words = [("device", "Device"), ("state", "State"), ("last", "Last message")]
    words += [(name, fleet.COLUMNS[name]) for name in columns]
    now = query.text("sort")
    found = []
    for name, word in words:
        by = SORTED.get(name, "")
        heading = {"word": word}
        if by:
            is_up, is_down = now == by, now == f"-{by}"
            heading["sorted"] = "ascending" if is_up else "descending" if is_down else "none"
            heading["href"] = query.with_(sort=f"-{by}" if is_up else by, after=None)
        found.append(heading)
    return found


def _count_filter(by: str, value: str | None) -> Mapping[str, str | None]:
    """The part of an address that narrows to the devices that were counted."""
    match by:
        case "firmware":
            return {"firmware": "none" if value is None else value}
        case "presence":
            return {"state": value}
        case "group" if value is None:
            return {"where": "not group = *"}
    return {by: value}


def act(call: Call) -> Redirect:
    """Starts a job for the ticked devices, or for all that match."""
    form = call.form
    kind = form.choice("kind", "Action", tuple(KINDS), "command")
    what = _what(call, kind)
    form.check()
    everyone = form.raw("which") == "all"
    query = Query([pair for pair in form.pairs if pair[0] not in ("kind", "which", "device")])
    wanted, wrong = fleet.filter_of(query)
    if wrong:
        raise Invalid(wrong, code="invalid_search")
    numbers = form.many("device")
    if everyone:
        chosen = [
            (tenant, call.service(DeviceLists).selector(call.who, tenant, wanted))
            for tenant in _matching_tenants(call, wanted)
        ]
    else:
        chosen = [
            (tenant, selector(tenant, names=names)) for tenant, names in _ticked(numbers).items()
        ]
    if not chosen:
        raise Invalid(
            "No devices were selected.", hint="Tick some, or choose all that match.", code="usage"
        )
    jobs = call.service(Jobs)
    started = [
        jobs.start(call.who, NewJob(kind, what, select, reason=form.text("reason", "Reason")))
        for _, select in chosen
    ]
    first = started[0]
    more = f" {len(started)} jobs were started, one for each tenant." if len(started) > 1 else ""
    return call.redirect(f"/jobs/{first.id}", f"The job {first.id} was stored.{more}")


def _matching_tenants(call: Call, wanted: Filter) -> list[str]:
    counts = call.service(DeviceLists).counts(call.who, CountBy.TENANT, wanted)
    return sorted(one.value for one in counts if one.value is not None)


def _ticked(references: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for reference in references[:NAMES_MAX]:
        tenant, _, name = reference.partition(":")
        if tenant and name:
            found.setdefault(tenant, []).append(name)
    return found


def _what(call: Call, kind: str) -> dict[str, Any]:
    form = call.form
    if kind == "rotation":
        return {}
    text = form.text("document", "JSON object", area=True, max=20_000)
    try:
        document = json.loads(text) if text else {}
    except (ValueError, RecursionError) as exc:
        form.wrong["document"] = f"This is not JSON: {exc}."
        return {}
    if not isinstance(document, dict):
        form.wrong["document"] = 'Use a JSON object, such as {"rate": 10}.'
        return {}
    if kind == "settings":
        return {"patch": document}
    name = form.text("name", "Command", needed=True, max=128)
    return {"name": name, "parameters": document}


def group(call: Call) -> Redirect:
    """Adds the ticked devices to a static group."""
    name = call.form.text("into", "Group", needed=True, max=128)
    call.form.check()
    chosen = _ticked(call.form.many("device"))
    if not chosen:
        raise Invalid("No devices were selected.", hint="Tick some first.", code="usage")
    done = 0
    changes: list[int] = []
    rejected: dict[str, MooringError] = {}
    for tenant, names in chosen.items():
        try:
            changed = call.service(Groups).add(call.who, name, selector(tenant, names=names))
        except MooringError as exc:
            rejected[tenant] = exc
            if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR or len(rejected) == len(chosen):
                raise
            continue
        done += changed.devices
        changes += changed.changes
    said = call.stored(f"{done} devices added to {name}", changes)
    for tenant, error in rejected.items():
        said += f" Tenant {tenant}: {error.message}"
    return call.redirect("/devices", said, "warn" if rejected else "ok")


PAGE = Page("/devices", "Devices", view, "devices", nav=Nav("fleet", 20, "Devices", "d"))
PAGES = (PAGE,)
ACTIONS = (Action("/devices/act", act, PAGE), Action("/devices/group", group, PAGE))
