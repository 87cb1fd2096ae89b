"""docs/how-to/add-a-domain.md, followed to the letter: the domain that it describes works.

The files of the page lie in a folder of their own that joins the package ``mooring``, and the
part is in the list. Nothing else knows the domain. In a process of its own: its table joins the
schema.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "how-to" / "add-a-domain.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^`src/(mooring/\S+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PROGRAM = """
import importlib.util, json, sys
from pathlib import Path

overlay = Path(sys.argv[1]) / "mooring"
data = sys.argv[2]

import mooring, mooring.cli
mooring.__path__.append(str(overlay))
mooring.cli.__path__.append(str(overlay / "cli"))

from mooring import parts
from mooring.notes.part import PART
parts.PARTS = (*parts.PARTS, PART)
assert "mooring.notes.service" not in sys.modules  # a part is cheap

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from starlette.testclient import TestClient
from typer.testing import CliRunner

from mooring.app import open_app
from mooring.cli.main import app as commands
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewKey
from mooring.serve.app import create_app
from mooring.store.processes import Heartbeat

found = {}

def run(*words):
    done = CliRunner().invoke(commands, ["--data-dir", data, *words])
    return {"code": done.exit_code, "out": done.stdout}

with open_app(flags={"data_dir": data}, upgrade=True) as app:
    place = next(overlay.glob("store/migrations/versions/*.py"))
    spec = importlib.util.spec_from_file_location("migration", place)
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    with app.database.write() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            migration.upgrade()
        columns = sa.inspect(connection).get_columns("notes")
    (table,) = PART.tables()
    found["columns"] = [column["name"] for column in columns]
    found["declared"] = list(table.columns.keys())

    app.devices.add(SYSTEM, NewDevice("pump-1", "mooring"))
    key = app.people.add_key(SYSTEM, NewKey("test", Role.OPERATOR, "default", None)).secret
    api = create_app(app)
    with TestClient(api, headers={"X-API-Key": key}) as http:
        heartbeat = Heartbeat(
            app.database, "serve", dict, api.state.publisher.supervisor.report
        )
        heartbeat.start()
        found["posted"] = http.post(
            "/api/v1/devices/pump-1/notes", json={"text": "The valve sticks."}
        ).json()
        found["got"] = http.get("/api/v1/devices/pump-1/notes").json()
        found["documented"] = [
            path for path in http.get("/api/v1/openapi.json").json()["paths"] if "notes" in path
        ]
        found["listed"] = run("note", "list", "pump-1", "--json")
        found["help"] = run("--help")["out"]
        found["status"] = json.loads(run("status", "--json")["out"])
        heartbeat.stop()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the platform with the new domain says."""
    folder: Path = tmp_path_factory.mktemp("domain")
    files = _FILE.findall(PAGE)
    assert len(files) == 6
    for name, text in files:
        path = folder / "overlay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "overlay" / "mooring" / "notes" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder / "overlay", folder / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def test_its_table_is_what_the_migration_makes(found: dict[str, Any]) -> None:
    assert found["columns"] == found["declared"] == ["id", "device_id", "written_at", "text"]


def test_its_routes_are_served_and_documented(found: dict[str, Any]) -> None:
    assert found["posted"] == found["got"] == {"items": ["The valve sticks."]}
    assert found["documented"] == ["/api/v1/devices/{device}/notes"]


def test_its_noun_is_a_command(found: dict[str, Any]) -> None:
    assert found["listed"]["code"] == 0
    assert json.loads(found["listed"]["out"]) == {"items": ["The valve sticks."]}
    assert re.search(r"^  note +Notes on devices\.$", found["help"], re.MULTILINE)


def test_its_worker_is_in_the_status(found: dict[str, Any]) -> None:
    (serve,) = [one for one in found["status"]["processes"] if one["role"] == "serve"]
    (worker,) = [one for one in serve["workers"] if one["name"] == "notes"]
    assert (worker["phase"], worker["failures"]) == ("running", 0)


def test_the_page_is_formatted_like_the_source(tmp_path: Path) -> None:
    for name, text in _FILE.findall(PAGE):
        path = tmp_path / name.replace("/", "_")
        path.write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "100"]
    done = subprocess.run([*ruff, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
