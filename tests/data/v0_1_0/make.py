"""Makes the fixture of this folder with the code of 0.1.0; README.md has the commands.

It runs in a checkout of 0.1.0, with that checkout's interpreter, and takes the folder to fill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.postgres import Postgres

HOME = Path("/tmp/mooring-0.1.0")
DATA = HOME / "data"
PORTS = {"http": 18080, "mqtt": 18883, "mqtt_tls": 18884, "mqtt_ws": 18885, "mqtt_mtls": 18886}
ENV = (
    {name: text for name, text in os.environ.items() if not name.startswith("MOORING_")}
    | {
        "MOORING_DATA_DIR": str(DATA),
        "NO_COLOR": "1",
    }
    | {f"MOORING_{name.upper()}_PORT": str(port) for name, port in PORTS.items()}
)
PROGRAM = Path(sys.executable).with_name("mooring")
KEPT: dict[str, Any] = {"devices": {}}
"""What a device or a person was given, for the tests to use: expected.json."""


def mooring(*words: str | Path, given: str = "") -> Any:
    line = [str(PROGRAM), *(str(word) for word in words), "--json"]
    done = subprocess.run(
        line, env=ENV, input=given, capture_output=True, text=True, timeout=90, check=False
    )
    if done.returncode:
        raise SystemExit(f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def ask(path: str, body: Any, *, token: str = "") -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['http']}/api/v1/{path}", json.dumps(body).encode()
    )
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def login(device: dict[str, Any]) -> list[str]:
    where = ["-h", "127.0.0.1", "-p", str(PORTS["mqtt"]), "-V", "mqttv311"]
    return [
        *where,
        *("-i", device["client_id"], "-u", device["username"]),
        "-P",
        device["password"],
    ]


def publish(device: dict[str, Any], topic: str, payload: Any, *words: str) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    line = ["mosquitto_pub", *login(device), "-q", "1", "-t", topic, "-m", text, *words]
    subprocess.run(line, check=True, timeout=30)


def kept(device: dict[str, Any]) -> dict[str, Any]:
    names = ("device", "tenant", "username", "password", "client_id", "topics")
    KEPT["devices"][device["device"]] = {name: device[name] for name in names}
    return KEPT["devices"][device["device"]]


def add(name: str, dialect: str, *words: str) -> dict[str, Any]:
    return kept(mooring("device", "add", name, "--dialect", dialect, "--tenant", "acme", *words))


def rows(sql: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(f"file:{DATA / 'mooring.db'}?mode=ro", uri=True)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def wait(met: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 120
    while not (found := met()):
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.1)
    return found


def start() -> subprocess.Popen[bytes]:
    with (HOME / "up.log").open("ab") as log:
        up = subprocess.Popen([PROGRAM, "up"], env=ENV, stdout=log, stderr=log)
    wait(lambda: "Mooring is ready" in (HOME / "up.log").read_text(), "mooring up")
    return up


def examples() -> None:
    """Every dialect's example messages, from a device of it."""
    for device in list(KEPT["devices"].values()):
        channels = mooring("dialect", "show", KEPT["dialects"][device["device"]])["channels"]
        for channel in channels:
            topic = device["topics"].get(channel["name"]) or device["topics"].get(channel["kind"])
            if channel["direction"] == "up" and topic and channel["example"]:
                retain = ["-r"] if channel["retain"] else []
                publish(device, topic, channel["example"], *retain)


def rotate(device: dict[str, Any]) -> None:
    """A device that takes a new password and proves it."""
    topic = f"pulse/acme/{device['device']}/commands"
    line = ["mosquitto_sub", *login(device), "-c", "-q", "1", "-t", topic, "-C", "1", "-W", "40"]
    waiting = subprocess.Popen(line, stdout=subprocess.PIPE)
    time.sleep(2)
    mooring("device", "rotate", f"acme:{device['device']}", "--wait", "0s", "--reason", "yearly")
    text, _ = waiting.communicate(timeout=60)
    command = json.loads(text)
    answer = {"command_id": command["command_id"], "status": "done"}
    publish(device, f"{topic}/reply", answer)
    device["former_password"] = device["password"]
    device["password"] = command["parameters"]["password"]
    stay = ["mosquitto_sub", *login(device), "-t", topic, "-C", "1", "-W", "2"]

    def settled() -> bool:
        subprocess.run(stay, check=False, timeout=30)
        return bool(rows("SELECT 1 FROM rotations WHERE phase = 'settled'"))

    wait(settled, "the rotation to be settled")


