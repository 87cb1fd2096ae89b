"""Compiles ``mooring_authority``, the library that Mosquitto loads, and finds it.

The name of the compiled file has a digest of the sources, so a file is never replaced while a
broker uses it, and one of other sources is never taken. A C compiler is all that is needed:
libcrypto and libsqlite3 are found when the broker loads the library.
``scripts/build_plugin.py`` compiles it into the package; ``scripts/setup.sh`` calls that.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mooring.errors import Internal, Unavailable

__all__ = ["LIBRARY_FOLDER", "NATIVE", "build", "digest", "find_library", "library_name"]

NATIVE = Path(__file__).with_name("native")
"""The C sources."""

LIBRARY_FOLDER = Path(__file__).with_name("lib")
"""Where a wheel has the compiled library, and where ``scripts/setup.sh`` puts it."""

COMPILE_SECONDS = 120.0

FLAGS = (
    "-std=c11",
    "-O2",
    "-D_GNU_SOURCE",
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=2",
    "-fstack-protector-strong",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
)
LINUX_FLAGS = ("-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-ldl")
MACOS_FLAGS = ("-undefined", "dynamic_lookup")  # the broker has the other functions
STRICT = (
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wpointer-arith",
    "-Wcast-qual",
    "-Wwrite-strings",
    "-Wundef",
    "-Werror",
)


def digest() -> str:
    """Twelve hex digits that differ whenever a source or a flag does."""
    found = hashlib.sha256("\0".join((*FLAGS, *LINUX_FLAGS, *MACOS_FLAGS)).encode())
    for path in sorted(NATIVE.rglob("*.[ch]")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def library_name() -> str:
    return f"mooring_authority-{digest()}.so"


def find_library(*folders: Path) -> Path | None:
    """The compiled library of these sources: in the package, or in one of ``folders``."""
    name = library_name()
    for folder in (LIBRARY_FOLDER, *folders):
        if (folder / name).is_file():
            return folder / name
    return None


def build(target: Path, *, strict: bool = False) -> Path:
    """Compiles the library into the folder ``target``, unless it is there already.

    Args:
        target: is made if it does not exist.
        strict: warnings are errors; for tests, since compilers differ in what they warn of.

    Raises:
        Unavailable: no compiler (code ``no_compiler``), or one that does not work
            (``compiler_failed``).
        Internal: the folder cannot be written.
    """
    path = target / library_name()
    if path.is_file():
        return path
    compiler = _compiler()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".build-") as folder:
            made = Path(folder) / path.name
            _compile(compiler, made, STRICT if strict else ())
            made.chmod(0o755)
            made.replace(path)
    except OSError as exc:
        raise Internal(
            f"The plugin for Mosquitto cannot be written to {target}: {exc.strerror}.",
            hint="Make the folder writable, or free some space.",
        ) from exc
    return path


def _compiler() -> list[str]:
    words = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(words[0]) is None:
        raise Unavailable(
            f"The C compiler {words[0]!r} was not found.",
            hint="Install one, for example with: sudo apt-get install gcc libc6-dev",
            code="no_compiler",
        )
    return words


def _compile(compiler: list[str], made: Path, warnings: tuple[str, ...]) -> None:
    system = MACOS_FLAGS if sys.platform == "darwin" else LINUX_FLAGS
    sources = sorted(str(path) for path in NATIVE.glob("*.c"))
    command = [*compiler, *FLAGS, *warnings, "-o", str(made), *sources, *system]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise _failed(compiler, f"it took more than {COMPILE_SECONDS:.0f} s") from exc
    if result.returncode != 0:
        said = result.stderr.strip().splitlines()
        raise _failed(compiler, said[0] if said else f"exit code {result.returncode}")


def _failed(compiler: list[str], why: str) -> Unavailable:
    return Unavailable(
        f"The C compiler {compiler[0]!r} could not build the plugin for Mosquitto: {why}.",
        hint="Install the C library's headers, for example with: sudo apt-get install libc6-dev",
        code="compiler_failed",
    )
