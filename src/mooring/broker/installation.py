"""Where Mosquitto is on this machine, and which one it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from mooring.errors import NotFound, Unavailable

__all__ = ["find_dynsec_plugin", "find_mosquitto", "parse_version", "version"]

DYNSEC_LIBRARY = "mosquitto_dynamic_security.so"

_BINARY_FOLDERS = (
    "/usr/sbin",  # Debian and its kin; not on an ordinary user's PATH
    "/usr/local/sbin",
    "/opt/homebrew/sbin",  # Homebrew on Apple silicon
    "/usr/local/opt/mosquitto/sbin",  # Homebrew on Intel
)

_BESIDE_PATTERNS = (
    f"lib/*-linux-gnu*/{DYNSEC_LIBRARY}",  # Debian multiarch: /usr/sbin, /usr/lib/x86_64-…
    f"lib64/{DYNSEC_LIBRARY}",
    f"lib/{DYNSEC_LIBRARY}",
    f"lib/mosquitto/{DYNSEC_LIBRARY}",
)
"""Below the folder that holds the binary's ``sbin`` or ``bin``."""

_PLUGIN_PATTERNS = (
    f"/usr/lib/*-linux-gnu*/{DYNSEC_LIBRARY}",  # Debian multiarch
    f"/usr/lib64/{DYNSEC_LIBRARY}",
    f"/usr/lib/{DYNSEC_LIBRARY}",
    f"/usr/local/lib/{DYNSEC_LIBRARY}",
    f"/opt/homebrew/lib/{DYNSEC_LIBRARY}",
    f"/opt/homebrew/opt/mosquitto/lib/{DYNSEC_LIBRARY}",
    f"/usr/local/opt/mosquitto/lib/{DYNSEC_LIBRARY}",
    f"/usr/lib/mosquitto/{DYNSEC_LIBRARY}",
)


def find_mosquitto(configured: Path | None = None) -> Path:
    """The ``mosquitto`` binary: as configured, on the PATH, or in the usual places.

    Raises:
        NotFound: none exists, or the configured one cannot be run.
    """
    if configured is not None:
        if configured.is_file() and os.access(configured, os.X_OK):
            return configured
        raise NotFound(
            f"The program {configured} does not exist.", hint="Correct the broker's path."
        )
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_BINARY_FOLDERS])
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise NotFound(
            "Mosquitto is not installed.",
            hint="Install it (apt install mosquitto, brew install mosquitto), or attach to a "
            "broker that runs elsewhere.",
            code="mosquitto_not_found",
        )
    return Path(found)


def find_dynsec_plugin(configured: Path | None = None, *, binary: Path | None = None) -> Path:
    """The library of the Dynamic Security plugin: as configured, from the same installation as
    the broker's binary, or in the usual places.

    Args:
        configured: the path in the settings.
        binary: the broker that will load it; by default the one ``find_mosquitto`` finds. A
            library of another version does not fit it.

    Raises:
        NotFound: Mosquitto is installed without it, or the configured path is wrong.
    """
    if configured is not None:
        if configured.is_file():
            return configured
        raise NotFound(
            f"The plugin {configured} does not exist.", hint="Correct the plugin's path."
        )
    binary = binary or find_mosquitto()
    # Also where a link to it points: Homebrew keeps each version in a folder of its own.
    for prefix in dict.fromkeys((binary.resolve().parent.parent, binary.absolute().parent.parent)):
        for pattern in _BESIDE_PATTERNS:
            for candidate in sorted(prefix.glob(pattern)):
                if candidate.is_file():
                    return candidate
    for pattern in _PLUGIN_PATTERNS:
        for candidate in sorted(Path("/").glob(pattern.lstrip("/"))):
            if candidate.is_file():
                return candidate
    raise NotFound(
        f"{DYNSEC_LIBRARY} was not found.",
        hint="Use the password file as authority, or set the plugin's path.",
        code="dynsec_plugin_not_found",
    )


def version(binary: Path) -> tuple[int, int, int]:
    """The version of a Mosquitto binary.

    Raises:
        Unavailable: it does not run or does not say.
    """
    try:
        # 2.0 answers -h with its version and exit code 3.
        result = subprocess.run(
            [str(binary), "-h"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unavailable(f"{binary} cannot be run: {exc}.") from exc
    found = parse_version(result.stdout + result.stderr)
    if found is None:
        raise Unavailable(f"{binary} does not report a Mosquitto version.")
    return found


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The numbers in ``mosquitto version 2.0.11``, wherever they are in ``text``."""
    match = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
