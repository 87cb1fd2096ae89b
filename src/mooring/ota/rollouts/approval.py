"""When a second person has to approve a rollout, and approve it again. Pure."""

from __future__ import annotations

from dataclasses import replace

from mooring.jobs.rules import Plan

__all__ = ["approval_words", "is_easier"]

_EASIER = ("pace", "at_once", "stop_after", "stop_share")
"""Parts of a plan that nobody has to approve again, where the change slows it or stops it
earlier."""


def approval_words(changed_by: str) -> str:
    """What a rollout waits for before it is approved."""
    return f"a second person has to approve what {changed_by} started or changed"


def is_easier(before: Plan, after: Plan) -> bool:
    """Whether the plan after a change only offers less at a time or stops earlier."""
    rest = {name: getattr(after, name) for name in _EASIER}
    if replace(before, **rest) != after:
        return False
    return all(
        getattr(after, name) == getattr(before, name)
        or (
            getattr(after, name) is not None
            and (getattr(before, name) is None or getattr(after, name) < getattr(before, name))
        )
        for name in _EASIER
    )