def life() -> None:
    """What happens while the platform runs."""
    KEPT["dialects"] = {}
    for name, dialect, *words in (
        ("trap-1", "mousetrap", "--mac", "AA:BB:CC:00:00:01"),
        ("car-1", "drivesafe"),
        ("pump-1", "pulse", "--label", "Pump in the cellar", "--group", "cellar"),
        ("boiler-1", "iotflow"),
        ("plug-1", "smarthome"),
        ("sensor-1", "mooring"),
    ):
        add(name, dialect, *words)
        KEPT["dialects"][name] = dialect
    examples()
    sensor = KEPT["devices"]["sensor-1"]
    for number in (100, 101, 104):  # two are missing
        reading = {"ts": int(time.time() * 1000), "seq": number, "values": {"temperature": number}}
        publish(sensor, sensor["topics"]["telemetry"], reading)
    publish(sensor, sensor["topics"]["telemetry"], "no JSON")  # a dead letter

    claimed = mooring(
        "claim", "new", "--dialect", "mousetrap", "--tenant", "acme", "--name", "Attic"
    )
    KEPT["claimed"] = kept(
        ask("claims", {"code": claimed["code"], "hardware_id": "AA:BB:CC:00:00:02"})
    )["device"]
    publish(KEPT["devices"][KEPT["claimed"]], f"tenant/acme/device/{KEPT['claimed']}/status", "{}")
    KEPT["open_claim"] = mooring(
        *("claim", "new", "--dialect", "pulse", "--tenant", "acme", "--expires", "3600d")
    )["code"]

    rotate(add("pump-2", "pulse"))
    add("pump-3", "pulse")  # is never there: its rotation waits
    mooring("device", "rotate", "acme:pump-3", "--wait", "0s", "--yes")
    away = [add("pump-4", "pulse"), add("car-4", "drivesafe")]  # each with a session
    for device in away:
        line = ["mosquitto_sub", *login(device), "-c", "-q", "1", "-E"]
        subprocess.run([*line, "-t", device["topics"]["command"]], check=True, timeout=30)

    add("pump-5", "pulse")
    mooring("device", "disable", "acme:pump-5", "--reason", "stolen")
    add("pump-6", "pulse")
    mooring("device", "remove", "acme:pump-6", "--yes")

    add("car-2", "drivesafe")
    mooring("cert", "device", "car-2", "--days", "9000", "--out", HOME / "car-2")
    add("car-3", "drivesafe")
    mooring("cert", "device", "car-3", "--days", "9000", "--out", HOME / "car-3")
    mooring("cert", "revoke", "car-3", "--reason", "keyCompromise", "--yes")

    secret = "a long enough password of 2026"
    mooring("user", "add", "olga", "--role", "operator", "--password-stdin", given=secret + "\n")
    KEPT["user"] = {"name": "olga", "password": secret}
    KEPT["key"] = mooring("key", "new", "reader", "--role", "admin")
    KEPT["bridge"] = mooring("broker", "users", "create", "bridge", "--write", "pulse/#")
    unknown = KEPT["bridge"] | {"client_id": "bridge"}
    publish(unknown, "pulse/acme/ghost/telemetry", '{"temperature": 1}')
    for device in away:  # a command for each waits in the broker
        ask(
            "mqtt/publish",
            {"topic": device["topics"]["command"], "payload": {"command": "restart"}, "qos": 1},
            token=KEPT["key"]["secret"],
        )


def queue(up: subprocess.Popen[bytes]) -> None:
    """Messages that the broker accepted and ingest never saw: they lie in the broker's file."""
    pid = rows("SELECT pid FROM processes WHERE role = 'ingest' ORDER BY started_at DESC")[0][0]
    os.kill(pid, signal.SIGSTOP)
    pump = KEPT["devices"]["pump-1"]
    for number in range(3):
        reading = {"timestamp": "2026-01-02T00:00:00Z", "seq": 500 + number, "temperature": number}
        publish(pump, pump["topics"]["telemetry"], reading)
    up.send_signal(signal.SIGTERM)
    up.wait(60)


def main(target: Path) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    DATA.mkdir()
    (DATA / "mooring.toml").write_text(
        "retention_days = 0\nretention_minutes_days = 0\nretention_rollups_days = 0\n"
    )
    up = start()
    try:
        life()
        time.sleep(70)  # a roll-up of the first minute
        queue(up)
    finally:
        up.kill()
    # With the broker down: changes that it was not told of.
    add("late-1", "pulse")
    mooring("device", "disable", "acme:boiler-1", "--reason", "sold")
    KEPT["counts"] = {
        table: rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - a name in the schema
        for (table,) in rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    KEPT["pending"] = rows("SELECT action, username FROM outbox ORDER BY id")

    with Postgres() as server:
        url = server.create_database()
        ENV["MOORING_COPY_TO"] = url
        mooring("db", "copy")
        dump = ["pg_dump", "--no-owner", "--no-privileges", "--inserts", url]
        text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
        (target / "postgresql.sql").write_text(
            "".join(x + "\n" for x in text.splitlines() if x and not x.startswith(("--", "\\")))
        )
    with sqlite3.connect(DATA / "mooring.db") as database:
        (target / "sqlite.sql").write_text("\n".join(database.iterdump()) + "\n")

    shutil.rmtree(target / "data", ignore_errors=True)
    shutil.copytree(
        DATA,
        target / "data",
        ignore=shutil.ignore_patterns("mooring.db*", "*.log", "*.pid", "*.sock"),
    )
    for name in ("car-2", "car-3"):
        shutil.copytree(HOME / name, target / name, dirs_exist_ok=True)
    (target / "expected.json").write_text(json.dumps(KEPT, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
