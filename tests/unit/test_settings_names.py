"""Variables that are misspelt, and a file that an editor wrote with a byte order mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.errors import InvalidSetting
from mooring.settings import Settings, load


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("MOORING_HTTP_PROT", "MOORING_HTTP_PORT"),
        ("MOORING_RETENTION_DAY", "MOORING_RETENTION_DAYS"),
        ("MOORING_DATABSE_URL", "MOORING_DATABASE_URL"),
        ("MOORING_PUBLIC_HOST", "MOORING_PUBLIC_HOSTS"),
    ],
)
def test_a_misspelt_variable_is_named(given: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(env={"MOORING_DATA_DIR": str(tmp_path), given: "1"})
    assert given in caught.value.message
    assert meant in caught.value.hint


@pytest.mark.parametrize(
    "given",
    ["MOORING_PORT", "MOORING_SERVICE_HOST", "MOORING_PORT_8080_TCP_ADDR", "MOORING_STORE", "PATH"],
)
def test_others_are_left_alone(given: str, tmp_path: Path) -> None:
    load(env={"MOORING_DATA_DIR": str(tmp_path), given: "tcp://10.0.0.1:8080"})


def test_every_setting_has_its_variable(tmp_path: Path) -> None:
    for name in Settings.model_fields:
        load(env={"MOORING_DATA_DIR": str(tmp_path), f"MOORING_{name.upper()}": ""})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "mooring.toml").write_bytes(b"\xef\xbb\xbfhttp_port = 9000\n")
    assert load(env={"MOORING_DATA_DIR": str(tmp_path)})[0].http_port == 9000
