"""``mosquitto_sub > /dev/null``: what the broker can hand to anybody who stores nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.arena import SUBSCRIPTION
from bench.contestants.model import Contestant, Ground, NotHere, Running, until_subscribed
from bench.contestants.mooring import ended
from bench.processes import VISIBLE
from bench.processes import ended as has_ended
from mooring.files import write_atomically
from tests.support.programs import MissingProgram, find_program

__all__ = ["MOSQUITTO_SUB"]

CLIENT_ID = "bench-limit"


@contextmanager
def _mosquitto_sub(ground: Ground) -> Iterator[Running]:
    arena, login = ground.arena, ground.arena.endpoint
    # Options in a file of the user's: a password in the arguments is seen by everybody.
    options = arena.directory / "options"
    options.mkdir()
    write_atomically(
        options / "mosquitto_sub",
        f"-u {shlex.quote(login.username)}\n-P {shlex.quote(login.password)}\n",
    )
    process = subprocess.Popen(
        [
            *(_program(), "-h", login.host, "-p", str(login.port), "-i", CLIENT_ID),
            *("-t", SUBSCRIPTION, "-q", "1", "-C", str(ground.count)),
        ],
        env=os.environ | {"XDG_CONFIG_HOME": str(options)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )

    def received() -> int:
        # Where its figures can be read, its exit code is not asked for before they are.
        gone = has_ended(process.pid) if VISIBLE else process.poll() is not None
        return ground.count if gone else 0

    try:
        until_subscribed(arena, CLIENT_ID, lambda: "mosquitto_sub")
        yield Running({"ingest": process.pid}, received)
    finally:
        ended(process)


def _program() -> str:
    return str(find_program("mosquitto_sub", package="mosquitto-clients"))


def _prepare() -> None:
    try:
        _program()
    except MissingProgram as exc:
        raise NotHere(str(exc)) from exc


MOSQUITTO_SUB = Contestant(
    "mosquitto_sub", "mosquitto_sub > /dev/null", 40_000, _mosquitto_sub, prepare=_prepare
)
