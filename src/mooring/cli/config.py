"""``mooring config``: the effective settings and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mooring.cli.frame import Session, command, noun
from mooring.later import later
from mooring.settings.shown import as_text, shown_value

with later():
    from mooring import settings as settings_module

if TYPE_CHECKING:
    from mooring.settings import Settings

__all__ = ["app"]

app = noun("Effective settings and their sources.")


@command(app, "show")
def show(session: Session) -> None:
    """Print every setting with its effective value and source."""
    settings, origins = session.settings()
    rows = [
        {
            "name": name,
            "value": shown_value(getattr(settings, name)),
            "origin": origins[name].where,
            "meaning": field.description,
            "variables": list(settings_module.variable_names(name, field)),
        }
        for name, field in settings_module.Settings.model_fields.items()
    ]
    if session.out.as_json:
        session.out.document({"file": str(_file(settings)), "settings": rows})
        return
    session.out.table(
        ["Setting", "Value", "From", "Meaning"],
        [[row["name"], as_text(row["value"]), row["origin"], row["meaning"]] for row in rows],
    )


@command(app, "path")
def path(session: Session) -> None:
    """Print the path of the settings file. It need not exist."""
    settings, _ = session.settings()
    file = _file(settings)
    if session.out.as_json:
        session.out.document(
            {
                "file": str(file),
                "exists": file.is_file(),
                "data_dir": str(settings.data_dir.absolute()),
            }
        )
    else:
        session.out.say(str(file))


def _file(settings: Settings) -> Path:
    named = os.environ.get("MOORING_CONFIG")
    return (Path(named) if named else settings.data_dir / "mooring.toml").absolute()
