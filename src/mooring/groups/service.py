"""Groups: creating and changing them, and their members.

Members of a static group may get rights: the topics of its group channel, where their dialect has
one. A dynamic group gives none. So a change of members concerns the broker only where rights
change, and then its devices are put into the broker's queue in the same transaction.

A change of many members is done in steps of ``STEP`` devices, each a transaction of its own: one
that is interrupted can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.devices import changes, group_store
from mooring.devices import store as devices_store
from mooring.devices.attributes import store as attributes
from mooring.devices.attributes.language import parse
from mooring.devices.attributes.terms import Condition, groups_of
from mooring.devices.model import Device, Group
from mooring.devices.service import GROUPS_MAX, Devices
from mooring.dialects import check_text, check_word
from mooring.errors import Conflict, Invalid, NotFound
from mooring.groups import store
from mooring.groups.model import GroupView, MembersChanged, NewGroup
from mooring.groups.selector import Selector, conditions_of, group_not_found
from mooring.identity.actor import Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.tenants import tenant_exists

__all__ = ["DESCRIPTION_MAX", "PRIORITY_MAX", "Groups"]

DESCRIPTION_MAX = 200
"""Characters of a group's description."""
PRIORITY_MAX = 1_000_000
STEP = 1000
"""Devices in one transaction."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of an installation's tenants."""

    database: Database
    devices: Devices
    settings: Settings

    # ------------------------------------------------------------------ asking

    def show(self, actor: Actor, tenant: str, name: str) -> GroupView:
        """A group and how many devices it has now.

        Raises:
            NotFound: no such group that the actor sees.
        """
        with self._reading(actor, tenant) as connection:
            group = self._find(connection, tenant, name)
            return GroupView(group, Selector(tenant, group=name).count(connection))

    def page(
        self, actor: Actor, tenant: str, *, after: str = "", limit: int = 50
    ) -> list[GroupView]:
        """Groups of a tenant, sorted by name; members of static ones are counted.

        Raises:
            NotFound: no such tenant that the actor sees.
        """
        with self._reading(actor, tenant) as connection:
            found = store.page(connection, tenant, after=after, limit=limit)
            static = [group.name for group in found if group.query is None]
            known = store.counts(connection, tenant, static)
        return [
            GroupView(group, known.get(group.name, 0) if group.query is None else None)
            for group in found
        ]

    def members(
        self, actor: Actor, tenant: str, name: str, *, after: int = 0, limit: int = 50
    ) -> list[Device]:
        """Devices of a group, static or dynamic, in the order they were added to the platform.

        Raises:
            NotFound: no such group that the actor sees.
        """
        with self._reading(actor, tenant) as connection:
            self._find(connection, tenant, name)
            numbers = Selector(tenant, group=name).page(connection, after, limit)
            return devices_store.by_numbers(connection, list(numbers))

    def conditions(self, actor: Actor, tenant: str, name: str) -> tuple[Condition, ...]:
        """What devices of a group have in common, for a search.

        Raises:
            NotFound: no such group that the actor sees.
        """
        with self._reading(actor, tenant) as connection:
            return conditions_of(self._find(connection, tenant, name))

    # ------------------------------------------------------------------ groups

    def create(
        self, actor: Actor, new: NewGroup, *, dry_run: bool = False, reason: str = ""
    ) -> GroupView:
        """Creates a group; the devices of a dynamic one are counted first.

        Args:
            dry_run: check and count, and change nothing.

        Raises:
            Invalid: a name, text or priority is not valid; ``invalid_search``.
            Conflict: ``group_exists`` or ``limit_reached``.
            NotFound: no such tenant that the actor sees, or the query names a group that does
                not exist.
        """
        check_word(new.name, "group")
        _check(new.description, new.priority)
        with self._writing(actor, new.tenant, dry_run=dry_run) as connection:
            if new.name in group_store.find(connection, new.tenant, [new.name]):
                raise Conflict(
                    f"A group named {new.name} already exists.",
                    hint="Choose another name, or change it with `mooring group set`.",
                    code="group_exists",
                )
            devices = self._counted(connection, new.tenant, new.query)
            group_store.room(connection, new.tenant, 1, most=self.settings.groups_max_per_tenant)
            if dry_run:
                return GroupView(
                    Group(0, new.tenant, new.name, new.query, new.description, new.priority, 0, ""),
                    devices,
                )
            group_store.ensure(
                connection,
                new.tenant,
                [new.name],
                most=self.settings.groups_max_per_tenant,
                actor=actor.name,
            )
            made = self._find(connection, new.tenant, new.name)
            made = made._replace(
                query=new.query, description=new.description, priority=new.priority
            )
            store.change(connection, made)
            _audit(connection, actor, "group.create", made, reason)
        return GroupView(made, devices)

    def change(
        self,
        actor: Actor,
        tenant: str,
        name: str,
        *,
        query: str | None = None,
        description: str | None = None,
        priority: int | None = None,
        dry_run: bool = False,
        reason: str = "",
    ) -> GroupView:
        """Changes a group; ``None`` leaves a value as it is.

        Raises:
            Invalid, NotFound: as ``create``.
            Conflict: ``group_is_static``: only a dynamic group has a query.
        """
        _check(description or "", priority or 0)
        with self._writing(actor, tenant, dry_run=dry_run) as connection:
            group = self._find(connection, tenant, name)
            if query is not None and group.query is None:
                raise Conflict(
                    f"The group {name} is static: its devices are added one by one.",
                    hint="Create a dynamic group with another name.",
                    code="group_is_static",
                )
            after = group._replace(
                query=group.query if query is None else query,
                description=group.description if description is None else description,
                priority=group.priority if priority is None else priority,
            )
            devices = self._counted(connection, tenant, after.query, static=name)
            if dry_run or after == group:
                return GroupView(after, devices)
            store.change(connection, after)
            if after.priority != group.priority:
                # Whose settings win is another matter now.
                self._note_members(connection, group)
            _audit(connection, actor, "group.set", group, reason)
        return GroupView(after, devices)

    def remove(
        self, actor: Actor, tenant: str, name: str, *, dry_run: bool = False, reason: str = ""
    ) -> MembersChanged:
        """Removes a group; its devices stay.

        Returns:
            What that means for its members.

        Raises:
            NotFound: no such group that the actor sees.
        """
        with self._writing(actor, tenant, dry_run=True) as connection:
            group = self._find(connection, tenant, name)
        done, everything = MembersChanged(0, 0, 0), Selector(tenant, group=name)
        if group.query is None:
            done = self._members(actor, group, everything, add=False, dry=dry_run, reason=reason)
        if dry_run:
            return done
        while True:
            with self.database.write() as connection:
                if not group_store.members(connection, tenant, name, limit=1):
                    store.delete(connection, group)
                    _audit(connection, actor, "group.remove", group, reason)
                    return done
            # Somebody has added a device meanwhile.
            more = self._members(actor, group, everything, add=False, dry=False, reason=reason)
            done = _sum(done, more)

    # ------------------------------------------------------------------ members

    def add(
        self,
        actor: Actor,
        name: str,
        selector: Selector,
        *,
        dry_run: bool = False,
        reason: str = "",
    ) -> MembersChanged:
        """Adds devices of the selector's tenant to a static group of it.

        Raises:
            NotFound: no such group that the actor sees, or a device or group that the selector
                names does not exist.
            Conflict: ``group_is_dynamic``, or ``limit_reached``: a device is in too many groups.
        """
        return self._change(actor, name, selector, add=True, dry_run=dry_run, reason=reason)

    def drop(
        self,
        actor: Actor,
        name: str,
        selector: Selector,
        *,
        dry_run: bool = False,
        reason: str = "",
    ) -> MembersChanged:
        """Takes devices out of a static group.

        Raises:
            NotFound, Conflict: as ``add``.
        """
        return self._change(actor, name, selector, add=False, dry_run=dry_run, reason=reason)

    def _change(
        self,
        actor: Actor,
        name: str,
        selector: Selector,
        *,
        add: bool,
        dry_run: bool,
        reason: str,
    ) -> MembersChanged:
        with self._writing(actor, selector.tenant, dry_run=True) as connection:
            group = self._find(connection, selector.tenant, name)
            if group.query is not None:
                raise group_store.dynamic(name)
            selector.check(connection)
        # Everything is looked at before anything is changed: a device without room stops it all.
        planned = self._members(actor, group, selector, add=add, dry=True, reason=reason)
        if dry_run or not planned.devices:
            return planned
        return self._members(actor, group, selector, add=add, dry=False, reason=reason)

    def _members(
        self, actor: Actor, group: Group, selector: Selector, *, add: bool, dry: bool, reason: str
    ) -> MembersChanged:
        done, after = MembersChanged(0, 0, 0), 0
        opened = self.database.read if dry else self.database.write
        while True:
            with opened() as connection:
                numbers = selector.page(connection, after, STEP)
                step = self._step(connection, group, numbers, add=add, dry=dry)
                if step.devices and not dry:
                    how = "group.add" if add else "group.drop"
                    text = f"{group.name}: {step.devices} devices"
                    audit_log.record(
                        connection, actor, how, text, tenant=group.tenant, reason=reason
                    )
            done = _sum(done, step)
            if len(numbers) < STEP:
                return done
            after = numbers[-1]

    def _step(
        self, connection: Connection, group: Group, numbers: Sequence[int], *, add: bool, dry: bool
    ) -> MembersChanged:
        if not dry:
            numbers = sorted(attributes.lock(connection, numbers))
        members = store.held(connection, group.tenant, group.name, numbers)
        moved = sorted(set(numbers) - set(members)) if add else members
        if add and (whole := store.full(connection, moved, GROUPS_MAX)) is not None:
            raise Conflict(
                f"The device {whole} is in {GROUPS_MAX} groups already.",
                hint="Take it out of another group first.",
                code="limit_reached",
            )
        names, connected = store.concerned(connection, moved, self._with_rights())
        sessions = connected if self.settings.authority == "dynamic_security" else 0
        if dry or not moved:
            return MembersChanged(len(moved), len(names), sessions)
        if add:
            rows = [(number, group.tenant, group.name) for number in moved]
            group_store.add_members(connection, rows)
        else:
            group_store.drop_members(connection, group.tenant, group.name, moved)
        changes.note_many(connection, moved)
        queued = change_queue.enqueue_many(connection, "put", names)
        return MembersChanged(len(moved), len(names), sessions, tuple(queued))

    # ------------------------------------------------------------------ inside

    def _with_rights(self) -> set[str]:
        """Dialects whose devices may use other topics because of a group."""
        return {dialect.name for dialect in self.devices.catalogue.all() if dialect.has_groups}

    def _note_members(self, connection: Connection, group: Group) -> None:
        """What follows devices looks at the members again."""
        if group.query is None:
            first = group_store.members(connection, group.tenant, group.name, limit=1)
            last = group_store.last_member(connection, group.tenant, group.name)
            if first and last is not None:
                changes.note(connection, first[0], last)

    def _counted(
        self, connection: Connection, tenant: str, query: str | None, *, static: str | None = None
    ) -> int:
        """Devices of a group that would have this query."""
        if query is None:
            return 0 if static is None else Selector(tenant, group=static).count(connection)
        named = groups_of(parse(query))
        known = group_store.find(connection, tenant, named)
        for name in sorted(named):
            if name not in known:
                raise group_not_found(name)
            if known[name].query is not None:
                raise Invalid(
                    f"The query names the group {name}, which is dynamic.",
                    hint="Queries can name static groups only.",
                    code="invalid_search",
                )
        return Selector(tenant, where=query).count(connection)

    def _find(self, connection: Connection, tenant: str, name: str) -> Group:
        found = group_store.find(connection, tenant, [name]) if _can_be(name) else {}
        if name not in found:
            raise group_not_found(name)
        return found[name]

    @contextmanager
    def _reading(self, actor: Actor, tenant: str) -> Iterator[Connection]:
        with self.database.read() as connection:
            _require_tenant(connection, actor, tenant)
            yield connection

    @contextmanager
    def _writing(self, actor: Actor, tenant: str, *, dry_run: bool) -> Iterator[Connection]:
        opened: Callable[[], object] = self.database.read if dry_run else self.database.write
        actor.require(Role.OPERATOR, tenant)
        with opened() as connection:  # type: ignore[attr-defined]
            _require_tenant(connection, actor, tenant)
            yield connection


