"""Compiles the plugin for Mosquitto into the package, or into the folder given.

    .venv/bin/python scripts/build_plugin.py [FOLDER]

Prints the path. Exit code 0: it is there. Another: the message says what is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mooring.broker.plugin.build import LIBRARY_FOLDER, build
from mooring.errors import MooringError


def main(arguments: list[str]) -> int:
    try:
        print(build(Path(arguments[0]) if arguments else LIBRARY_FOLDER))
    except MooringError as exc:
        print(f"{exc.message} {exc.hint}", file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
