"""Node-RED: an MQTT input, a function, a database; one INSERT a message.

On SQLite by its own node (the database in WAL mode), on PostgreSQL by the package ``pg`` from a
function node, with a pool of connections. Without editor and HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from bench.arena import SUBSCRIPTION
from bench.contestants.model import (
    Contestant,
    Ground,
    Running,
    plain_running,
    plain_table,
    until_subscribed,
)
from bench.contestants.mooring import ended
from bench.contestants.npm import installed, node, place
from mooring.files import write_atomically

__all__ = ["NODE_RED_POSTGRESQL", "NODE_RED_SQLITE"]

CLIENT_ID = "bench-node-red"

_SETTINGS = """
module.exports = {
  flowFile: 'flows.json',
  credentialSecret: false,
  httpAdminRoot: false,
  httpNodeRoot: false,
  disableEditor: true,
  uiHost: '127.0.0.1',
  uiPort: 0,
  logging: { console: { level: 'info', metrics: false, audit: false } },
  functionGlobalContext: {
    pg: process.env.BENCH_DATABASE ? require(process.env.BENCH_PG) : null,
  },
};
"""
_PARAMETERS = """
msg.params = { $device: msg.topic.split('/')[2], $at: Date.now(), $payload: msg.payload };
return msg;
"""
_POOL = """
const { Pool } = global.get('pg');
context.set('pool', new Pool({ connectionString: env.get('BENCH_DATABASE') }));
"""
_QUERY = """
context.get('pool').query(
  'INSERT INTO telemetry (device, payload) VALUES ($1, $2)',
  [msg.topic.split('/')[2], msg.payload],
  (error) => { if (error) { node.error(error.message); } },
);
"""
_TABLE = """
PRAGMA journal_mode = WAL;
CREATE TABLE telemetry (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, at INTEGER NOT NULL, payload TEXT NOT NULL
);
CREATE INDEX telemetry_device ON telemetry (device, at);
"""
_INSERT = "INSERT INTO telemetry (device, at, payload) VALUES ($device, $at, $payload)"


def _flow(ground: Ground, nodes: list[dict[str, Any]], first: str) -> list[dict[str, Any]]:
    login = ground.arena.endpoint
    return [
        {"id": "flow", "type": "tab", "label": "bench"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": login.host,
            "port": str(login.port),
            "clientid": CLIENT_ID,
            "autoConnect": True,
            "usetls": False,
            "protocolVersion": "4",
            "keepalive": "60",
            "cleansession": True,
        },
        {
            "id": "input",
            "type": "mqtt in",
            "z": "flow",
            "topic": SUBSCRIPTION,
            "qos": "1",
            "datatype": "utf8",
            "broker": "broker",
            "inputs": 0,
            "wires": [[first]],
        },
        *({"z": "flow", **one} for one in nodes),
    ]


def _function(name: str, code: str, to: list[str], initialize: str = "") -> dict[str, Any]:
    return {
        "id": name,
        "type": "function",
        "func": code,
        "initialize": initialize,
        "outputs": 1,
        "libs": [],
        "wires": [to],
    }


@contextmanager
def _node_red(ground: Ground, flow: list[dict[str, Any]], database: str = "") -> Iterator[int]:
    """Node-RED with a flow; its process id."""
    arena, login = ground.arena, ground.arena.endpoint
    directory = arena.directory / "node-red"
    directory.mkdir()
    (directory / "settings.js").write_text(_SETTINGS)
    (directory / "flows.json").write_text(json.dumps(flow))
    known = {"broker": {"user": login.username, "password": login.password}}
    write_atomically(directory / "flows_cred.json", json.dumps(known))
    packages = place("node-red") / "node_modules"
    path = directory / "log"
    environment = {"BENCH_DATABASE": database, "BENCH_PG": str(packages / "pg")}
    with path.open("wb") as log:
        process = subprocess.Popen(
            [node(), packages / "node-red" / "red.js", "--userDir", directory],
            env=arena.environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until_subscribed(arena, CLIENT_ID, lambda: path.read_text(errors="replace")[-3000:])
            yield process.pid
        finally:
            ended(process)


@contextmanager
def _on_sqlite(ground: Ground) -> Iterator[Running]:
    path = ground.arena.directory / "node-red.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(_TABLE)

        def ask(statement: str) -> int:
            return int(database.execute(statement).fetchone()[0] or 0)

        def size() -> int:
            return ask("PRAGMA page_count") * ask("PRAGMA page_size")

        nodes = [
            {"id": "file", "type": "sqlitedb", "db": str(path), "mode": "RW"},
            _function("parameters", _PARAMETERS, ["insert"]),
            {
                "id": "insert",
                "type": "sqlite",
                "mydb": "file",
                "sqlquery": "prepared",
                "sql": _INSERT,
                "wires": [[]],
            },
        ]
        with _node_red(ground, _flow(ground, nodes, "parameters")) as pid:
            yield Running(
                {"ingest": pid},
                partial(ask, "SELECT max(id) FROM telemetry"),
                size,
                partial(ask, "SELECT count(*) FROM telemetry"),
            )


@contextmanager
def _on_postgresql(ground: Ground) -> Iterator[Running]:
    assert ground.server is not None
    nodes = [_function("insert", _QUERY, [], initialize=_POOL)]
    flow = _flow(ground, nodes, "insert")
    with (
        plain_table(ground.database_url) as connection,
        _node_red(ground, flow, ground.database_url) as pid,
    ):
        yield plain_running(pid, connection, ground.server)


NODE_RED_SQLITE = Contestant(
    "node-red-sqlite",
    "Node-RED, SQLite (WAL)",
    1_500,
    _on_sqlite,
    prepare=partial(installed, "node-red"),
)
NODE_RED_POSTGRESQL = Contestant(
    "node-red-postgres",
    "Node-RED, PostgreSQL",
    3_000,
    _on_postgresql,
    postgresql=True,
    prepare=partial(installed, "node-red"),
)
