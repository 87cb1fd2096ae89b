"""Outcomes of what jobs have started, written by the domains that learn of them.

In the transaction of the outcome itself: one statement for any number of outcomes, found by an
index. The job counts them before it starts anything more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.jobs.model import Outcome
from mooring.jobs.rules import TargetState
from mooring.store.engine import now_ms
from mooring.store.given import given, parameter
from mooring.store.schema import job_targets
from mooring.store.schema.base import TEXT_MAX, shown

__all__ = ["note"]

_c = job_targets.c
_NAMES = ("reference", "state", "cause", "words", "mark")
_statements: dict[str, Any] = {}


def note(connection: Connection, outcomes: Iterable[Outcome]) -> None:
    """What became of these references, where a job has started them.

    An outcome is final, but one: a failed target succeeds late.
    """
    rows = [
        [one.reference, one.state.value, one.cause, shown(one.words, TEXT_MAX), one.mark]
        for one in outcomes
    ]
    if not rows:
        return
    connection.execute(
        _statement(connection.dialect.name), {**parameter(sorted(rows)), "at": now_ms()}
    )


def _statement(engine: str) -> Any:
    found = _statements.get(engine)
    if found is None:
        new = given(engine, {name: _c[name].type for name in _NAMES})
        late = sa.and_(
            _c.state == TargetState.FAILED.value, new.c.state == TargetState.SUCCEEDED.value
        )
        found = _statements[engine] = (
            sa.update(job_targets)
            .where(
                _c.reference == new.c.reference,
                _c.mark <= new.c.mark,
                sa.or_(_c.state == TargetState.HANDED_OVER.value, late),
            )
            .values(
                state=new.c.state,
                cause=new.c.cause,
                words=new.c.words,
                finished_at=sa.bindparam("at", type_=sa.BigInteger),
            )
        )
    return found
