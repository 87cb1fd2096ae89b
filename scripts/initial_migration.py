"""Writes the initial migration anew from the declared schema; until the first release only.

.venv/bin/python scripts/initial_migration.py
"""

import tempfile
from pathlib import Path

from alembic import command

from mooring.store import engine, migrate

VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"


def main() -> None:
    for old in VERSIONS.glob("0001_*.py"):
        old.unlink()
    with tempfile.TemporaryDirectory() as directory:
        database = engine.open_database(f"sqlite:///{directory}/empty.db")
        config = migrate.script_config()
        with database.write() as connection:
            config.attributes["connection"] = connection
            command.revision(config, "The first schema", autogenerate=True, rev_id="0001")
        database.close()


if __name__ == "__main__":
    main()
