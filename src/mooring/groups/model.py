"""Groups as people see them, and what a change of members would do."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.devices.model import Group

__all__ = ["GroupView", "MembersChanged", "NewGroup"]


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to create; unchecked.

    Attributes:
        query: of a dynamic group; ``None``: it is static.
        priority: among the groups of a device: the settings of the higher one win.
    """

    name: str
    tenant: str = "default"
    query: str | None = None
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group and how many devices it has.

    Attributes:
        devices: ``None``: a dynamic group whose query was not evaluated.
    """

    group: Group
    devices: int | None


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """What a change of members did, or would do.

    Attributes:
        devices: that were added or removed; others were in the group, or not in it, already.
        rights: how many of them may use other topics because of it.
        sessions: how many connections end at most because of that: with Dynamic Security,
            Mosquitto 2.1 ends those of devices whose rights change, and 2.0 none.
        changes: pending broker changes to wait for; empty for a dry run.
    """

    devices: int
    rights: int
    sessions: int
    changes: tuple[int, ...] = ()
