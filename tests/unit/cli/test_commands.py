"""Each noun: empty states, what is printed, and JSON a script can rely on."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.ingest.resend.model import Outcome, Resent, Tried
from mooring.ingest.resend.service import Resending
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.schema import (
    audit,
    broker_changes,
    channels,
    dead_letters,
    latest,
    messages,
    processes,
    strangers,
    versions,
)
from mooring.telemetry.model import Overview, ProcessInfo
from mooring.telemetry.problems import of_overview
from tests.support.golden import check_sentences
from tests.unit.cli.conftest import Mooring

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


@pytest.fixture
def database(mooring: Mooring) -> Any:
    found = open_database(f"sqlite:///{mooring.data_dir / 'mooring.db'}")
    yield found
    found.close()


def said_so(database: Database, device_id: int, *temperatures: float) -> None:
    """Rows as ingest writes them, a minute apart from noon on."""
    with database.write() as connection:
        connection.execute(
            sa.insert(channels).values(id=1, dialect="pulse", name="telemetry", kind="telemetry")
        )
        row: dict[str, Any] = {}
        for index, value in enumerate(temperatures):
            row = {
                "device_id": device_id,
                "channel_id": 1,
                "ts": NOON + index * 60_000,
                "received_at": NOON + index * 60_000 + 5,
                "time_source": 0,
                "payload": json.dumps({"device_id": "pump", "temperature": value}),
            }
            connection.execute(sa.insert(messages).values(**row, seq=index, fingerprint=index))
        connection.execute(sa.insert(latest).values(**row))


# ------------------------------------------------------------------------- empty states


@pytest.mark.parametrize(
    ("words", "document"),
    [
        (["device", "list"], {"devices": [], "next_after": None}),
        (["device", "list", "--search", "x"], {"devices": [], "next_after": None}),
        (["device", "unknown"], {"strangers": [], "more": False}),
        (["telemetry", "latest", "--all"], {"devices": [], "more": False}),
        (["dead-letter", "list"], {"dead_letters": [], "next_before": None}),
        (["user", "list"], {"users": [], "next_after": None}),
        (["key", "list"], {"keys": [], "next_before": None}),
        (["tenant", "list"], {"tenants": []}),
        (["audit", "list"], {"audit": [], "next_before": None}),
    ],
)
def test_nothing_yet(mooring: Mooring, words: list[str], document: Any) -> None:
    check_sentences(f"empty: {' '.join(words)}", mooring(*words).out)
    assert mooring(*words, "--json").json() == document
    assert mooring("--json", *words).json() == document


# ------------------------------------------------------------------------- devices


def test_a_new_device_in_json(mooring: Mooring) -> None:
    words = ["pump", "--dialect", "pulse", "--tenant", "acme", "--label", "Cellar", "--group", "g"]
    found = mooring("device", "add", *words, "--json").json()
    assert len(found.pop("password")) >= 22  # 128 bits in base 64
    assert found.pop("id") == 1
    assert found.pop("created_at").endswith("Z")
    assert found.pop("shape")["dialect"] == "pulse"
    assert found == {
        "device": "pump",
        "tenant": "acme",
        "dialect": "pulse",
        "label": "Cellar",
        "mac": None,
        "groups": ["g"],
        "username": "device:acme:pump",
        "client_id": "acme:pump",
        "enabled": True,
        "topics": found["topics"],
        "accepted_by_broker": False,
        "broker": {
            "host": "localhost",
            "port": 1883,
            "tls_port": 8883,
            "ws_port": 9001,
            "cafile": str(mooring.data_dir / "pki" / "ca.crt"),
            "network_host": found["broker"]["network_host"],
            "ca_pem": None,  # made at the first start
        },
        "http": {"url": "http://127.0.0.1:8080"},
    }
    assert found["topics"]["telemetry"] == "pulse/acme/pump/telemetry"
    assert found["topics"]["command"] == "pulse/acme/pump/commands"


def test_a_new_device_for_people(mooring: Mooring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_PUBLIC_HOSTS", "fleet.example,10.0.0.1")
    monkeypatch.setenv("MOORING_MQTT_TLS_PORT", "18883")
    text = mooring("device", "add", "pump", "-d", "pulse").out
    check_sentences("device add: nothing runs", text.split("\n")[0])
    check_sentences("device add: password", text.split("\n\n")[2])
    assert "mooring up" in text.split("\n")[0]
    assert text.count("mosquitto_pub -h fleet.example -p 18883 --cafile") == 1
    assert "mosquitto_sub -h fleet.example" in text
    assert "\nimport paho.mqtt.client" in text  # not indented: it is to be pasted
    assert 'setServer("fleet.example", 18883)' in text


def test_the_password_is_nowhere_on_disk(mooring: Mooring) -> None:
    password = mooring("device", "add", "pump", "-d", "pulse", "--json").json()["password"]
    for path in mooring.data_dir.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path


def test_a_running_platform_that_does_not_tell_the_broker_is_said(
    mooring: Mooring, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.cli.device.ACCEPTANCE_SECONDS", 0.1)
    with database.write() as connection:
        connection.execute(sa.insert(processes).values(**_process("up")))
    text = mooring("device", "add", "pump", "-d", "pulse").out
    check_sentences("device add: not confirmed", text.split("\n")[0])
    assert "0.1 s" in text.split("\n")[0]


def test_a_device_that_the_broker_has_accepted_is_said(
    mooring: Mooring, database: Database
) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(processes).values(**_process("up")))
        # Stands for the reconciler: every pending change is applied immediately.
        connection.exec_driver_sql(
            "CREATE TRIGGER applied AFTER INSERT ON broker_changes "
            "BEGIN DELETE FROM broker_changes; END"
        )
    found = mooring("device", "add", "pump", "-d", "pulse", "--json").json()
    assert found["accepted_by_broker"] is True
    text = mooring("device", "add", "pump2", "-d", "pulse").out
    check_sentences("device add: accepted", text.split("\n")[0])
    removed = mooring("device", "remove", "pump2", "--yes", "--json").json()
    assert removed["applied_by_broker"] is True


def test_devices_are_listed_page_by_page(mooring: Mooring) -> None:
    for name in ("a", "b", "c"):
        mooring("device", "add", name, "-d", "smarthome", "--tenant", "home")
    mooring("device", "add", "d", "-d", "drivesafe")
    first = mooring("device", "list", "--limit", "2", "--json").json()
    assert [d["device"] for d in first["devices"]] == ["a", "b"]
    after = str(first["next_after"])
    rest = mooring("device", "list", "--after", after, "--json").json()
    assert [d["device"] for d in rest["devices"]] == ["c", "d"]
    assert rest["next_after"] is None
    assert "password" not in json.dumps(rest)
    text = mooring("device", "list", "--limit", "1")
    assert "--after 1 " in text.err
    lines = mooring("device", "list", "--tenant", "home", "--dialect", "smarthome").out.split("\n")
    assert lines[0].split() == [
        *("DEVICE", "TENANT", "STATE", "LAST", "MESSAGE", "DIALECT", "ADDED")
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "c"]
    mooring("device", "add", "e", "-d", "smarthome", "--label", "Hall", "--group", "hall")
    mooring("device", "set", "e", "type=lamp", "tag+=new")
    lines = mooring("device", "list").out.split("\n")
    heads = ["DEVICE", "TENANT", "STATE", "LAST", "MESSAGE", "DIALECT"]
    heads += ["LABEL", "GROUPS", "TYPE", "TAGS", "ADDED"]
    assert lines[0].split() == heads  # those that anything is in


def test_one_device(mooring: Mooring) -> None:
    mooring("device", "add", "m", "-d", "mousetrap", "--mac", "AA:BB:CC:DD:EE:01")
    found = mooring("device", "show", "aabb.ccdd.ee01", "--json").json()
    assert found["device"] == "m"
    assert found["topics"]["alert"] == "tenant/default/device/m/alert"
    assert found["topics"]["alert_by_mac"] == "tenant/default/device/AA:BB:CC:DD:EE:01/alert"
    assert found["state"]["last_seen_at"] is None
    text = mooring("device", "show", "m").out
    assert "MAC        AA:BB:CC:DD:EE:01" in text
    assert "last seen  never" in text
    topics = mooring("device", "topics", "m", "--json").json()
    assert topics == {"device": "m", "tenant": "default", "topics": found["topics"]}
    row = next(
        line
        for line in mooring("device", "topics", "m").out.split("\n")
        if line.startswith("command ")
    )
    assert row.split() == ["command", "down", "1", "tenant/default/device/m/command/+"]


def test_unknown_devices(mooring: Mooring, database: Database) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(strangers).values(
                dialect="pulse",
                tenant="acme",
                name="who\x1b]0;x",
                first_seen_at=NOON,
                last_seen_at=NOON,
                messages=3,
                last_topic="pulse/acme/who/telemetry",
            )
        )
    said = mooring("device", "unknown")
    assert "who\\x1b]0;x" in said.out
    assert "\x1b" not in said.out
    assert "mooring device add NAME" in said.err
    [found] = mooring("device", "unknown", "--json").json()["strangers"]
    assert mooring("device", "strangers", "--json").json()["strangers"] == [found]
    assert found["messages"] == 3
    assert found["first_seen_at"] == "2026-01-01T12:00:00.000Z"


# ------------------------------------------------------------------------- telemetry


def test_latest(mooring: Mooring, database: Database) -> None:
    mooring("device", "add", "pump", "-d", "pulse")
    check_sentences("empty: telemetry latest pump", mooring("telemetry", "latest", "pump").out)
    said_so(database, 1, 20.5, 21.0)
    found = mooring("telemetry", "latest", "pump", "--json").json()
    assert found == {
        "device": "pump",
        "tenant": "default",
        "dialect": "pulse",
        "readings": [
            {
                "channel": "telemetry",
                "kind": "telemetry",
                "ts": "2026-01-01T12:01:00.000Z",
                "received_at": "2026-01-01T12:01:00.005Z",
                "time_source": "device",
                "values": {"temperature": 21.0},
                "payload": {"device_id": "pump", "temperature": 21.0},
            }
        ],
    }
    row = mooring("telemetry", "latest", "pump").out.split("\n")[1].split()
    assert (row[0], row[-2:]) == ("telemetry", ["temperature", "21.0"])
    [of_all] = mooring("telemetry", "latest", "--all", "--json").json()["devices"]
    assert of_all["readings"] == found["readings"]
    assert mooring("telemetry", "latest", "--all").out.split("\n")[1].split()[:3] == [
        "pump",
        "default",
        "telemetry",
    ]


def test_history(mooring: Mooring, database: Database) -> None:
    mooring("device", "add", "pump", "-d", "pulse")
    said_so(database, 1, *(20.0 + n for n in range(1200)))
    found = mooring("telemetry", "history", "pump", "--limit", "1100", "--json").json()
    assert len(found["messages"]) == 1100  # more than one page
    assert found["messages"][0]["seq"] == 0
    assert found["more"] is True
    span = ["--from", "2026-01-01T12:10:00Z", "--to", "2026-01-01T12:12:00Z"]
    few = mooring("telemetry", "history", "pump", *span, "--metric", "temperature", "--json")
    assert few.json() == {
        "device": "pump",
        "tenant": "default",
        "metric": "temperature",
        "points": [
            {
                "ts": f"2026-01-01T12:{minute}:00.000Z",
                "value": 20.0 + minute,
                "channel": "telemetry",
                "received_at": f"2026-01-01T12:{minute}:00.005Z",
                "time_source": "device",
            }
            for minute in (10, 11)
        ],
        "more": False,
    }
    newest = mooring("telemetry", "history", "pump", "--newest", "--limit", "1", "--json").json()
    assert newest["messages"][0]["seq"] == 1199
    assert "--limit" in mooring("telemetry", "history", "pump").err
    none = mooring("telemetry", "history", "pump", "--metric", "weight")
    check_sentences("empty: telemetry history pump --metric weight", none.out)
    text = mooring("telemetry", "history", "pump", *span, "--metric", "temperature").out
    assert text.split("\n")[1].split() == ["2026-01-01T12:10:00.000Z", "30.0"]


def test_history_as_csv(mooring: Mooring, database: Database) -> None:
    mooring("device", "add", "pump", "-d", "pulse")
    said_so(database, 1, 20.5, 21.0)
    rows = list(csv.DictReader(io.StringIO(mooring("telemetry", "history", "pump", "--csv").out)))
    assert [row["temperature"] for row in rows] == ["20.5", "21.0"]
    assert rows[0]["time"] == "2026-01-01T12:00:00.000Z"
    points = mooring("telemetry", "history", "pump", "--csv", "--metric", "temperature").out
    assert points.split("\n")[:2] == [
        "time,channel,temperature",
        "2026-01-01T12:00:00.000Z,telemetry,20.5",
    ]
    mooring("telemetry", "history", "pump", "--csv", "--json", code=2)


def test_dead_letters(
    mooring: Mooring, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for payload, reason in ((b"{", "not_json"), (b"\xff\xfe", "not_utf8"), (b"x" * 100, "empty")):
        with database.write() as connection:
            connection.execute(
                sa.insert(dead_letters).values(
                    received_at=NOON,
                    reason=reason,
                    detail="It is bad.",
                    topic="a/\x07b",
                    size=len(payload),
                    payload=payload,
                )
            )
    found = mooring("dead-letter", "list", "--limit", "2", "--json").json()
    assert [letter["reason"] for letter in found["dead_letters"]] == ["empty", "not_utf8"]
    assert (found["dead_letters"][1]["payload"], found["dead_letters"][1]["encoding"]) == (
        "//4=",
        "base64",
    )
    rest = mooring("dead-letter", "list", "--before", str(found["next_before"]), "--json").json()
    assert [letter["payload"] for letter in rest["dead_letters"]] == ["{"]
    text = mooring("dead-letter", "list").out
    assert "a/\\x07b" in text
    # None of them can be read now, either.
    again = mooring("dead-letter", "resend", "1", "99", "--json").json()
    assert [one["outcome"] for one in again["results"]] == ["rejected", "not_found"]
    assert (again["stored"], again["rejected"]) == (0, 1)
    assert "3 rejected again" in mooring("dead-letter", "resend", "--all").err
    assert mooring("dead-letter", "resend", "--all", "--reason", "none", "--json").json() == {
        "results": [],
        "stored": 0,
        "rejected": 0,
    }
    for wrong in ([], ["1", "--all"], ["1", "--reason", "not_json"]):
        mooring("dead-letter", "resend", *wrong, code=2)

    def rejected(*_: object, after: int, **__: object) -> Resent:
        assert after < 10, "what is a dead letter again was resent again"
        return Resent([Tried(after + 1, Outcome.REJECTED)], after + 1)

    monkeypatch.setattr(Resending, "matching", rejected)
    assert "3 rejected again" in mooring("dead-letter", "resend", "--all").err
    assert "x" * 59 + "…" in text
    none = mooring("dead-letter", "list", "--reason", "too_deep")
    check_sentences("empty: dead-letter list --reason", none.out)


# ------------------------------------------------------------------------- settings, database


def test_settings_and_where_they_come_from(
    nothing: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2-hunter2"
    monkeypatch.setenv("MOORING_DATABASE_URL", f"postgresql://me:{secret}@db/mooring")
    monkeypatch.setenv("MOORING_BROKER", "attached")
    monkeypatch.setenv("MQTT_PASSWORD", secret)
    monkeypatch.setenv("MQTT_BROKER_URL", f"mqtts://me:{secret}@broker:8883")
    nothing.data_dir.mkdir()
    (nothing.data_dir / "mooring.toml").write_text("http_port = 9000\n", encoding="utf-8")
    said = nothing("config", "show", "--json")
    assert secret not in said.out
    found = {row["name"]: row for row in said.json()["settings"]}
    assert found["http_port"]["value"] == 9000
    assert found["http_port"]["origin"].endswith("mooring.toml")
    assert found["mqtt_port"]["origin"] == "default"
    assert found["broker_password"]["value"] == "********"
    assert found["broker_password"]["origin"] == "MQTT_PASSWORD"
    assert found["database_url"]["value"] == "postgresql://me:********@db/mooring"
    assert found["broker_url"]["value"] == "mqtts://me:********@broker:8883"
    assert found["data_dir"]["origin"] == "MOORING_DATA_DIR"
    assert secret not in nothing("config", "show").out
    path = nothing("config", "path").out.strip()
    assert path == str(nothing.data_dir / "mooring.toml")
    assert nothing("config", "path", "--json").json()["exists"] is True


def test_the_flag_wins_wherever_it_stands(nothing: Mooring, tmp_path: Path) -> None:
    other = tmp_path / "other"
    flag, words = ("--data-dir", other), ("config", "path")
    for line in ((*flag, *words), (*words, *flag)):
        assert nothing(*line).out == f"{other / 'mooring.toml'}\n"


def test_the_database_is_made_and_told_of(nothing: Mooring) -> None:
    before = nothing("db", "status", "--json", code=1).json()
    assert not nothing.data_dir.exists()
    assert before["revision"] is None
    assert before["pending"][0]["revision"] == "0001"
    made = nothing("db", "migrate", "--json").json()
    assert [step["revision"] for step in made["applied"]] == [
        step["revision"] for step in before["pending"]
    ]
    assert nothing("db", "migrate", "--json").json()["applied"] == []
    assert nothing("db", "status", "--json").json()["pending"] == []
    newest = before["pending"][-1]["revision"]
    assert f"revision {newest}" in nothing("db", "status").out
    assert nothing.data_dir.stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------------------- dialects


def test_dialects(mooring: Mooring) -> None:
    names = {d["name"] for d in mooring("dialect", "list", "--json").json()["dialects"]}
    assert names >= {"mousetrap", "drivesafe", "pulse", "iotflow", "smarthome", "mooring"}
    shown = mooring("dialect", "show", "drivesafe", "--json").json()
    assert shown["channels"][0]["topic"] == "device/data/{device}"
    assert "device/data/{device}" in mooring("dialect", "show", "drivesafe").out
    api = mooring("dialect", "asyncapi", "drivesafe").json()
    assert api["asyncapi"].startswith("3.")
    assert len(mooring("dialect", "asyncapi").out) > len(json.dumps(api))


GOOD = """\
name = "buoys"
title = "Buoys"
username = "{device}"
[placeholders]
buoy = "device"
[[channels]]
name = "waves"
topic = "sea/{buoy}/waves"
direction = "up"
kind = "telemetry"
"""


def test_a_dialect_file_is_checked(mooring: Mooring, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD, encoding="utf-8")
    bad.write_text(GOOD.replace("kind =", "kynd ="), encoding="utf-8")
    text = mooring("dialect", "check", good).out
    check_sentences("dialect check", text.replace(str(good), "FILE"))
    said = mooring("dialect", "check", good, bad, code=2)
    assert said.out == text
    assert "line 10: " in said.err
    assert "kynd" in said.err
    found = mooring("dialect", "check", bad, tmp_path / "none.toml", "--json", code=2).json()
    assert [file["ok"] for file in found["files"]] == [False, False]
    assert 10 in [mistake["line"] for mistake in found["files"][0]["mistakes"]]


def test_reload_tells_the_processes(mooring: Mooring, database: Database) -> None:
    directory = mooring.data_dir / "dialects"
    directory.mkdir()
    (directory / "buoys.toml").write_text(GOOD, encoding="utf-8")
    said = mooring("dialect", "reload")
    assert "buoys" in said.out
    (directory / "broken.toml").write_text("name = 3\n", encoding="utf-8")
    said = mooring("dialect", "reload", code=2)
    assert "buoys" in said.out
    assert "broken.toml has " in said.err
    assert "line 1: " in said.err
    document = mooring("dialect", "reload", "--json", code=2).json()
    assert document["broken"][0]["mistakes"]
    with database.read() as connection:
        value = connection.execute(
            sa.select(versions.c.value).where(versions.c.name == "dialects")
        ).scalar()
        noted = connection.execute(
            sa.select(sa.func.count()).where(audit.c.action == "dialect.reload")
        ).scalar()
    assert (value, noted) == (3, 3)
    assert mooring("device", "add", "b1", "-d", "buoys", "--json").json()["topics"] == {
        "telemetry": "sea/b1/waves"
    }


# ------------------------------------------------------------------------- status


def _process(role: str, **detail: Any) -> dict[str, Any]:
    return {
        "name": f"{role}@here:1",
        "role": role,
        "pid": 1,
        "host": "here",
        "started_at": now_ms(),
        "beat_at": now_ms(),
        "detail": json.dumps(detail),
    }


def overview(*roles: str, error: str = "", dead: tuple[str, ...] = (), **detail: Any) -> Overview:
    found = [ProcessInfo(role, role, 1, "here", 0, 0, role not in dead, detail) for role in roles]
    return Overview(0, 0, 0, 0, 0, {}, 2 if error else 0, error, 0, found)


ALL = ("up", "ingest", "serve", "keeper", "worker")


def test_an_invalid_dialect_file_is_a_problem(mooring: Mooring, database: Database) -> None:
    directory = mooring.data_dir / "dialects"
    directory.mkdir()
    for name, text, told in (("good", GOOD, False), ("broken", "name = 3\n", True)):
        (directory / f"{name}.toml").write_text(text, encoding="utf-8")
        problems = mooring("status", "--json", code=1).json()["problems"]
        assert any(f"{name}.toml" in one for one in problems) is told, problems


@pytest.mark.parametrize(
    ("name", "found", "answers", "count"),
    [
        ("none", overview(*ALL), True, 0),
        ("nothing runs", overview(), False, 1),
        ("all dead", overview(*ALL, dead=ALL), False, 1),
        ("broker silent", overview(*ALL), False, 1),
        ("no keeper", overview(*(role for role in ALL if role != "keeper")), True, 1),
        ("dead ingest", overview(*ALL, dead=("ingest",)), True, 1),
        ("pending changes", overview(*ALL, error="no answer"), True, 1),
        ("not connected", overview(*ALL, connected=False), True, len(ALL)),
    ],
)
def test_what_is_wrong(name: str, found: Overview, answers: bool, count: int) -> None:
    problems = [one.text for one in of_overview(found, broker_answers=answers)]
    assert len(problems) == count
    check_sentences(f"status: {name}", "\n".join(problems))


def test_status(mooring: Mooring, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.ports import free_port

    monkeypatch.setenv("MOORING_MQTT_PORT", str(free_port()))
    assert "mooring up" in mooring("status", code=1).out
    with database.write() as connection:
        for role in ALL:
            connection.execute(sa.insert(processes).values(**_process(role, rate=1.5)))
        connection.execute(
            sa.insert(broker_changes).values(
                action="put", username="u", created_at=1, next_at=1, error="no answer"
            )
        )
    found = mooring("status", "--json", code=1).json()
    assert len(found["problems"]) == 2
    check_sentences("status: broker silent and a change", "\n".join(found["problems"]))
    assert [p["alive"] for p in found["processes"]] == [True] * len(ALL)
    assert "rate 1.5" in mooring("status", code=1).out


def test_status_is_well_with_a_broker(
    mooring: Mooring, database: Database, monkeypatch: pytest.MonkeyPatch, broker: Any
) -> None:
    monkeypatch.setenv("MOORING_MQTT_PORT", str(broker.port))
    with database.write() as connection:
        for role in ALL:
            connection.execute(sa.insert(processes).values(**_process(role)))
    assert mooring("status", "--json").json()["ok"] is True
    assert mooring("status").out.endswith("All is well.\n")


@pytest.mark.parametrize(("count", "told"), [(0, 0), (899, 0), (900, 1), (1000, 1)])
def test_a_port_that_is_nearly_full_is_a_problem(count: int, told: int) -> None:
    found = overview(*ALL)
    full = ProcessInfo(
        "up", "up", 1, "here", 0, 0, True, {"connections": count, "connections_most": 1000}
    )
    found.processes[0] = full
    problems = [one.text for one in of_overview(found, broker_answers=True)]
    assert len(problems) == told
    assert all(f"{count} of 1000 connections" in one for one in problems)
