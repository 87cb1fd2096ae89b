"""Connections of a child process, listed and ended from outside."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from mooring.broker import sockets
from mooring.broker.sockets import Peer, parse_table
from tests.support.waiting import wait_until

ROWS = [
    # sl local remote state … inode
    "0: 0100007F:22B3 0200000A:BEEF 01 0:0 0:0 0 1000 0 4711 1 0 20 4 30 10 -1",
    "1: 0100007F:22B3 0200000A:BEEE 0A 0:0 0:0 0 1000 0 4712 1 0 20 4 30 10 -1",  # listening
    "2: 0100007F:22B3 0200000A:BEED 01 0:0 0:0 0 1000 0 0 1 0 20 4 30 10 -1",  # not accepted
    "3: 0100007F:1F90 0200000A:BEEC 01 0:0 0:0 0 1000 0 4713 1 0 20 4 30 10 -1",  # another port
    "4: 0000000000000000FFFF00000100007F:22B3 0000000000000000FFFF00000300000A:0001 08"
    " 0:0 0:0 0 1000 0 4714 1 0 20 4 30 10 -1",
    "5: 00000000000000000000000001000000:22B3 0000000000000000000000000100000A:0002 01"
    " 0:0 0:0 0 1000 0 4715 1 0 20 4 30 10 -1",
]


@pytest.mark.skipif(sys.byteorder != "little", reason="the rows are of such a machine")
def test_the_kernels_table() -> None:
    assert list(parse_table(ROWS, {8883})) == [
        Peer(8883, "10.0.0.2", 0xBEEF, 4711),
        Peer(8883, "10.0.0.3", 1, 4714),
        Peer(8883, "::a00:1", 2, 4715),
    ]


CHILD = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
clients = [listener.accept()[0] for _ in range(3)]
print("all", flush=True)
for client in clients:
    print(client.recv(1) or "ended", flush=True)
"""


@pytest.mark.skipif(not sockets.supported(), reason="no /proc")
def test_one_of_a_childs_connections_is_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        three = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        assert child.stdout.readline() == "all\n"
        wait_until(lambda: len(sockets.connections({port})) == 3, "the connections to be listed")
        first = three[0].getsockname()[1]
        found = {peer.inode for peer in sockets.connections({port}) if peer.peer_port == first}
        assert sockets.end(child.pid, found) == 1
        assert three[0].recv(1) == b""
        assert child.stdout.readline() == "ended\n"
        used, most = sockets.descriptors(child.pid)
        assert 3 < used < most
        for one in three:
            one.close()
        child.wait(10)
