"""Puts the compiled plugin for Mosquitto into the wheel, where a C compiler is there.

Without one the wheel is for every platform and has the sources only: Mooring compiles them where
it runs, or uses another authority. ``MOORING_REQUIRE_PLUGIN=1`` makes a missing compiler an
error; ``MOORING_WHEEL_PLATFORM`` names the wheel's platform (``manylinux_2_17_x86_64``).
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "mooring/broker/plugin/lib"


class PluginHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # scripts/setup.sh compiles it into the source tree
        sys.path.insert(0, str(Path(self.root) / "src"))
        from mooring.broker.plugin.build import build
        from mooring.errors import MooringError

        self._folder = tempfile.TemporaryDirectory(prefix="mooring-plugin-")
        try:
            library = build(Path(self._folder.name))
        except MooringError as exc:
            if os.environ.get("MOORING_REQUIRE_PLUGIN") == "1":
                raise
            self.app.display_warning(f"{exc.message} The wheel has no compiled plugin.")
            return
        finally:
            sys.path.pop(0)
        platform = os.environ.get("MOORING_WHEEL_PLATFORM") or sysconfig.get_platform()
        build_data["force_include"][str(library)] = f"{PLACE}/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()
