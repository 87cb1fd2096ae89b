"""The pages, one file each. A new one also needs a template and a row in the tests' table."""

from __future__ import annotations

from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages import account, device_add, devices, first_device, job, overview

__all__ = ["ACTIONS", "PAGES"]

_ALL = (overview, first_device, account, devices, device_add, job)

PAGES: tuple[Page, ...] = tuple(page for module in _ALL for page in module.PAGES)
ACTIONS: tuple[Action, ...] = tuple(action for module in _ALL for action in module.ACTIONS)
