"""Settings: every effective value and where it comes from; secrets are masked."""

from __future__ import annotations

import os
from inspect import get_annotations
from typing import Any

from mooring import settings as settings_module
from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page
from mooring.identity.actor import Role
from mooring.settings.file import read_toml
from mooring.settings.shown import as_text, shown_value

__all__ = ["ACTIONS", "PAGES", "SECTIONS"]

SECTIONS = {
    "platform": "Storage, HTTP and logging",
    "broker": "Broker",
    "pki": "TLS and certificates",
    "credentials": "Credentials of devices",
    "people": "People",
    "oidc": "Sign-in with a provider",
    "ingest": "Ingest",
    "sequences": "Receipts and gaps",
    "rollups": "Roll-ups",
    "retention": "Retention",
    "limits": "Limits of devices",
    "devices": "Devices",
    "discovery": "Unknown devices",
    "groups": "Groups",
    "presence": "Presence",
    "downlinks": "Downlinks",
    "commands": "Commands",
    "jobs": "Jobs",
    "device_settings": "Settings of devices",
    "alerts": "Rules and alerts",
    "notify": "Notifications",
    "firmware": "Firmware",
    "stream": "Live stream",
    "system_topics": "System topics",
}
"""A file of ``mooring.settings`` → what its settings are about, in the order of the page."""


def view(call: Call) -> dict[str, Any]:
    """Those that differ from the default first, if asked for alone."""
    fields = settings_module.Settings.model_fields
    settings = call.app.settings
    find, changed = call.query.text("search").lower(), call.query.flag("changed")
    in_file = _names_in_file(call)
    sections: dict[str, list[dict[str, Any]]] = {}
    for name, field in fields.items():
        value = getattr(settings, name)
        default = value == field.default
        if changed and default:
            continue
        if find and find not in name and find not in field.description.lower():
            continue
        sections.setdefault(_section(name), []).append(
            {
                "name": name,
                "value": as_text(shown_value(value)),
                "default": as_text(shown_value(field.default)),
                "changed": not default,
                "source": _source(name, field, default, in_file),
                "meaning": field.description,
                "variable": settings_module.variable_names(name, field)[0],
            }
        )
    return {
        "sections": [(SECTIONS[name], sections[name]) for name in SECTIONS if name in sections],
        "listed": sum(map(len, sections.values())),
        "search": find,
        "changed": changed,
        "number": len(fields),
    }


def _section(name: str) -> str:
    """The file of ``mooring.settings`` that declares it."""
    for one in settings_module.Settings.__mro__:
        if name in get_annotations(one):
            return one.__module__.rpartition(".")[2]
    raise KeyError(name)


def _names_in_file(call: Call) -> set[str]:
    path = call.app.settings.data_dir / "mooring.toml"
    if not path.is_file():
        return set()
    return set(read_toml(path, settings_module.Settings.model_fields))


def _source(name: str, field: Any, default: bool, in_file: set[str]) -> str:
    variable = next(
        (one for one in settings_module.variable_names(name, field) if one in os.environ), None
    )
    if variable is not None:
        return variable
    if name in in_file:
        return "mooring.toml"
    return "default" if default else "command line"


PAGE = Page(
    "/settings",
    "Settings",
    view,
    "settings",
    role=Role.ADMIN,
    whole=True,
    nav=Nav("run", 60, "Settings", "e"),
)
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