def _require_tenant(connection: Connection, actor: Actor, name: str) -> None:
    actor.require(Role.VIEWER, actor.tenant)
    if not actor.sees(name) or not _can_be(name) or not tenant_exists(connection, name):
        raise NotFound(
            f"There is no tenant {name}.",
            hint="`mooring tenant list` shows every tenant.",
            code="tenant_not_found",
        )


def _can_be(name: str) -> bool:
    try:
        check_word(name, "name")
    except Invalid:
        return False
    return True


def _check(description: str, priority: int) -> None:
    if len(description) > DESCRIPTION_MAX:
        raise Invalid(
            f"The description has {len(description)} characters; {DESCRIPTION_MAX} are allowed.",
            hint="Use a shorter one.",
        )
    check_text(description, "description")
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        raise Invalid(
            f"A priority is a number from {-PRIORITY_MAX} to {PRIORITY_MAX}.",
            hint="The groups with higher numbers win.",
        )


def _audit(connection: Connection, actor: Actor, action: str, group: Group, reason: str) -> None:
    audit_log.record(connection, actor, action, group.name, tenant=group.tenant, reason=reason)


def _sum(one: MembersChanged, other: MembersChanged) -> MembersChanged:
    return replace(
        one,
        devices=one.devices + other.devices,
        rights=one.rights + other.rights,
        sessions=one.sessions + other.sessions,
        changes=one.changes + other.changes,
    )
