"""A device with PyPI's ``rauc-hawkbit``, unmodified; RAUC itself is played (``gi/repository.py``).

python rauc_device.py HOST:PORT TENANT NAME PASSWORD BUNDLE VERSION
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # gi

import aiohttp
from rauc_hawkbit.rauc_dbus_ddi_client import RaucDBUSDDIClient


async def run(*words: str) -> None:
    host, tenant, name, password, bundle, version = words
    about = {"version": version}

    def installed(result: int) -> None:
        about["version"] = "2.0" if result == 0 else version

    async with aiohttp.ClientSession() as session:
        client: Any = RaucDBUSDDIClient(
            session, host, False, tenant, name, password, about, bundle, installed
        )
        await client.start_polling(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    asyncio.run(run(*sys.argv[1:]))
