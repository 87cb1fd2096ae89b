"""Every verdict of ``mooring device why``, brought about on a real broker with the plugin.

The other authorities: ``test_certificates.py`` (password file) and ``tests/attacks``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mooring.doctor.refusals import Code
from tests.support.platform import Platform
from tests.support.whys import SITUATIONS, Whys, table

TABLE = table()


@pytest.fixture(scope="module")
def whys(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Whys:
    made = Whys(platform, tmp_path_factory.mktemp("why"), platform.ports["mqtt_mtls_port"])
    assert made.authority == "plugin"
    return made


@pytest.fixture(autouse=True)
def end_clients(whys: Whys) -> Iterator[None]:
    yield
    whys.end()


def test_the_page_has_every_verdict() -> None:
    assert set(TABLE) == set(Code)
    assert {code for cells in TABLE.values() for code in cells.values() if code} == set(Code)
    provoked = {name for name, cells in TABLE.items() if cells["plugin"]}
    assert provoked == set(SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_verdict_on_a_real_broker(whys: Whys, situation: str) -> None:
    SITUATIONS[situation](whys, TABLE[situation]["plugin"])


def test_the_command_line_says_the_same(whys: Whys) -> None:
    lamp = whys.add()
    said = whys.platform.cli("device", "why", lamp.reference, "--json", expect=1).json()
    assert said["code"] == whys.why(lamp)["code"] == "never_reached"
    assert whys.api.get("/devices/why-was-never/why").status_code == 404
