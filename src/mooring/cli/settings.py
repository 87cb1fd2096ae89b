"""``mooring settings``: settings of tenants, dialects, types and groups of devices."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import many
from mooring.cli.assignments import patch_of, read_object, removal_of
from mooring.cli.device_settings import Assignments, FromFile, GuardFor, IfVersion
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.later import later

with later():
    from mooring.device_settings import api_levels, levels, model

if TYPE_CHECKING:
    from mooring.device_settings.model import LevelView

__all__ = ["app"]

app = noun("Settings of tenants, dialects, types and groups of devices.")
schema = noun("JSON Schemas of settings.")
app.add_typer(schema, name="schema")


class LevelWord(StrEnum):
    """``mooring.device_settings.model.Level`` without that of a device."""

    TENANT = "tenant"
    DIALECT = "dialect"
    TYPE = "type"
    GROUP = "group"


Kind = Annotated[LevelWord, typer.Argument(metavar="LEVEL", help="Level of the settings.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the tenant, dialect, type or group.")
]
OfTenant = Annotated[str, typer.Option("--tenant", help="Tenant that owns the devices.")]


@command(app, "list")
def list_(
    session: Session,
    *,
    tenant: OfTenant = "default",
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Continue after the level with this number.")
    ] = 0,
) -> None:
    """List the levels of a tenant that have settings."""
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).page(
            session.actor, tenant, after=after, limit=limit
        )
    if session.out.as_json:
        items = [{"number": number, **_document(view)} for number, view in found]
        session.out.document({"tenant": tenant, "levels": items})
        return
    session.out.table(
        ["Number", "Level", "Name", "Version", "Settings", "Schema", "Changed"],
        [
            [
                number,
                view.row.key.level,
                view.row.key.name or tenant,
                view.row.version,
                json.dumps(view.row.document, ensure_ascii=False),
                "yes" if view.row.schema is not None else "no",
                "" if view.row.updated_at is None else ago(view.row.updated_at),
            ]
            for number, view in found
        ],
        right=["Number", "Version"],
        empty=f"No level of the tenant {tenant} has settings.",
    )


@command(app, "show")
def show(session: Session, level: Kind, name: Name, *, tenant: OfTenant = "default") -> None:
    """Show the settings of a level."""
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).show(
            session.actor, *_place(level, name, tenant)
        )
    _say(session, found)


@command(app, "set")
def set_(
    session: Session,
    level: Kind,
    name: Name,
    assignments: Assignments = None,
    *,
    file: FromFile = None,
    tenant: OfTenant = "default",
    priority: Annotated[
        int | None,
        typer.Option(
            "--priority", help="Of a group: of two groups the one with the higher priority wins."
        ),
    ] = None,
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Set settings of a level. Values are JSON, or else text."""
    patch = patch_of(assignments or (), None if file is None else read_object(file))
    change = model.Change(patch, if_match=_versions(if_version), reason=reason)
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).change(
            session.actor, *_place(level, name, tenant), change, priority=priority
        )
    _say(session, found)


@command(app, "unset")
def unset(
    session: Session,
    level: Kind,
    name: Name,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys to remove.")],
    *,
    tenant: OfTenant = "default",
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Remove settings of a level."""
    change = model.Change(removal_of(keys), if_match=_versions(if_version), reason=reason)
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).change(
            session.actor, *_place(level, name, tenant), change
        )
    _say(session, found)


@command(app, "send")
def send(
    session: Session,
    assignments: Assignments = None,
    *,
    file: FromFile = None,
    names: many.Named = None,
    everyone: many.AllDevices = False,
    where: many.Where = None,
    group: many.Group = None,
    tenant: many.OfTenant = "default",
    guard: GuardFor = None,
    pace: many.Pace = "100/s",
    at_once: many.AtOnce = None,
    stop_after: many.StopAfter = None,
    stop_share: many.StopShare = None,
    wait: many.Wait = False,
    reason: Reason = "",
) -> int:
    """Set settings of many devices, each at its own level and one after the other: a job."""
    patch = patch_of(assignments or (), None if file is None else read_object(file))
    what = {"patch": patch, "guard_seconds": 0 if guard is None else int(seconds_of(guard))}
    plan = many.plan_of(pace, at_once=at_once, stop_after=stop_after, stop_share=stop_share)
    chosen = many.selector_of(tenant, names=names, everyone=everyone, where=where, group=group)
    return many.start(session, many.new_job("settings", what, chosen, plan, reason), wait=wait)


@command(schema, "show")
def show_schema(session: Session, level: Kind, name: Name, *, tenant: OfTenant = "default") -> None:
    """Print the JSON Schema of a level."""
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).schema(
            session.actor, *_place(level, name, tenant)
        )
    session.out.document(json.loads(found))


@command(schema, "set")
def set_schema(
    session: Session,
    level: Kind,
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File with the schema; - is standard input.")
    ],
    *,
    tenant: OfTenant = "default",
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Set the JSON Schema (draft 2020-12) that settings of the level's devices must fulfil."""
    text = json.dumps(read_object(file)).encode()
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).set_schema(
            session.actor,
            *_place(level, name, tenant),
            text,
            if_match=_versions(if_version),
            reason=reason,
        )
    _say(session, found)


@command(schema, "remove")
def remove_schema(
    session: Session,
    level: Kind,
    name: Name,
    *,
    tenant: OfTenant = "default",
    reason: Reason = "",
) -> None:
    """Remove the JSON Schema of a level."""
    with session.open() as platform:
        found = platform.service(levels.SettingsLevels).set_schema(
            session.actor, *_place(level, name, tenant), None, reason=reason
        )
    _say(session, found)


def _place(level: LevelWord, name: str, tenant: str) -> tuple[str, model.Level, str]:
    if level is LevelWord.TENANT:
        return name, model.Level.TENANT, ""
    return tenant, model.Level(level.value), name


def _versions(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset({text})


def _document(view: LevelView) -> dict[str, Any]:
    found = api_levels.document(view)
    if found["updated_at"] is not None:
        found["updated_at"] = iso(found["updated_at"])
    return found


def _say(session: Session, view: LevelView) -> None:
    found = _document(view)
    if session.out.as_json:
        session.out.document(found)
        return
    session.out.facts(
        [
            ("level", f"{found['level']} {found['name']}"),
            ("tenant", found["tenant"]),
            ("version", f"{found['version']}  (for --if-version)"),
            *([("priority", found["priority"])] if found["level"] == "group" else []),
            ("settings", json.dumps(found["settings"], ensure_ascii=False, sort_keys=True)),
            ("schema", "yes" if found["has_schema"] else "no"),
            ("changed", found["updated_at"] or "never"),
            ("applied", "to all devices" if not found["pending"] else "not to all devices yet"),
        ]
    )
