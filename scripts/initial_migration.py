"""Rewrites the initial migration from the declared schema. Only before the first release.

.venv/bin/python scripts/initial_migration.py
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from mooring.store import engine, migrate

MIGRATIONS = Path(migrate.__file__).parent / "migrations"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        # Apart from the later migrations, which build on the one that is written here.
        apart = Path(directory) / "migrations"
        (apart / "versions").mkdir(parents=True)
        for name in ("env.py", "script.py.mako"):
            shutil.copy(MIGRATIONS / name, apart)
        config = migrate.script_config()
        config.set_main_option("script_location", str(apart))
        database = engine.open_database(f"sqlite:///{directory}/empty.db")
        with database.write() as connection:
            config.attributes["connection"] = connection
            command.revision(config, "The first schema", autogenerate=True, rev_id="0001")
        database.close()
        (written,) = (apart / "versions").glob("0001_*.py")
        for old in (MIGRATIONS / "versions").glob("0001_*.py"):
            old.unlink()
        shutil.copy(written, MIGRATIONS / "versions")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", MIGRATIONS], check=True)


if __name__ == "__main__":
    main()
