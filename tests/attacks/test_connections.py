"""Connections that say nothing, and more of them than a listener is to have."""

from __future__ import annotations

import os
import signal
import ssl
import sys

import pytest

from mooring.broker import sockets
from mooring.wiring.descriptors import RESERVE
from tests.attacks.stand import Attacked
from tests.support.raw_mqtt import RawClient
from tests.support.waiting import wait_until

MOST = 20
WEBSOCKET = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc")


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    return {"MOORING_MAX_CONNECTIONS": str(MOST), "MOORING_BROKER_LOGIN_SECONDS": "3"}


def still_open(clients: list[RawClient]) -> int:
    """How many the broker has not closed."""
    return sum(1 for client in clients if not client.closed())


def connects_by_tls(attacked: Attacked) -> bool:
    login = attacked.victim()
    context = ssl.create_default_context(cafile=attacked.platform.data_dir / "pki" / "ca.crt")
    context.check_hostname = False
    try:
        client = RawClient(attacked.platform.ports["mqtt_tls_port"], tls=context)
    except OSError:
        return False
    with client:
        return client.connect(login.client_id, login.username, login.password) == 0


@pytest.mark.attack("idle connections lock everyone out")
@pytest.mark.parametrize("port", ["mqtt_tls_port", "mqtt_ws_port"])
def test_idle_connections_lock_everyone_out(attacked: Attacked, port: str) -> None:
    idle = [attacked.raw(port) for _ in range(3 * MOST)]
    attacked.lives(attacked.victim())  # over loopback, meanwhile
    wait_until(lambda: still_open(idle) == 0, "idle connections to be closed")
    wait_until(lambda: connects_by_tls(attacked), "a device to connect")


@pytest.mark.attack("more connections than the limit after a reload")
def test_more_connections_than_the_limit_after_a_reload(attacked: Attacked) -> None:
    os.kill(attacked.broker_pid(), signal.SIGHUP)
    attacked.log_is_read()
    many = [attacked.raw("mqtt_tls_port") for _ in range(3 * MOST)]
    wait_until(lambda: still_open(many) <= MOST, "the limit to be enforced")


@pytest.mark.attack("more WebSockets than the limit")
def test_more_websockets_than_the_limit(attacked: Attacked) -> None:
    many = [attacked.raw("mqtt_ws_port") for _ in range(3 * MOST)]
    for client in many:
        client.send(WEBSOCKET)
    wait_until(lambda: still_open(many) <= MOST, "the limit to be enforced")
    counted = "connections_without_login", "connections_beyond_limit"
    wait_until(lambda: sum(map(attacked.platform.counted, counted)) > 0, "them to be counted")


@pytest.mark.attack("the broker runs out of descriptors")
def test_the_broker_has_more_descriptors_than_its_listeners_take(attacked: Attacked) -> None:
    _, most = sockets.descriptors(attacked.broker_pid())
    assert most >= 3 * MOST + RESERVE
