"""Which listeners take a client's username for its client id, and the platform's way around it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from mooring.errors import Unavailable
from mooring.pki.model import PkiPaths
from mooring.settings import Settings
from mooring.wiring.broker import BrokerFiles, broker_config


def listeners(settings: Settings) -> dict[int, bool]:
    config = broker_config(
        settings,
        BrokerFiles(settings),
        PkiPaths(*[settings.data_dir / "x"] * len(fields(PkiPaths))),
    )
    return {one.port: one.client_id_is_username for one in config.listeners}


@pytest.mark.parametrize("mode", ["password_file", "dynamic_security"])
def test_a_login_has_one_client_id_everywhere(tmp_path: Path, mode: str) -> None:
    """Dynamic Security binds a login to an id, and lets every unbound login use that id, too."""
    settings = Settings(data_dir=tmp_path, auth_mode=mode, mqtt_mtls_port=8885)
    assert listeners(settings) == {1883: True, 8883: True, 9001: True, 8885: True, 0: False}
    own = settings.model_copy(update={"client_ids": "own"})
    assert listeners(own) == {1883: False, 8883: False, 9001: False, 8885: True}


def test_the_platforms_socket_is_in_a_folder_of_its_own(tmp_path: Path) -> None:
    near = Settings(data_dir=tmp_path, auth_mode="password_file")
    deep = near.model_copy(update={"data_dir": tmp_path / ("d" * 120)})
    for settings in (near, deep):
        socket = settings.platform_socket
        assert socket is not None
        assert len(str(socket)) <= 100
        BrokerFiles(settings).make()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert near.platform_socket != deep.platform_socket
    folder = deep.platform_socket
    assert folder is not None
    try:
        folder.parent.chmod(0o755)
        with pytest.raises(Unavailable):
            BrokerFiles(deep).make()
    finally:
        folder.parent.rmdir()
    assert Settings(data_dir=tmp_path / "new", auth_mode="plugin").platform_socket is None
    assert near.model_copy(update={"broker": "attached"}).platform_socket is None


def test_the_plugin_binds_every_client_id_itself(tmp_path: Path) -> None:
    binary = tmp_path / "plugin.so"
    binary.touch()
    settings = Settings(
        data_dir=tmp_path, auth_mode="plugin", authority_library=binary, mqtt_mtls_port=8885
    )
    assert listeners(settings) == {1883: False, 8883: False, 9001: False, 8885: False}
