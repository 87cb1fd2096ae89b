"""Rows of firmware updates as values, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from mooring.ota.updates.model import Kind, Seen, State, Step, Update, Way
from mooring.store.schema import firmware_updates

__all__ = ["COLUMNS", "NAMES", "row_of", "update_of"]

NAMES = tuple(one.name for one in fields(Update))
COLUMNS = [firmware_updates.c[name] for name in NAMES]


def update_of(row: Sequence[Any]) -> Update:
    """The update of a row with ``COLUMNS``."""
    values = dict(zip(NAMES, row, strict=True))
    values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
    values["seen"], values["way"] = Seen(values["seen"]), Way(values["way"])
    values["provable"], values["reports"] = bool(values["provable"]), bool(values["reports"])
    if values["linked"] is not None:
        values["linked"] = bool(values["linked"])
    values["history"] = tuple(
        Step(at, State(state), event, words)
        for at, state, event, words in json.loads(values["history"])
    )
    return Update(**values)


def row_of(update: Update) -> dict[str, Any]:
    """The values of its columns."""
    row = {name: getattr(update, name) for name in NAMES}
    for name in ("kind", "state", "seen", "code", "way"):
        row[name] = str(row[name])
    row["history"] = json.dumps(
        [[step.at, str(step.state), step.event, step.words] for step in update.history],
        ensure_ascii=False,
    )
    return row
