"""Who takes messages from the broker: Mooring, the limit, and what users run today."""

from __future__ import annotations

from bench.contestants.model import Contestant, Ground, NotHere, Running
from bench.contestants.mooring import POSTGRESQL, SQLITE, WITH_KEEPER
from bench.contestants.mosquitto_sub import MOSQUITTO_SUB
from bench.contestants.node_backend import NODE_BACKEND
from bench.contestants.node_red import NODE_RED_POSTGRESQL, NODE_RED_SQLITE
from bench.contestants.orm import ORM

__all__ = ["ALL", "Contestant", "Ground", "NotHere", "Running"]

ALL = {
    one.name: one
    for one in (
        SQLITE,
        POSTGRESQL,
        MOSQUITTO_SUB,
        WITH_KEEPER,
        NODE_BACKEND,
        NODE_RED_SQLITE,
        NODE_RED_POSTGRESQL,
        ORM,
    )
}
