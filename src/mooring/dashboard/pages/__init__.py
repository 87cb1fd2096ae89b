"""The pages, one file each. A new one also needs a template and a row in the tests' table."""

from __future__ import annotations

from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages import (
    account,
    alerts,
    audit,
    broker,
    certificates,
    claiming,
    commands,
    device_add,
    device_audit,
    device_charts,
    device_commands,
    device_connection,
    device_credentials,
    device_firmware,
    device_messages,
    device_now,
    device_settings,
    devices,
    first_device,
    flow,
    groups,
    job,
    map,
    messages,
    overview,
    people,
    rollout,
    rollouts,
    rules,
    search,
    settings,
    views,
)

__all__ = ["ACTIONS", "PAGES"]

_ALL = (
    overview,
    first_device,
    devices,
    device_add,
    map,
    job,
    claiming,
    groups,
    commands,
    rollouts,
    rollout,
    broker,
    certificates,
    people,
    audit,
    settings,
    device_now,
    device_charts,
    device_connection,
    device_commands,
    device_settings,
    device_firmware,
    device_messages,
    device_credentials,
    device_audit,
    messages,
    alerts,
    rules,
    flow,
    search,
    account,
    views,
)

PAGES: tuple[Page, ...] = tuple(page for module in _ALL for page in module.PAGES)
ACTIONS: tuple[Action, ...] = tuple(action for module in _ALL for action in module.ACTIONS)
